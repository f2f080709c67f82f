"""What a run does beside its steps: stop on NaN, write the history, keep the best weights."""

from __future__ import annotations

import csv
import io
import math
import time
from pathlib import Path
from typing import Any

import keras

from kerasfast.data.files import write_text

# What `kerasfast.train.fitting.validation_map` logs.
VAL_MAP = "val_clip_map"


class TrainingDivergedError(ValueError):
    """The loss is not a number any more; the message names the step."""


class StopOnNaN(keras.callbacks.Callback):
    """Stop the run at the first loss that is NaN or infinite.

    Keras' `TerminateOnNaN` names the batch within the epoch, and Keras stops as if the training were done.

    Raises:
        TrainingDivergedError: Names step (from 1, over all epochs), epoch and learning rate.
    """

    checkpointed = ("step",)

    def __init__(self) -> None:
        super().__init__()
        self.step, self.epoch = 0, 0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Remember the epoch."""
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Look at the loss. Keras gives the mean of the epoch so far, in which a NaN stays."""
        self.step += 1
        loss = float((logs or {}).get("loss", 0.0))
        if math.isfinite(loss):
            return
        rate = learning_rate(self.model)
        raise TrainingDivergedError(
            f"The loss became {loss} at step {self.step} (epoch {self.epoch + 1}, batch {batch + 1} of it), "
            f"learning rate {rate:.3g}. The weights are lost from here on; lower schedule.learning_rate, "
            "lengthen the warm-up or set optimizer.clip_norm."
        )


class HistoryFile(keras.callbacks.Callback):
    """Write one line of CSV after each epoch: `epoch` (from 1), losses, `learning_rate`, `seconds` of the epoch.

    Keras' `CSVLogger` keeps the file open, also past an exception, and adds empty `val_` columns. This one replaces
    the file as a whole, and keeps of it what stands before the epoch: a run that goes on goes on in its file.

    Args:
        path: CSV file.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.path = Path(path)
        self._begin = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Start the clock."""
        self._begin = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Append the line; the first epoch decides on the columns."""
        row: dict[str, Any] = {"epoch": epoch + 1, **{key: float(value) for key, value in (logs or {}).items()}}
        row["learning_rate"] = learning_rate(self.model)
        row["seconds"] = round(time.perf_counter() - self._begin, 3)
        earlier = _rows_before(self.path, "epoch", epoch + 1)
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list((earlier or [row])[0]), restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows([*earlier, row])
        write_text(self.path, text.getvalue())


class StepLog(keras.callbacks.Callback):
    """Write one line of CSV after each step: `step` (from 1, over all epochs), `epoch` (from 1) and `loss`.

    The loss is what Keras reports at a step, the mean over the epoch so far, with all its digits. A run that goes on
    goes on in its file: lines of steps that are taken again are replaced.

    Args:
        path: CSV file.
    """

    checkpointed = ("step",)

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.path = Path(path)
        self.step, self.epoch = 0, 0
        self._begun = False

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Forget an earlier run, unless a checkpoint says how far it came."""
        self.step, self._begun = 0, False

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Remember the epoch."""
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Append the line, at once, so that a killed run has those of all its steps."""
        self.step += 1
        if "loss" not in (logs or {}):  # a step before the one that the run goes on from
            return
        if not self._begun:
            earlier = _rows_before(self.path, "step", self.step)
            lines = ["step,epoch,loss", *(f"{row['step']},{row['epoch']},{row['loss']}" for row in earlier)]
            write_text(self.path, "\n".join(lines) + "\n")
            self._begun = True
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{self.step},{self.epoch + 1},{float((logs or {})['loss'])!r}\n")


class Plateau(keras.callbacks.ReduceLROnPlateau):
    """`keras.callbacks.ReduceLROnPlateau` that passes over values that are not numbers.

    Keras takes the first value for the best, whatever it is, and nothing is better than NaN, which a model that gives
    every clip the same scores has for its mAP.
    """

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Look at the value, if it is one."""
        if not math.isnan((logs or {}).get(self.monitor, 0.0)):
            super().on_epoch_end(epoch, logs)


class BestWeights(keras.callbacks.Callback):
    """Save the best weights, or those of every epoch in turn where nothing is validated.

    The best have the highest `val_clip_map` where `ValidationMap` scores it, else the lowest `val_loss`. Unlike Keras'
    `ModelCheckpoint` it writes beside the file and renames, so a killed run leaves whole weights.

    Args:
        path: File that ends in `.weights.h5`; its folder exists.

    Raises:
        OSError: It cannot be written, as on a full disk; the best weights of an earlier epoch are as they were.
    """

    checkpointed = ("best",)

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.path = Path(path)
        self.best = math.inf

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Forget an earlier run."""
        self.best = math.inf

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Save, or leave the better weights of an earlier epoch."""
        logs = logs or {}
        if VAL_MAP in logs:
            # Not a number: a model that still gives every clip the same scores. Its weights are kept until any rank.
            value = math.inf if math.isnan(logs[VAL_MAP]) else -float(logs[VAL_MAP])
            better = value < self.best or not self.path.exists()
        else:
            value = float(logs.get("val_loss", self.best))
            better = value < self.best or "val_loss" not in logs
        if not better:
            return
        self.best = value
        partial = self.path.with_name(f"partial-{self.path.name}")
        model: Any = self.model
        try:
            model.save_weights(partial)
            partial.replace(self.path)
        except OSError as error:
            raise OSError(
                f"{self.path}: the best weights cannot be written ({error}). Free space; the same command then goes "
                "on from the last checkpoint."
            ) from error
        finally:
            partial.unlink(missing_ok=True)


def learning_rate(model: Any) -> float:
    """The rate of the next step of a compiled model."""
    rate: Any = keras.ops.convert_to_tensor(model.optimizer.learning_rate)
    return float(rate)


def _rows_before(path: Path, column: str, number: int) -> list[dict[str, str]]:
    """Rows of a CSV file whose number in a column is below one; none where there is no file or no such column."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        # A killed run may leave part of a line, of a step that is taken again.
        rows = [row for row in csv.DictReader(file) if (row.get(column) or "").isdecimal()]
    return [row for row in rows if int(row[column]) < number]
