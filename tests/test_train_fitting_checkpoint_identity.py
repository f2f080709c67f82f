"""A run goes on with its own recipe and records alone."""

import json
import shutil

import pytest
import train_records

from kerasfast.train.fitting.checkpoint_identity import RunIdentity
from kerasfast.train.recipes.recipe import Recipe
from kerasfast.train.recipes.sections import Model
from kerasfast.train.recipes.training import Schedule, Training

RECIPE = Recipe(
    Model("slow_nano", dict(train_records.HEADS)),
    Schedule(0.1, "constant"),
    Training(epochs=2, batch_size=2),
    name="tiny",
)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return train_records.make(tmp_path_factory.mktemp("first"), "train", 2)


def saved(records, recipe=RECIPE, deterministic=False):
    """What a checkpoint gives back: JSON."""
    return json.loads(json.dumps(RunIdentity.of(recipe, records, deterministic).to_dict()))


@pytest.mark.parametrize(
    "change",
    [
        {"evaluation": {"clips": 3}},
        {"training": {"checkpoint_steps": 5}},
        {"smoke": {"training": {"epochs": 1}}},
        {"published": {"command": "a", "hardware": "b", "protocol": "c", "source": "d"}},
    ],
)
def test_what_is_no_part_of_the_training_may_change(records, tmp_path, change):
    moved = shutil.copytree(records, tmp_path / "moved")
    RunIdentity.of(RECIPE.override(**change), moved, False).check(saved(records), "runs/a")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"training": {"batch_size": 1}}, "training.batch_size was 2, now it is 1"),
        ({"data": {"short_side": [64, 70]}}, r"data.short_side was None, now it is \[64, 70\]"),
        ({"model": {"heads": {"action": 4}}}, "model.heads.action was 3, now it is 4"),
        ({"schedule": {"learning_rate": 0.2}}, "schedule.learning_rate was 0.1, now it is 0.2"),
        ({"multigrid": {"long_cycle": False}}, "multigrid was None, now it is {.*'long_cycle': False"),
    ],
)
def test_a_changed_key_is_named(records, change, message):
    changed = RunIdentity.of(RECIPE.override(**change), records, False)
    with pytest.raises(ValueError, match=rf"^runs/a holds an unfinished run of another recipe: {message}.*overwrite"):
        changed.check(saved(records), "runs/a")


def test_other_records_and_other_determinism_are_refused(records, tmp_path):
    other = train_records.make(tmp_path, "train", 2, seed=1)
    with pytest.raises(ValueError, match=r"runs/a holds an unfinished run on other records of split 'train'"):
        RunIdentity.of(RECIPE, other, False).check(saved(records), "runs/a")
    with pytest.raises(ValueError, match=r"unfinished run with deterministic=True, now it is False"):
        RunIdentity.of(RECIPE, records, False).check(saved(records, deterministic=True), "runs/a")
