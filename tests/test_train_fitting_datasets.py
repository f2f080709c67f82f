"""What a run checks of its validation before it begins."""

import pytest
import train_records

from kerasfast.train.fitting.datasets import check_validation
from kerasfast.train.recipes.recipe import Recipe
from kerasfast.train.recipes.sections import Model
from kerasfast.train.recipes.training import Schedule, Training

RECIPE = Recipe(
    Model("slow_nano", dict(train_records.HEADS)),
    Schedule(0.1, "constant"),
    Training(epochs=3, batch_size=2),
    name="tiny",
).override(data={"validation_split": "train", "crop_size": 32, "mixup": 0.2})


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return train_records.make(tmp_path_factory.mktemp("clips"), "train", 6)


def test_the_best_map_needs_a_validation(records):
    recipe = RECIPE.override(training={"best": "map"})
    check_validation(recipe, records)
    with pytest.raises(ValueError, match=r"training\.best = 'map' needs data\.validation_split"):
        check_validation(recipe.override(data={"validation_split": None}), records)
