"""Scores of one video: of all of it, by the protocol of a test, or of each stretch of time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasfast.data.stream import Window, stream
from kerasfast.data.views import check_crops, crops_of, scaled_clips
from kerasfast.train.views import merge_rules, merge_views

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
    length: int | None = None,
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
        length: Frames at `model.clip.fps` to look at, for a video whose end cannot be decoded; None: all.
        progress: Called after each clip with the clips done and the clips in all.

    Returns:
        Head name to `(classes,)` float32.

    Raises:
        DataError: The file cannot be decoded; names it.
        ValueError: `clips` or `crops` is out of range, or an unknown rule of merging.
    """
    check_crops(crops)
    rules = merge_rules(model.heads, merge)
    size = crop_size or model.variant.test_crop_size
    whole = model.sampling == "video"
    scaled = scaled_clips(path, model.clip, clips, size, whole=whole, length=length)
    views: dict[str, list[np.ndarray]] = {head: [] for head in model.heads}
    for done, frames in enumerate(scaled, start=1):
        for head, scores in _scores_of_crops(model, frames, crops, size).items():
            views[head].append(scores)
        if progress is not None:
            progress(done, 1 if whole else clips)
    return merge_views({head: np.concatenate(scores) for head, scores in views.items()}, rules)


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
        timeout: Seconds to wait for a source that gives nothing, as in `stream`.

    Returns:
        An iterator. What is left at the end, shorter than a stretch, is one more: its last frame repeats.

    Raises:
        DataError: The source cannot be opened; during the iteration, a file is damaged or a source breaks off.
        ValueError: `every` or `crops` is out of range, or the model's views are whole videos.
    """
    windows = windows_of(
        model, source, every=every, crops=crops, live=live, format=format, options=options, timeout=timeout
    )
    return (_timed(model, window, crops) for window in windows)


def windows_of(
    model: VideoClassifier, source: str | Path | int, *, every: float | None = None, crops: int = 1, **options: Any
) -> Iterator[Window]:
    """The windows that a timeline scores, of the scaled picture before the crop.

    Args:
        model: As in `predict_timeline`, as are `source`, `every` and `crops`.
        source: The video.
        every: Seconds from one window to the next.
        crops: Crops that `score_window` will take.
        **options: Arguments of `kerasfast.data.stream.stream` about the source: `live`, `ahead`, `format`, `options`,
            `timeout`.

    Raises:
        DataError: As `predict_timeline`.
        ValueError: As `predict_timeline`.
    """
    check_crops(crops)
    if model.sampling == "video":
        raise ValueError(
            f"A timeline needs a model that sees clips. Received: {model.name}, whose weights see frames of a whole "
            "video in one view. Use predict_video, or kerasfast.predict without every."
        )
    if every is not None and not 0 < every < float("inf"):
        raise ValueError(f"every must be a number of seconds above 0. Received: every={every!r}.")
    step = None if every is None else max(round(every * model.clip.fps), 1)
    size = model.variant.test_crop_size
    return stream(source, model.clip, step=step, short_side=size, crop_size=None, **options)


def score_window(model: VideoClassifier, frames: np.ndarray, crops: int = 1) -> dict[str, np.ndarray]:
    """Scores of one window: those of its crops, merged by the rule of each head.

    Args:
        model: The model.
        frames: A window of `windows_of`, uint8 `(T, h, w, 3)`.
        crops: 1 (centre) or 3.

    Returns:
        Head name to `(classes,)` float32.
    """
    views = _scores_of_crops(model, frames, crops, model.variant.test_crop_size)
    return merge_views(views, merge_rules(model.heads))


def _timed(model: VideoClassifier, window: Window, crops: int) -> TimedScores:
    scores = score_window(model, window.frames, crops)
    return TimedScores(window.start_seconds, window.end_seconds, scores, window)


def _scores_of_crops(model: VideoClassifier, scaled: np.ndarray, crops: int, size: int) -> dict[str, np.ndarray]:
    """Scores of the crops of one clip, `(crops, classes)` by head."""
    batch = crops_of(scaled, crops, size)
    return {head: np.asarray(scores) for head, scores in model.predict_on_batch(batch).items()}
