"""A training that is killed and started again ends with the bits of one that was not."""

import prove_resume
import train_records

from kerasfast.train.recipes.recipe import Recipe
from kerasfast.train.recipes.sections import Model
from kerasfast.train.recipes.training import Schedule, Training

RECIPE = Recipe(
    Model("slow_nano", dict(train_records.HEADS), dropout=0.5),
    Schedule(0.01, "cosine"),
    Training(epochs=3, batch_size=2, checkpoint_steps=3, best="map"),
    name="tiny",
).override(data={"validation_split": "test"})


def test_a_killed_training_ends_as_one_that_was_left_alone(tmp_path):
    train_records.make(tmp_path, "test", 2, seed=1, clips=1)
    records = train_records.make(tmp_path, "train", 8)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE.to_toml())
    result = prove_resume.prove(recipe, records, tmp_path / "runs", [7])
    assert result["steps"] == 12
    assert result["killed_after_steps"][0] >= 7 and result["last_start_from_step"] in (6, 9)
    assert result["variables"] > 50
    assert result["equal"] == dict.fromkeys(("step_losses", "history", "best_weights", "last_variables"), True)
