"""Scores of one video file: test clips and crops, merged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kerasfast.data.clips import clip_indices, test_starts
from kerasfast.data.video import OpenVideo

if TYPE_CHECKING:
    from kerasfast.models.classifier import VideoClassifier


def predict_video(
    model: VideoClassifier, path: str | Path, *, clips: int = 10, crops: int = 3
) -> dict[str, np.ndarray]:
    """Scores of a video, by the protocol of `kerasfast.evaluate`.

    Only the sampled frames are kept in memory. A video shorter than a clip repeats its last frame.

    Args:
        model: The model; its `clip` says which frames it takes, its `test_crop_size` their size.
        path: A video file.
        clips: Clips, spread evenly over the video.
        crops: Crops of a clip: 3 (left, centre, right or top, centre, bottom) or 1 (centre).

    Returns:
        Head name to `(classes,)` float32: the largest score of all views for a sigmoid head, the mean for softmax.

    Raises:
        DataError: The file cannot be decoded; names it.
        ValueError: `clips` or `crops` is out of range.
    """
    from kerasfast.data.transforms import CROPS, crop_position

    if crops not in (1, CROPS):
        raise ValueError(f"crops must be 1 or {CROPS}. Received: crops={crops}.")
    positions = (1,) if crops == 1 else range(CROPS)
    clip, size = model.clip, model.variant.test_crop_size
    with OpenVideo(path) as video:
        length = video.announced_length(clip.fps)
        indices = [clip_indices(start, clip, length) for start in test_starts(length, clip, clips)]
        wanted = set(np.concatenate(indices).tolist())
        frames = dict(video.frames(clip.fps, size, wanted.__contains__))
    last = max(frames)  # the header may promise a frame more than there is
    views: dict[str, list[np.ndarray]] = {head: [] for head in model.heads}
    for at in indices:
        scaled = np.stack([frames[min(int(index), last)] for index in at])
        batch = np.stack([crop_position(scaled, position, size) for position in positions])
        for head, scores in model.predict_on_batch(batch).items():
            views[head].append(np.asarray(scores))
    merge = {head: np.max if row.activation == "sigmoid" else np.mean for head, row in model.heads.items()}
    return {head: merge[head](np.concatenate(scores), axis=0) for head, scores in views.items()}
