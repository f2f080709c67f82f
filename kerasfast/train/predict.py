"""Scores of one video: of all of it, by the protocol of a test, or of each stretch of time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kerasfast.data.clips import clip_indices, test_starts, whole_video_indices
from kerasfast.data.stream import Window, stream
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
    merge: str | Mapping[str, str] | None = None,
    crop_size: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, np.ndarray]:
    """Scores of a video, by the protocol of `kerasfast.evaluate`, which reads the same clips from records.

    Only the sampled frames are kept in memory. A video shorter than a clip repeats its last frame.

    Args:
        model: The model; its `clip` says which frames it takes, its `test_crop_size` their size.
        path: A video file.
        clips: Clips, spread evenly over the video; a model whose `sampling` is `video` takes one view of all of it.
        crops: Crops of a clip: 3 (left, centre, right or top, centre, bottom) or 1 (centre).
        merge: How the views become one score: `max` or `mean`, for all heads or by head; None: `max` for sigmoid heads,
            `mean` for softmax heads.
        crop_size: Side of a view in pixels; None: the architecture's.
        progress: Called after each clip with the clips done and the clips in all.

    Returns:
        Head name to `(classes,)` float32.

    Raises:
        DataError: The file cannot be decoded; names it.
        ValueError: `clips` or `crops` is out of range, or an unknown rule of merging.
    """
    check_crops(crops)
    rules = merge_rules(model.heads, merge)
    clip, size = model.clip, crop_size or model.variant.test_crop_size
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
        for head, scores in _scores_of_crops(model, scaled, crops, size).items():
            views[head].append(scores)
        if progress is not None:
            progress(done, len(indices))
    return _merged(rules, {head: np.concatenate(scores) for head, scores in views.items()})


@dataclass(frozen=True, eq=False)
class TimedScores:
    """Scores of a stretch of time.

    Args:
        start_seconds: When it begins, after the first frame of the source.
        end_seconds: When it ends.
        scores: Head name to `(classes,)` float32.
        window: The frames that were scored, of the scaled picture before the crop.
    """

    start_seconds: float
    end_seconds: float
    scores: dict[str, np.ndarray]
    window: Window


def predict_timeline(
    model: VideoClassifier,
    source: str | Path | int,
    *,
    every: float | None = None,
    crops: int = 1,
    live: bool | None = None,
    format: str | None = None,
    options: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> Iterator[TimedScores]:
    """Scores of one clip after the other, as a video of any length, or without end, is decoded; in constant memory.

    Args:
        model: The model; its `clip` says how long a stretch is.
        source: A file, pipe, address or camera, as in `kerasfast.data.video.stream`.
        every: Seconds from the start of a stretch to that of the next, rounded to frames at `model.clip.fps`; by
            default the stretch's own length.
        crops: Crops of a clip, merged by the rule of each head: 1 (centre) or 3.
        live: As in `stream`, as are `format`, `options` and `timeout`.
        format: FFmpeg's name of the input format.
        options: FFmpeg's options of the input.
        timeout: Seconds to wait for a network source.

    Returns:
        An iterator. What is left at the end, shorter than a stretch, is one more: its last frame repeats.

    Raises:
        DataError: The source cannot be opened; during the iteration, a file is damaged or a source breaks off.
        ValueError: `every` or `crops` is out of range, or the model's views are whole videos.
    """
    check_crops(crops)
    if model.sampling == "video":
        raise ValueError(
            f"A timeline needs a model that sees clips. Received: {model.name}, whose weights see frames of a whole "
            "video in one view. Use predict_video."
        )
    if every is not None and not 0 < every < float("inf"):
        raise ValueError(f"every must be a number of seconds above 0. Received: every={every!r}.")
    windows = stream(
        source,
        model.clip,
        step=None if every is None else max(round(every * model.clip.fps), 1),
        short_side=model.variant.test_crop_size,
        crop_size=None,
        live=live,
        format=format,
        options=options,
        timeout=timeout,
    )
    return (_timed(model, window, crops) for window in windows)


def check_crops(crops: int) -> None:
    """Refuses a number of crops that there is no rule for.

    Raises:
        ValueError: Neither 1 nor 3.
    """
    from kerasfast.data.pipeline.transforms import CROPS

    if crops not in (1, CROPS):
        raise ValueError(f"crops must be 1 or {CROPS}. Received: crops={crops}.")


def _timed(model: VideoClassifier, window: Window, crops: int) -> TimedScores:
    views = _scores_of_crops(model, window.frames, crops, model.variant.test_crop_size)
    scores = _merged(merge_rules(model.heads), views)
    return TimedScores(window.start_seconds, window.end_seconds, scores, window)


def _scores_of_crops(model: VideoClassifier, scaled: np.ndarray, crops: int, size: int) -> dict[str, np.ndarray]:
    """Scores of the crops of one clip, `(crops, classes)` by head."""
    from kerasfast.data.pipeline.transforms import crop_position

    batch = np.stack([crop_position(scaled, position, size) for position in ((1,) if crops == 1 else range(crops))])
    return {head: np.asarray(scores) for head, scores in model.predict_on_batch(batch).items()}


def _merged(rules: Mapping[str, str], views: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Scores `(views, classes)` as one `(classes,)`, by the rule of each head."""
    merge = {"max": np.max, "mean": np.mean}
    return {head: merge[rules[head]](scores, axis=0) for head, scores in views.items()}
