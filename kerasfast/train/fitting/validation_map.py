"""Mean average precision of the validation clips after each epoch."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from kerasfast.train.callbacks import VAL_MAP
from kerasfast.train.metrics import mean_average_precision


class ValidationMap(keras.callbacks.Callback):
    """Add `val_<head>_clip_map` per head and their mean `val_clip_map` to the logs of each epoch.

    It is exact average precision, but of one centred clip of each video with the labels inside that clip: it picks
    the best epoch, and is neither the mAP of `kerasfast.evaluate`, which merges 30 views of a video, nor comparable
    with published numbers. A model that gives every clip the same scores, as some do at first, gets NaN.

    The clips are scored when Keras has validated, with the weights that were validated (the averaged ones, where
    `SwapEMAWeights` is used). It costs a second pass over the validation clips. Give it before all other callbacks.

    Args:
        clips: Batches of `(frames, labels)`, the same in every pass.
        heads: Heads to score.
    """

    def __init__(self, clips: Iterable[Any], heads: Iterable[str]) -> None:
        super().__init__()
        self._clips, self._heads = clips, tuple(heads)
        self._logs: dict[str, float] = {}

    def on_test_end(self, logs: dict | None = None) -> None:
        """Score the clips."""
        model: Any = self.model
        labels: dict[str, list[np.ndarray]] = {head: [] for head in self._heads}
        scores: dict[str, list[np.ndarray]] = {head: [] for head in self._heads}
        for frames, targets in self._clips:
            given = model.predict_on_batch(frames)
            for head in self._heads:
                labels[head].append(np.asarray(targets[head]))
                # Of several replicas each scores the whole batch, and Keras joins what they give.
                scores[head].append(np.asarray(given[head])[: len(targets[head])])
        maps = {head: _map(np.concatenate(labels[head]), np.concatenate(scores[head]), head) for head in self._heads}
        self._logs = {f"val_{head}_clip_map": value for head, value in maps.items()}
        self._logs[VAL_MAP] = float(np.mean(list(maps.values())))

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Add them to the logs, which Keras hands from one callback to the next."""
        if logs is not None:
            logs.update(self._logs)


def _map(labels: np.ndarray, scores: np.ndarray, head: str) -> float:
    if len(scores) > 1 and (scores == scores[0]).all():
        return math.nan  # no ranking, which mean_average_precision refuses
    try:
        return mean_average_precision(labels, scores).map
    except ValueError as error:
        raise ValueError(f"Head {head!r} of the validation: {error}") from error
