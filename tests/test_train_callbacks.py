"""Files of a run that goes on, and which weights are the best."""

import math

import keras
import numpy as np
import pytest

from kerasfast.train.callbacks import BestWeights, HistoryFile, StepLog


class Tiny:
    """What the callbacks ask of a model."""

    def __init__(self):
        self.optimizer = keras.optimizers.SGD(0.5)
        self.saved = []

    def save_weights(self, path):
        path.write_text(str(len(self.saved)))
        self.saved.append(path.name)


def made(callback):
    callback.set_model(Tiny())
    callback.on_train_begin()
    return callback


def test_a_history_that_goes_on_keeps_the_lines_before(tmp_path):
    path = tmp_path / "history.csv"
    first = made(HistoryFile(path))
    for epoch in range(3):
        first.on_epoch_begin(epoch)
        first.on_epoch_end(epoch, {"loss": 1.0 / (epoch + 1)})
    goes_on = made(HistoryFile(path))
    goes_on.on_epoch_begin(2)
    goes_on.on_epoch_end(2, {"loss": 5.0})
    lines = [line.rpartition(",")[0] for line in path.read_text().splitlines()]
    assert lines == ["epoch,loss,learning_rate", "1,1.0,0.5", "2,0.5,0.5", "3,5.0,0.5"]
    begins = made(HistoryFile(path))
    begins.on_epoch_begin(0)
    begins.on_epoch_end(0, {"accuracy": 1.0})
    assert [line.rpartition(",")[0] for line in path.read_text().splitlines()] == [
        "epoch,accuracy,learning_rate",
        "1,1.0,0.5",
    ]


def test_a_step_log_drops_what_comes_again_and_half_a_line(tmp_path):
    path = tmp_path / "steps.csv"
    path.write_text("step,epoch,loss\n1,1,0.5\n2,1,0.25\n3,1,0.125\n4,2,0.0")
    log = made(StepLog(path))
    log.on_epoch_begin(0)
    log.on_train_batch_end(0, {})  # counted, not taken
    log.on_train_batch_end(1, {})
    log.on_train_batch_end(2, {"loss": 1 / 3})
    assert path.read_text() == f"step,epoch,loss\n1,1,0.5\n2,1,0.25\n3,1,{1 / 3!r}\n"


@pytest.mark.parametrize(
    ("logs", "kept"),
    [
        ([{"val_loss": 2.0}, {"val_loss": 1.0}, {"val_loss": 1.5}, {"val_loss": math.nan}], [0, 1]),
        ([{"loss": 1.0}, {"loss": 2.0}], [0, 1]),
        ([{"val_loss": 1.0, "val_clip_map": 0.1}, {"val_loss": 2.0, "val_clip_map": 0.2}], [0, 1]),
        ([{"val_loss": 2.0, "val_clip_map": 0.2}, {"val_loss": 1.0, "val_clip_map": 0.1}], [0]),
        ([{"val_clip_map": value} for value in (math.nan, math.nan, 0.1, math.nan, 0.2)], [0, 2, 4]),
    ],
)
def test_the_best_weights_are_those_of_the_highest_map_or_the_lowest_loss(tmp_path, logs, kept):
    best = made(BestWeights(tmp_path / "best.weights.h5"))
    saved = []
    for epoch, values in enumerate(logs):
        before = len(best.model.saved)
        best.on_epoch_end(epoch, values)
        saved += [epoch] * (len(best.model.saved) - before)
    assert saved == kept
    assert [path.name for path in tmp_path.iterdir()] == ["best.weights.h5"]


def test_best_weights_that_cannot_be_written_leave_the_earlier_ones(tmp_path):
    path = tmp_path / "best.weights.h5"
    best = BestWeights(path)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    best.set_model(model)
    best.on_epoch_end(0, {"val_loss": 1.0})
    weights = model.get_weights()
    model.set_weights([np.zeros_like(w) for w in weights])
    (tmp_path / "partial-best.weights.h5").symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"best\.weights\.h5: the best weights cannot be written \("):
        best.on_epoch_end(1, {"val_loss": 0.5})
    model.load_weights(path)
    np.testing.assert_array_equal(model.get_weights()[0], weights[0])
