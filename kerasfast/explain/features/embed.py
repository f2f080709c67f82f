"""A video as vectors: the features of clip after clip, to search, cluster or train on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kerasfast.data.errors import DataError
from kerasfast.data.stream import Window
from kerasfast.data.video import OpenVideo
from kerasfast.data.views import crops_of, scaled_clips
from kerasfast.explain.sources import shown
from kerasfast.explain.timelines.watch import TIMEOUT_SECONDS
from kerasfast.train.predict import windows_of

if TYPE_CHECKING:
    from kerasfast.models.classifier import VideoClassifier

BATCH = 4  # windows that the network sees at once; more are no faster on a CPU


@dataclass(frozen=True, eq=False)
class Features:
    """Features of the windows that slide over a video.

    Attributes:
        source: The video: a path or an address.
        model: Name of the model.
        endpoint: The tensor of the model that they are, `pooled` or `embedding`.
        starts: When each window begins, in seconds after the first frame of the video, `(windows,)`.
        ends: When each ends, `(windows,)`.
        features: `(windows, channels)` float32.
        ended: Why the video was not seen to its end, or None.
        interrupted: Whether Ctrl-C is the reason.
    """

    source: str
    model: str
    endpoint: str
    starts: np.ndarray
    ends: np.ndarray
    features: np.ndarray
    ended: str | None = None
    interrupted: bool = False


def embed(
    model: VideoClassifier,
    video: str | Path,
    *,
    every: float | None = None,
    progress: Callable[[float], None] | None = None,
    keep_interrupted: bool = False,
) -> Features:
    """Features of one clip after the other, in constant memory but for the features themselves.

    They are what the heads see: the embedding of a model that has one, or else the pooled features of both pathways,
    slow before fast (2304 numbers for SlowFast R50), of the centre crop.

    Args:
        model: The network.
        video: A file, or an address of one or another source that ends.
        every: Seconds from the start of a window to that of the next, rounded to frames at `model.clip.fps`; None: its
            own length. A model that sees frames of the whole video gives one window.
        progress: Called after each batch with the seconds of video that are done.
        keep_interrupted: At Ctrl-C, return what there is, instead of KeyboardInterrupt.

    Returns:
        The features. Of a video that breaks off they are those of what could be decoded, and `ended` says where.

    Raises:
        DataError: The source cannot be opened, or nothing of it decoded.
        ValueError: `every` is out of range.

    >>> from kerasfast.registry import load
    >>> embed(load("slowfast_nano.miniature"), "kitchen.mp4", every=1).features.shape  # doctest: +SKIP
    (12, 320)
    """
    network, endpoint = _network(model)
    if model.sampling == "video":
        windows = _whole(model, video)
    else:
        windows = windows_of(model, video, every=every, live=False, ahead=True, timeout=TIMEOUT_SECONDS)
    done: list[tuple[np.ndarray, list[tuple[float, float]]]] = []
    ended, interrupted = None, False
    try:
        for views, times in _batches(model, windows):
            done.append((np.asarray(network.predict_on_batch(views)), times))
            if progress is not None:
                progress(times[-1][1])
    except DataError as error:
        if not done:
            raise
        ended = shown(f"Broke off after {done[-1][1][-1][1]:.1f} seconds. {error}")
    except KeyboardInterrupt:
        if not (done and keep_interrupted):
            raise
        interrupted = True
        ended = f"Interrupted after {done[-1][1][-1][1]:.1f} seconds."
    starts, ends = np.array([one for _, times in done for one in times]).T
    return Features(
        source=shown(video),
        model=model.name,
        endpoint=endpoint,
        starts=starts,
        ends=ends,
        features=np.concatenate([features for features, _ in done]),
        ended=ended,
        interrupted=interrupted,
    )


def _network(model: VideoClassifier) -> tuple[Any, str]:
    """What gives the features, and which they are."""
    endpoint = "embedding" if "embedding" in model.endpoints else "pooled"
    return keras.Model(model.input, model.endpoints[endpoint]), endpoint


def _whole(model: VideoClassifier, video: str | Path) -> Iterator[Window]:
    """The one window of a model that sees frames of the whole video."""
    with OpenVideo(video) as opened:
        seconds = opened.announced_length(model.clip.fps) / model.clip.fps
    for frames in scaled_clips(video, model.clip, 1, model.variant.test_crop_size, whole=True):
        yield Window(0, 0.0, seconds, frames)


def _batches(
    model: VideoClassifier, windows: Iterator[Window]
) -> Iterator[tuple[np.ndarray, list[tuple[float, float]]]]:
    """Centre crops of windows in batches, with their times; what came before an error is a batch too."""
    size = model.variant.test_crop_size
    views: list[np.ndarray] = []
    times: list[tuple[float, float]] = []
    try:
        for window in windows:
            views.append(crops_of(window.frames, 1, size)[0])
            times.append((window.start_seconds, window.end_seconds))
            if len(views) == BATCH:
                yield np.stack(views), times
                views, times = [], []
    except DataError:
        if views:
            yield np.stack(views), times
        raise
    if views:
        yield np.stack(views), times
