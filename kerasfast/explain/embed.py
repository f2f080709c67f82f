"""A video as vectors: the features of clip after clip, to search, cluster or train on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kerasfast.data.errors import DataError
from kerasfast.data.stream import Window, stream
from kerasfast.data.video import OpenVideo
from kerasfast.data.views import crops_of, scaled_clips

if TYPE_CHECKING:
    from kerasfast.models.classifier import VideoClassifier

BATCH = 4  # windows that the network sees at once; more are no faster on a CPU
INTERRUPTED = "interrupted"
_NO_FRAMES = np.empty((0, 0, 0, 3), np.uint8)


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
    """

    source: str
    model: str
    endpoint: str
    starts: np.ndarray
    ends: np.ndarray
    features: np.ndarray
    ended: str | None = None


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
        video: A file or another source that ends, as in `kerasfast.data.video.stream`.
        every: Seconds from the start of a window to that of the next, rounded to frames at `model.clip.fps`; by
            default a window's own length. A model that sees frames of the whole video gives one window.
        progress: Called after each batch with the seconds of video that are done.
        keep_interrupted: At Ctrl-C, return what there is, instead of KeyboardInterrupt.

    Returns:
        The features. Where a file breaks off or is damaged, those of the windows before, and `ended` says where.

    Raises:
        DataError: The source cannot be opened, or breaks off before the first window.
        ValueError: `every` is out of range.

    >>> from kerasfast.registry import load
    >>> embed(load("slowfast_nano.miniature"), "kitchen.mp4", every=1).features.shape  # doctest: +SKIP
    (12, 320)
    """
    network, endpoint = _network(model)
    windows = _whole(model, video) if model.sampling == "video" else _windows(model, video, every)
    done: list[tuple[list[Window], np.ndarray]] = []
    ended = None
    try:
        for batch in _batches(windows):
            views = np.stack([crops_of(window.frames, 1, model.variant.test_crop_size)[0] for window in batch])
            features = np.asarray(network.predict_on_batch(views))
            done.append(([replace(window, frames=_NO_FRAMES) for window in batch], features))
            if progress is not None:
                progress(batch[-1].end_seconds)
    except DataError as error:
        if not done:
            raise
        ended = str(error)
    except KeyboardInterrupt:
        if not (done and keep_interrupted):
            raise
        ended = INTERRUPTED
    seen = [window for batch, _ in done for window in batch]
    return Features(
        source=str(video),
        model=model.name,
        endpoint=endpoint,
        starts=np.array([window.start_seconds for window in seen]),
        ends=np.array([window.end_seconds for window in seen]),
        features=np.concatenate([features for _, features in done]),
        ended=ended,
    )


def _network(model: VideoClassifier) -> tuple[Any, str]:
    """What gives the features, and which they are."""
    endpoint = "embedding" if "embedding" in model.endpoints else "pooled"
    return keras.Model(model.inputs, model.endpoints[endpoint]), endpoint


def _windows(model: VideoClassifier, video: str | Path, every: float | None) -> Iterator[Window]:
    if every is not None and not 0 < every < float("inf"):
        raise ValueError(f"every must be a number of seconds above 0. Received: every={every!r}.")
    step = None if every is None else max(round(every * model.clip.fps), 1)
    return stream(video, model.clip, step=step, short_side=model.variant.test_crop_size, crop_size=None, live=False)


def _whole(model: VideoClassifier, video: str | Path) -> Iterator[Window]:
    """The one window of a model that sees frames of the whole video."""
    with OpenVideo(video) as opened:
        seconds = opened.announced_length(model.clip.fps) / model.clip.fps
    for frames in scaled_clips(video, model.clip, 1, model.variant.test_crop_size, whole=True):
        yield Window(0, 0.0, seconds, frames)


def _batches(windows: Iterator[Window]) -> Iterator[list[Window]]:
    """Windows in batches; what came before an error is a batch too, and then the error follows."""
    batch: list[Window] = []
    try:
        for window in windows:
            batch.append(window)
            if len(batch) == BATCH:
                yield batch
                batch = []
    except DataError:
        if batch:
            yield batch
        raise
    if batch:
        yield batch
