"""Recipes: strict TOML, a round trip, and what they give to `compile` and `fit`."""

import dataclasses
import math
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasfast.train.callbacks import TrainingDivergedError
from kerasfast.train.optimizers.optim import L2SGD
from kerasfast.train.recipes import recipe as recipes
from kerasfast.train.recipes.sections import HeadTable

# Keras saves weights through an __array__ without NumPy 2's copy argument.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

MINIMAL = """
[model]
name = "slowfast_nano"
heads = {action = 5}
[schedule]
learning_rate = 1
[training]
epochs = 3
batch_size = 2
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", recipes.list())
def test_every_recipe_loads_and_survives_a_round_trip(name, tmp_path):
    recipe = recipes.load(name)
    assert recipe.name == name
    path = tmp_path / "config.toml"
    path.write_text(recipe.to_toml())
    assert recipes.load(path) == recipe
    smoked = recipe.smoked()
    steps = smoked.training.steps_per_epoch or 99
    assert smoked.training.whole_epochs(steps) * steps * smoked.training.batch_size <= 100
    assert smoked.smoke == {} and smoked.model.name == recipe.model.name
    assert smoked.model.heads == recipe.model.heads  # they fit the same records
    assert not isinstance(smoked.model.weights, str)  # and it fetches nothing


def test_the_three_miniature_recipes_differ_in_the_architecture_alone():
    first, *others = (recipes.load(f"miniature_{arch}_nano") for arch in ("slowfast", "slow", "fast"))
    for other in others:
        model = dataclasses.replace(other.model, name=first.model.name)
        assert dataclasses.replace(other, model=model, name=first.name) == first


def test_numbers_lists_and_tables_take_their_types(tmp_path):
    recipe = recipes.load(
        write(
            tmp_path, MINIMAL.replace("5}", '{classes = 7, activation = "softmax"}}') + "[data]\nshort_side = [9, 12]"
        )
    )
    assert recipe.name == "mine"
    assert type(recipe.schedule.learning_rate) is float
    assert recipe.data.short_side == (9, 12)
    assert recipe.model.heads == {"action": HeadTable(7, "softmax")}
    assert recipe.model.activations == {"action": "softmax"}
    assert recipes.load(write(tmp_path, recipe.to_toml())) == recipe


@pytest.mark.parametrize(
    "line, message",
    [
        ("[optimizer]\nmomentun = 0.8", r"mine\.toml: unknown key 'optimizer\.momentun'\. Did you mean 'momentum'\?"),
        ("[optimiser]\nname = 'sgd'", r"mine\.toml: unknown key 'optimiser'\. Did you mean 'optimizer'\?"),
        ("[optimizer]\nmomentum = '0.8'", r"mine\.toml: key 'optimizer\.momentum' must be float\. Received: '0\.8'"),
        ("[optimizer]\nmomentum = true", r"'optimizer\.momentum' must be float\. Received: True"),
        ("[optimizer]\nnesterov = 1", r"'optimizer\.nesterov' must be bool\. Received: 1"),
        ("[optimizer]\nname = 'adam'", r"mine\.toml: optimizer\.name must be one of 'sgd', 'adamw'\. Received: 'adam'"),
        ("[evaluation]\nclips = true", r"'evaluation\.clips' must be int\. Received: True"),
        ("[evaluation]\nmerge = 'maximum'", r"evaluation\.merge must be one of 'max', 'mean'"),
        ("[data]\nshort_side = [9, 10, 11]", r"'data\.short_side' must be tuple\[int, int\]"),
        ("[data]\nshort_side = [11, 10]", r"data\.short_side must be a rising range"),
        ("[smoke.training]\nepoch = 1", r"mine\.toml: with \[smoke\]: unknown key 'training\.epoch'"),
        ("[data\n", r"mine\.toml: not a TOML file: .*line \d+"),
    ],
)
def test_a_wrong_file_is_refused_by_file_and_key(tmp_path, line, message):
    with pytest.raises(ValueError, match=message):
        recipes.load(write(tmp_path, MINIMAL + line))


def test_a_missing_key_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"mine\.toml: key 'training\.batch_size' is missing"):
        recipes.load(write(tmp_path, MINIMAL.replace("batch_size = 2", "")))


def test_a_typo_in_the_name_suggests_the_nearest():
    with pytest.raises(
        ValueError, match=r"no recipe 'miniature_slowfast_nan'\. Did you mean 'miniature_slowfast_nano'"
    ):
        recipes.load("miniature_slowfast_nan")
    with pytest.raises(ValueError, match=r"no recipe file nowhere/mine\.toml"):
        recipes.load("nowhere/mine.toml")


def test_override_is_strict(tmp_path):
    recipe = recipes.load(write(tmp_path, MINIMAL))
    changed = recipe.override(training={"epochs": 9}, data={"crop_size": 64})
    assert (changed.training.epochs, changed.training.batch_size, changed.data.crop_size) == (9, 2, 64)
    with pytest.raises(ValueError, match=r"recipe 'mine': unknown key 'training\.epoch'"):
        recipe.override(training={"epoch": 9})


def test_random_weights_are_asked_for_with_false(tmp_path):
    recipe = recipes.load(write(tmp_path, MINIMAL))
    random = recipe.override(model={"weights": False})
    assert random.model.weights is False
    assert recipes.load(write(tmp_path, random.to_toml())) == random
    with pytest.raises(ValueError, match=r"model\.weights must be a name of the zoo, a path or false\. Received: True"):
        recipe.override(model={"weights": True})


def test_override_with_none_goes_back_to_the_default(tmp_path):
    recipe = recipes.load(write(tmp_path, MINIMAL)).override(optimizer={"clip_norm": 2.0, "momentum": 0.5})
    changed = recipe.override(optimizer={"clip_norm": None, "momentum": None})
    assert (changed.optimizer.clip_norm, changed.optimizer.momentum) == (None, 0.9)


def test_compile_args_count_the_schedule_in_steps(tmp_path):
    text = MINIMAL.replace(
        "learning_rate = 1", "learning_rate = 1\nwarmup_epochs = 0.5\nname = 'step'\ndecay_epochs = [1, 2]"
    )
    arguments = recipes.load(write(tmp_path, text)).compile_args(steps_per_epoch=10)
    assert arguments["jit_compile"] is False or keras.backend.backend() != "tensorflow"
    assert set(arguments["loss"]) == {"action"}
    rate = arguments["optimizer"]._learning_rate
    np.testing.assert_allclose(
        [float(rate(step)) for step in (0, 1, 5, 9, 10, 19, 20, 29)], [0, 0.2, 1, 1, 0.1, 0.1, 0.01, 0.01], rtol=1e-5
    )


def test_steps_per_epoch_of_the_recipe_shortens_the_schedule(tmp_path):
    recipe = recipes.load(write(tmp_path, MINIMAL)).override(training={"steps_per_epoch": 4})
    rate = recipe.compile_args(steps_per_epoch=10)["optimizer"]._learning_rate
    assert float(rate(12)) == pytest.approx(0, abs=1e-7) and float(rate(6)) == pytest.approx(0.5)


def test_the_rate_is_in_proportion_to_the_clips_of_an_update(tmp_path):
    text = MINIMAL.replace("learning_rate = 1", "learning_rate = 1.6\nname = 'constant'\nbase_batch_size = 1024")
    recipe = recipes.load(write(tmp_path, text)).override(training={"batch_size": 64})
    accumulating = recipe.override(optimizer={"accumulate": 4})
    for one, rate in ((recipe, 0.1), (accumulating, 0.4)):
        assert float(one.compile_args(steps_per_epoch=10)["optimizer"].learning_rate) == pytest.approx(rate)


def test_steps_are_rounded_to_whole_epochs(tmp_path):
    text = MINIMAL.replace("epochs = 3", "steps = 25").replace(
        "learning_rate = 1", "learning_rate = 1\nname = 'cosine'"
    )
    recipe = recipes.load(write(tmp_path, text))
    assert [recipe.training.whole_epochs(steps) for steps in (10, 9, 100)] == [2, 3, 1]
    rate = recipe.compile_args(steps_per_epoch=10)["optimizer"]._learning_rate
    assert [float(rate(step)) for step in (10, 20)] == pytest.approx([0.5, 0], abs=1e-7)


def test_compile_args_pass_what_the_optimizer_needs(tmp_path):
    text = MINIMAL + "[optimizer]\nema = 0.9\naccumulate = 2\nclip_norm = 3\nrates = {backbone = 0.1}"
    recipe = recipes.load(write(tmp_path, text))
    assert recipes.load(write(tmp_path, recipe.to_toml())) == recipe
    opt = recipe.compile_args(steps_per_epoch=10)["optimizer"]
    assert (opt.use_ema, opt.gradient_accumulation_steps, opt.global_clipnorm) == (True, 2, 3)
    assert opt.ema_momentum == pytest.approx(0.9**0.5) and opt.rates == {"backbone": 0.1}
    rate = keras.optimizers.schedules.CosineDecay(0.5, 7)
    assert recipe.compile_args(steps_per_epoch=10, learning_rate=rate)["optimizer"]._learning_rate is rate


def test_mixed_float16_scales_the_loss(tmp_path):
    """Keras looks at the policy of the model, which is float32: that of the recipe is its layers'."""
    recipe = recipes.load(write(tmp_path, MINIMAL)).override(model={"dtype": "mixed_float16"})
    opt = recipe.compile_args(steps_per_epoch=6)["optimizer"]
    assert isinstance(opt, keras.optimizers.LossScaleOptimizer) and isinstance(opt.inner_optimizer, L2SGD)
    plain = recipe.override(model={"dtype": "mixed_bfloat16"}).compile_args(steps_per_epoch=6)["optimizer"]
    assert isinstance(plain, L2SGD)


@pytest.mark.parametrize("dtype", [None, "mixed_float16"])
def test_plateau_lowers_the_rate_when_validation_does_not_improve(tmp_path, dtype):
    text = MINIMAL.replace(
        "learning_rate = 1", "learning_rate = 0.1\nname = 'plateau'\npatience = 2\ndecay_factor = 0.5"
    )
    recipe = recipes.load(write(tmp_path, text + "[data]\nvalidation_split = 'test'")).override(model={"dtype": dtype})
    model, (x, y) = dense_model(), arrays()
    model.compile(**recipe.compile_args(steps_per_epoch=6))
    opposite = {"action": 1 - y["action"]}
    model.fit(
        *(x, y),
        batch_size=2,
        epochs=3,
        validation_data=(x, opposite),
        verbose=0,
        callbacks=recipe.callbacks(tmp_path / "run"),
    )
    # The first validation is the best; two later ones are not better.
    assert float(model.optimizer.learning_rate) == pytest.approx(0.05)
    rows = (tmp_path / "run" / "history.csv").read_text().splitlines()
    assert [float(row.split(",")[-2]) for row in rows[1:]] == pytest.approx([0.1, 0.1, 0.1])


def test_plateau_looks_at_what_decides_on_the_best_weights(tmp_path):
    text = MINIMAL.replace("learning_rate = 1", "learning_rate = 0.1\nname = 'plateau'")
    recipe = recipes.load(write(tmp_path, text + "best = 'map'\n[data]\nvalidation_split = 'test'"))
    plateau = recipe.callbacks(tmp_path)[-1]
    assert (plateau.monitor, plateau.mode, plateau.patience, plateau.factor) == ("val_clip_map", "max", 5, 0.1)
    plateau.on_train_begin()
    before = plateau.best
    plateau.on_epoch_end(0, {"val_clip_map": math.nan})  # no ranking yet; Keras would take it for the best for good
    assert plateau.best == before and plateau.wait == 0


@pytest.mark.parametrize(
    "extra, message",
    [
        ("", r"mine\.toml: schedule\.name = 'plateau' .* Received: no data\.validation_split"),
        ("[data]\nvalidation_split = 'test'\n[multigrid]\n", r"long_cycle .* 'step'\. Received: 'plateau'"),
    ],
)
def test_plateau_needs_a_validation_and_whole_clips(tmp_path, extra, message):
    text = MINIMAL.replace("learning_rate = 1", "learning_rate = 0.1\nname = 'plateau'") + extra
    with pytest.raises(ValueError, match=message):
        recipes.load(write(tmp_path, text))


def test_the_average_is_what_is_saved(tmp_path):
    recipe = recipes.load(write(tmp_path, MINIMAL)).override(optimizer={"ema": 0.5})
    model, (x, y) = dense_model(), arrays()
    model.compile(**recipe.compile_args(steps_per_epoch=6))
    model.fit(x, y, batch_size=2, epochs=2, verbose=0, callbacks=recipe.callbacks(tmp_path))
    averages = [np.array(average) for average in model.optimizer._model_variables_moving_average]
    other = dense_model()
    other.load_weights(tmp_path / "best.weights.h5")
    for a, b in zip(other.get_weights(), averages, strict=True):
        np.testing.assert_array_equal(a, b)


def test_accumulation_is_refused_where_keras_cannot_do_it(tmp_path):
    recipe = recipes.load(write(tmp_path, MINIMAL)).override(optimizer={"accumulate": 2})
    x, y = arrays()
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        with pytest.raises(ValueError, match=r"Received: optimizer\.accumulate=2 under MirroredStrategy"):
            recipe.compile_args(steps_per_epoch=6)
        model = dense_model()
        model.compile(L2SGD(0.1, gradient_accumulation_steps=2), "binary_crossentropy")
    with pytest.raises(RuntimeError, match="merge_call"):  # once this passes, there is nothing to refuse
        model.fit(tf.data.Dataset.from_tensor_slices((x, y)).batch(2), shuffle=False, verbose=0)


def dense_model():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    outputs = {"action": keras.layers.Dense(5, activation="sigmoid")(inputs)}
    return keras.Model(inputs, outputs)


def arrays(rows=12):
    generator = np.random.default_rng(0)
    labels = (generator.random((rows, 5)) < 0.5).astype("float32")
    return generator.normal(size=(rows, 4)).astype("float32"), {"action": labels}


def test_fit_with_the_callbacks_writes_history_and_the_last_weights(tmp_path):
    recipe = recipes.load(write(tmp_path, MINIMAL))
    model, (x, y) = dense_model(), arrays()
    model.compile(**recipe.compile_args(steps_per_epoch=6))
    for _ in range(2):  # the second run takes the place of the first
        model.fit(x, y, batch_size=2, epochs=3, verbose=0, callbacks=recipe.callbacks(tmp_path / "run"))
    lines = (tmp_path / "run" / "history.csv").read_text().splitlines()
    assert len(lines) == 4
    assert lines[0] == "epoch,loss,learning_rate,seconds"
    assert [line.split(",")[0] for line in lines[1:]] == ["1", "2", "3"]
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["best.weights.h5", "history.csv"]
    other = dense_model()
    other.load_weights(tmp_path / "run" / "best.weights.h5")
    for a, b in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_with_validation_the_best_weights_are_kept(tmp_path):
    recipe = recipes.load(write(tmp_path, MINIMAL))
    model, (x, y) = dense_model(), arrays()
    opposite = {"action": 1 - y["action"]}  # the better the fit, the worse the validation loss
    model.compile(**recipe.compile_args(steps_per_epoch=6))
    history = model.fit(
        x, y, batch_size=2, epochs=3, validation_data=(x, opposite), verbose=0, callbacks=recipe.callbacks(tmp_path)
    ).history["val_loss"]
    assert history[0] < history[1] < history[2]
    model.load_weights(tmp_path / "best.weights.h5")
    assert model.evaluate(x, opposite, verbose=0, return_dict=True)["loss"] == pytest.approx(history[0], rel=1e-5)


def test_a_loss_that_is_not_a_number_stops_the_run_and_names_the_step(tmp_path):
    recipe = recipes.load(write(tmp_path, MINIMAL))
    model, (x, y) = dense_model(), arrays()
    model.compile(**recipe.compile_args(steps_per_epoch=6))
    x[6] = np.nan  # the fourth batch of two
    with pytest.raises(TrainingDivergedError, match=r"nan at step 4 \(epoch 1, batch 4 of it\)"):
        model.fit(x, y, batch_size=2, shuffle=False, verbose=0, callbacks=recipe.callbacks(tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": {"clip_norm": 1.0}}, r"clip each its own gradient.*clip_norm=1\.0 on 2 replicas"),
        ({"model": {"dtype": "mixed_float16"}}, r"overflows of float16.*on 2 replicas.*'mixed_bfloat16'"),
    ],
)
def test_what_several_replicas_would_do_otherwise_is_refused(tmp_path, monkeypatch, change, message):
    import tensorflow as tf

    class Two:
        num_replicas_in_sync = 2

    recipe = recipes.load(write(tmp_path, MINIMAL)).override(**change)
    recipe.compile_args(steps_per_epoch=2)
    monkeypatch.setattr(tf.distribute, "get_strategy", Two)
    with pytest.raises(ValueError, match=message):
        recipe.compile_args(steps_per_epoch=2)
