"""Batches of a run: epoch after epoch, from any position on."""

import itertools

import numpy as np
import pytest
import train_records

from kerasfast.data.clips import ClipSpec
from kerasfast.models.variants import variant
from kerasfast.train.checkpoint_files import Position
from kerasfast.train.datasets import batches_from, check_validation
from kerasfast.train.recipe import Recipe
from kerasfast.train.recipe_sections import Model
from kerasfast.train.recipe_training import Schedule, Training

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
    stream, _, steps = batches_from(recipe, records, Network, start)
    return steps, [np.asarray(frames) for frames, _ in itertools.islice(stream, batches)]


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


def test_the_best_map_needs_a_validation(records):
    recipe = RECIPE.override(training={"best": "map"})
    check_validation(recipe, records)
    with pytest.raises(ValueError, match=r"training\.best = 'map' needs data\.validation_split"):
        check_validation(recipe.override(data={"validation_split": None}), records)
