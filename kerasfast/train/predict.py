"""Scores of one video file: test clips and crops, merged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kerasfast.data.clips import clip_indices, test_starts, whole_video_indices
from kerasfast.data.video import OpenVideo
from kerasfast.train.views import merge_rules

if TYPE_CHECKING:
    from kerasfast.models.classifier import VideoClassifier


def predict_video(
    model: VideoClassifier,
    path: str | Path,
    *,
    clips: int = 10,
    crops: int = 3,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, np.ndarray]:
    """Scores of a video, by the protocol of `kerasfast.evaluate`, which reads the same clips from records.

    Only the sampled frames are kept in memory. A video shorter than a clip repeats its last frame.

    Args:
        model: The model; its `clip` says which frames it takes, its `test_crop_size` their size.
        path: A video file.
        clips: Clips, spread evenly over the video; a model whose `sampling` is `video` takes one view of all of it.
        crops: Crops of a clip: 3 (left, centre, right or top, centre, bottom) or 1 (centre).
        progress: Called after each clip with the clips done and the clips in all.

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
        if model.sampling == "video":
            indices = [whole_video_indices(length, clip.frames)]
        else:
            indices = [clip_indices(start, clip, length) for start in test_starts(length, clip, clips)]
        wanted = set(np.concatenate(indices).tolist())
        frames = dict(video.frames(clip.fps, size, wanted.__contains__))
    last = max(frames)  # the header may promise a frame more than there is
    views: dict[str, list[np.ndarray]] = {head: [] for head in model.heads}
    for done, at in enumerate(indices, start=1):
        scaled = np.stack([frames[min(int(index), last)] for index in at])
        batch = np.stack([crop_position(scaled, position, size) for position in positions])
        for head, scores in model.predict_on_batch(batch).items():
            views[head].append(np.asarray(scores))
        if progress is not None:
            progress(done, len(indices))
    merge = {"max": np.max, "mean": np.mean}
    rules = merge_rules(model.heads)
    return {head: merge[rules[head]](np.concatenate(scores), axis=0) for head, scores in views.items()}
