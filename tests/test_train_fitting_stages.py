"""Stages of a run: their batches, epoch after epoch, from any position on, and multigrid training from end to end."""

import csv
import itertools

import keras
import numpy as np
import pytest
import train_records

from kerasfast.data.clips import ClipSpec
from kerasfast.models.variants import variant
from kerasfast.train.fit import build_model, train
from kerasfast.train.fitting.checkpoint_files import Position
from kerasfast.train.fitting.stages import Stages
from kerasfast.train.recipes.recipe import Recipe
from kerasfast.train.recipes.sections import Model
from kerasfast.train.recipes.training import Schedule, Training

RECIPE = Recipe(
    Model("slow_nano", dict(train_records.HEADS)),
    Schedule(0.1, "constant"),
    Training(epochs=3, batch_size=2),
    name="tiny",
).override(data={"validation_split": "train", "crop_size": 32, "mixup": 0.2})


class Network:
    """What is asked of a model: which clips it takes."""

    variant = variant("slow_nano")
    clip = ClipSpec(4, 8, 24.0)
    heads = dict(train_records.HEADS)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return train_records.make(tmp_path_factory.mktemp("clips"), "train", 6)


def frames(recipe, records, start, batches):
    stages = Stages.of(recipe, records, Network)
    (stage,) = stages.stages
    stream = stages.batches(Network, stage, start)
    return stage.steps, [np.asarray(frames) for frames, _ in itertools.islice(stream, batches)]


@pytest.mark.parametrize(("cut", "steps"), [(None, 3), (2, 2)])
def test_it_goes_on_with_the_very_next_batch_and_into_the_next_epochs(records, cut, steps):
    recipe = RECIPE.override(training={"steps_per_epoch": cut})
    found, whole = frames(recipe, records, Position(), 3 * steps)
    assert found == steps
    assert len({batch.tobytes() for batch in whole}) == 3 * steps
    for epoch, batch in ((0, 1), (1, 0), (1, steps - 1)):
        step = epoch * steps + batch
        rest = frames(recipe, records, Position(epoch, batch, step), 3 * steps - step)[1]
        np.testing.assert_array_equal(np.stack(rest), np.stack(whole[step:]))


def multigrid(**changes):
    """The long cycle on slow_nano: 1, 2, 2 and 4 frames."""
    return Recipe(
        Model("slow_nano", dict(train_records.HEADS), dropout=0.0, bn="frozen", variant={"head_pool": "global"}),
        Schedule(0.01, "step", decay_epochs=(1.0,)),
        Training(epochs=2, batch_size=1),
        name="multigrid",
    ).override(data={"crop_size": 96, "flip": False}, multigrid={"short_cycle": False, "bn_base_clips": 1}, **changes)


@pytest.fixture(scope="module")
def eight(tmp_path_factory):
    return train_records.make(tmp_path_factory.mktemp("eight"), "train", 8)


def test_multigrid_training_is_one_run(eight, tmp_path):
    seen = []

    class Shapes(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            seen.append(
                (epoch, self.model.input.shape[1], float(keras.ops.convert_to_tensor(self.model.optimizer.iterations)))
            )

    result = train(multigrid(), eight, tmp_path / "run", callbacks=[Shapes()], verbose=0)
    assert [epoch for epoch, *_ in seen] == [0, 1, 2]
    lengths = [length for _, length, _ in seen]
    assert lengths == sorted(lengths) and lengths[0] < lengths[-1] == 4
    with (tmp_path / "run" / "history.csv").open(newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2", "3"]
    steps = [done for *_, done in seen]
    assert steps == sorted(steps) and result.steps > steps[-1] > 0
    assert int(result.model.optimizer.iterations) == result.steps
    assert result.model.clip.frames == 4 and len(result.history["loss"]) == 3


def test_multigrid_is_of_one_device(eight):
    stages = Stages.of(multigrid(training={"epochs": 2}), eight, build_model(multigrid(), train_records.LABELS))
    with pytest.raises(ValueError, match=r"runs on one device\. Received: a strategy"):
        stages.batches(Network, stages.stages[0], Position(), (0, 1))
