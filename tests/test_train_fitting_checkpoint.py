"""Exact resume of `Model.fit`, on a network small enough to be stopped at every step."""

import csv

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasfast.train.callbacks import BestWeights, HistoryFile, StepLog, StopOnNaN, TrainingDivergedError
from kerasfast.train.fitting.checkpoint import Checkpoints, build_variables, restore
from kerasfast.train.fitting.checkpoint_files import CheckpointFolder, Position

STEPS, EPOCHS = 5, 4
random = np.random.default_rng(0)
X = random.normal(size=(EPOCHS, STEPS, 4, 6)).astype(np.float32)
Y = random.integers(0, 2, (EPOCHS, STEPS, 4, 3)).astype(np.float32)


class StoppedError(Exception):
    """Stands for a kill."""


class StopAfter(keras.callbacks.Callback):
    """Stops after so many steps that were computed."""

    def __init__(self, steps):
        super().__init__()
        self._left = steps

    def on_train_batch_end(self, batch, logs=None):
        self._left -= bool(logs)
        if logs and self._left == 0:
            raise StoppedError


def network(classes=3, optimizer="SGD"):
    inputs = keras.Input((6,))
    x = keras.layers.Dense(8, activation="relu", name="inner")(inputs)
    x = keras.layers.BatchNormalization(name="bn")(x)
    x = keras.layers.Dropout(0.5)(x)
    model = keras.Model(inputs, {"a": keras.layers.Dense(classes, "sigmoid", name="head")(x)})
    options = {"use_ema": True, "ema_momentum": 0.9, "gradient_accumulation_steps": 2}
    made = getattr(keras.optimizers, optimizer)(0.3, **options)
    model.compile(optimizer=made, loss={"a": "binary_crossentropy"}, metrics={"a": ["mae"]}, jit_compile=False)
    build_variables(model)
    return model


def stream(start):
    """Batches from a position on, without end."""
    x, y = X.reshape(-1, 4, 6), Y.reshape(-1, 4, 3)
    data = tf.data.Dataset.from_tensor_slices((x, {"a": y}))
    return data.skip(start.epoch * STEPS + start.batch).concatenate(data.repeat())


def fit(folder, every=3, stop=0, optimizer="SGD", resumes=True, more=()):
    """Train, or go on, in a folder; the model and its history."""
    keras.utils.set_random_seed(1)
    checkpoints = CheckpointFolder(folder / "checkpoints")
    resume = checkpoints.latest() if resumes and checkpoints.exists() else None
    if resume is None:
        checkpoints.begin()
    start = resume.position if resume else Position()
    model = network(optimizer=optimizer)
    used = [
        StopOnNaN(),
        keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
        keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=1, min_delta=0.2),
        HistoryFile(folder / "history.csv"),
        StepLog(folder / "steps.csv"),
        BestWeights(folder / "best.weights.h5"),
        StopAfter(stop),
        *more,
        keras.callbacks.History(),
    ]
    history = model.fit(
        stream(start),
        initial_epoch=start.epoch,
        epochs=EPOCHS,
        steps_per_epoch=STEPS,
        validation_data=(X[0, 0], {"a": Y[0, 0]}),
        callbacks=[*used, Checkpoints(checkpoints, every, {}, used, resume)],
        verbose=0,
        shuffle=False,
    ).history
    return model, history


def outcome(folder, model, history, optimizer="SGD"):
    """All that two equal runs share."""
    with (folder / "history.csv").open(newline="") as file:
        rows = [{key: row[key] for key in row if key != "seconds"} for row in csv.DictReader(file)]
    best = network(optimizer=optimizer)
    best.load_weights(folder / "best.weights.h5")
    return {
        "variables": [np.asarray(v).tobytes() for v in (*model.variables, *model.optimizer.variables)],
        "best": [np.asarray(v).tobytes() for v in best.weights],
        "history": history,
        "rows": rows,
        "steps": (folder / "steps.csv").read_text(),
    }


@pytest.mark.parametrize("optimizer", ["SGD", "AdamW"])
def test_a_run_stopped_again_and_again_ends_as_one_that_was_not(tmp_path, optimizer):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    expected = outcome(whole, *fit(whole, optimizer=optimizer), optimizer)
    assert len(expected["steps"].splitlines()) == 1 + STEPS * EPOCHS
    assert float(expected["rows"][-1]["learning_rate"]) < 0.3  # the plateau has been counted on the way
    for stop in (2, 4, 5, 6, 7):  # before a checkpoint; after it; at the end of an epoch; and after it
        with pytest.raises(StoppedError):
            fit(stopped, stop=stop, optimizer=optimizer)
    found = outcome(stopped, *fit(stopped, optimizer=optimizer), optimizer)
    assert found.keys() == expected.keys()
    for key in expected:
        assert found[key] == expected[key], key


def test_the_first_checkpoint_of_an_epoch_goes_on_too(tmp_path):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    expected = outcome(whole, *fit(whole, every=STEPS))
    with pytest.raises(StoppedError):
        fit(stopped, every=STEPS, stop=13)
    assert CheckpointFolder(stopped / "checkpoints").latest().position == Position(2, 0, 10)
    assert outcome(stopped, *fit(stopped, every=STEPS)) == expected


def test_the_test_would_see_a_difference(tmp_path):
    with pytest.raises(StoppedError):
        fit(tmp_path, stop=13)
    steps = (tmp_path / "steps.csv").read_text().splitlines()
    checkpoints = CheckpointFolder(tmp_path / "checkpoints")
    found = checkpoints.latest()
    found.arrays[found.names.index("model/0/inner/kernel")][0, 0] += 1e-2
    checkpoints.write(found)
    fit(tmp_path)
    again = (tmp_path / "steps.csv").read_text().splitlines()
    assert again[:13] == steps[:13] and again[13] != steps[13]


def test_steps_that_were_taken_are_not_computed_again(tmp_path, monkeypatch):
    with pytest.raises(StoppedError):
        fit(tmp_path, stop=14)  # goes on from 12
    traced, computed = [], []
    train_step = keras.Model.train_step
    monkeypatch.setattr(keras.Model, "train_step", lambda self, *data: traced.append(1) or train_step(self, *data))

    class Computed(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            computed.append((batch, bool(logs)))

    fit(tmp_path, more=[Computed()])
    assert computed[:STEPS] == [(0, False), (1, False), (2, True), (3, True), (4, True)]
    assert all(logs for _, logs in computed[2:]) and len(computed) == 2 * STEPS
    assert len(traced) == 1


def test_a_callback_that_was_not_there_begins(tmp_path):
    with pytest.raises(StoppedError):
        fit(tmp_path, stop=13)
    more = keras.callbacks.EarlyStopping(monitor="val_loss", patience=100)
    fit(tmp_path, more=[more])
    assert more.best is not None


def test_weights_that_are_no_numbers_are_not_saved(tmp_path):
    """The update of a step makes them, and only the loss of the next shows it."""

    class Poison(keras.callbacks.Callback):
        steps = 0

        def on_train_batch_end(self, batch, logs=None):
            self.steps += 1
            if self.steps == 6:
                self.model.trainable_variables[-1].assign(np.full(3, np.nan))

    with pytest.raises(TrainingDivergedError, match="at step 7"):
        fit(tmp_path, more=[Poison()])
    assert CheckpointFolder(tmp_path / "checkpoints").latest().position.step == 3


def test_a_checkpoint_of_another_head_is_refused(tmp_path):
    with pytest.raises(StoppedError):
        fit(tmp_path, stop=4)
    other = network(classes=4)
    message = r"number 7 is model/7/head/kernel \(8, 3\) there, model/7/head/kernel \(8, 4\) here"
    before = [np.array(v) for v in other.variables]
    with pytest.raises(ValueError, match=rf"step-000000003.npz is of another model: .*{message}"):
        restore(CheckpointFolder(tmp_path / "checkpoints").latest(), other, [])
    for variable, value in zip(other.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_a_checkpoint_of_another_optimizer_is_refused(tmp_path):
    with pytest.raises(StoppedError):
        fit(tmp_path, stop=4)
    with pytest.raises(ValueError, match=r"is of another model: it has \d+ variables, this one \d+"):
        restore(CheckpointFolder(tmp_path / "checkpoints").latest(), network(optimizer="Adam"), [])
