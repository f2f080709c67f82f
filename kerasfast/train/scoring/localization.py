"""The localisation task of Charades: which actions are going on at 25 moments of each video. NumPy only."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from kerasfast.data.annotations import VideoRow
from kerasfast.data.labels import LabelSpace
from kerasfast.train.metrics import Result, mean_average_precision
from kerasfast.train.scoring.submission import FRAMES


def frame_times(length_seconds: float, frames: int = FRAMES) -> np.ndarray:
    """Moments that are scored: j * length / frames for j = 0 .. frames - 1, in seconds `(frames,)`.

    Raises:
        ValueError: The length is not positive.
    """
    if not length_seconds > 0:
        raise ValueError(f"A video must have a positive length. Received: length_seconds={length_seconds!r}.")
    return np.arange(frames) / frames * length_seconds


def frame_labels(rows: Iterable[VideoRow], labels: LabelSpace, frames: int = FRAMES) -> dict[str, np.ndarray]:
    """Classes that hold at each moment: those of the segments with start <= t <= end.

    Segments that the reader of the annotations dropped, because they end where they start or before, hold nowhere. The
    official code counts one of them if it begins and ends at the very moment of a frame.

    Args:
        rows: Annotated videos with their lengths.
        labels: The classes.
        frames: Moments of a video.

    Returns:
        For each head float32 `(videos, frames, classes)`, 0 or 1.

    Raises:
        ValueError: A video without a length; names it.
    """
    found: dict[str, list[np.ndarray]] = {head: [] for head in labels.heads}
    for row in rows:
        if row.length_seconds is None:
            raise ValueError(f"Video {row.id!r} has no length, of which the moments are fractions. Add it to its row.")
        moments = []
        for time in frame_times(row.length_seconds, frames):
            going = [one.action for one in row.segments if one.start_seconds <= time <= one.end_seconds]
            moments.append(labels.targets(going))
        for head, targets in found.items():
            targets.append(np.stack([moment[head] for moment in moments]))
    return {head: np.stack(targets) for head, targets in found.items()}


def localization_map(labels: np.ndarray, scores: np.ndarray) -> Result:
    """Frame-level mAP: all frames of all videos compete, by the rule of `Charades_v1_localize.m`.

    Args:
        labels: `(videos, frames, classes)`, 0 or 1.
        scores: `(videos, frames, classes)`.

    Raises:
        ValueError: Another shape, and as in `mean_average_precision`.
    """
    labels, scores = np.asarray(labels), np.asarray(scores)
    if labels.ndim != 3 or labels.shape != scores.shape:
        raise ValueError(
            f"labels and scores must both be (videos, frames, classes). Received: {labels.shape}, {scores.shape}."
        )
    classes = labels.shape[-1]
    return mean_average_precision(labels.reshape(-1, classes), scores.reshape(-1, classes), "charades_localize")
