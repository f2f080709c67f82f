"""What a run does beside its steps: stop on NaN, write the history, keep the best weights."""

from __future__ import annotations

import csv
import math
import time
from pathlib import Path
from typing import Any

import keras


class TrainingDivergedError(ValueError):
    """The loss is not a number any more; the message names the step."""


class StopOnNaN(keras.callbacks.Callback):
    """Stop the run at the first loss that is NaN or infinite.

    Keras' `TerminateOnNaN` names the batch within the epoch, and Keras stops as if the training were done.

    Raises:
        TrainingDivergedError: Names step (from 1, over all epochs), epoch and learning rate.
    """

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

    Keras' `CSVLogger` keeps the file open, also past an exception, and adds empty `val_` columns.

    Args:
        path: CSV file; one that is there is replaced.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.path = Path(path)
        self.columns: list[str] = []
        self.begin = 0.0

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Forget an earlier run."""
        self.columns = []

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Start the clock."""
        self.begin = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Append the line; the first epoch decides on the columns."""
        row: dict[str, float] = {"epoch": epoch + 1, **{key: float(value) for key, value in (logs or {}).items()}}
        row["learning_rate"] = learning_rate(self.model)
        row["seconds"] = round(time.perf_counter() - self.begin, 3)
        first = not self.columns
        self.columns = self.columns or list(row)
        with self.path.open("w" if first else "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.columns, restval="", extrasaction="ignore")
            if first:
                writer.writeheader()
            writer.writerow(row)


class BestWeights(keras.callbacks.Callback):
    """Save the weights of the lowest `val_loss`, or those of every epoch in turn where nothing is validated.

    Unlike Keras' `ModelCheckpoint` it writes beside the file and renames, so a killed run leaves whole weights.

    Args:
        path: File that ends in `.weights.h5`; its folder exists.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.path = Path(path)
        self.lowest = math.inf

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Forget an earlier run."""
        self.lowest = math.inf

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Save, or leave the better weights of an earlier epoch."""
        loss = (logs or {}).get("val_loss")
        if loss is not None:
            if not loss < self.lowest:
                return
            self.lowest = float(loss)
        partial = self.path.with_name(f"partial-{self.path.name}")
        model: Any = self.model
        model.save_weights(partial)
        partial.replace(self.path)


def learning_rate(model: Any) -> float:
    """The rate of the next step of a compiled model."""
    rate: Any = keras.ops.convert_to_tensor(model.optimizer.learning_rate)
    return float(rate)
