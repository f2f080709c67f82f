"""What happens in videos, and when: `kerasfast.predict`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from kerasfast.explain import DEFAULT_MODEL
from kerasfast.explain.sources import Source, find_sources
from kerasfast.explain.timelines.timeline import Timeline
from kerasfast.explain.timelines.truth import Truth
from kerasfast.explain.timelines.watch import TIMEOUT_SECONDS, Watch
from kerasfast.explain.timelines.whole import is_whole, predict_whole

if TYPE_CHECKING:
    from kerasfast.models.classifier import VideoClassifier
    from kerasfast.train.operating.points import OperatingPoints


def predict(
    videos: Source | Iterable[Source],
    model: str | Path | VideoClassifier = DEFAULT_MODEL,
    *,
    every: float | None = None,
    crops: int = 1,
    views: tuple[int, int] | None = None,
    threshold: float | Mapping[str, float] | None = None,
    top: int | None = None,
    points: OperatingPoints | None = None,
    truth: str | Path | Truth | None = None,
    live: bool | None = None,
    timeout: float | None = TIMEOUT_SECONDS,
    progress: Callable[[float], None] | None = None,
) -> Iterator[Timeline]:
    """What is seen in videos, and when, by windows that slide over each.

    The next window is decoded while the model looks at the present one. The pictures of at most two windows are in
    memory, however long the video is; the scores of all windows are kept.

    Args:
        videos: One or several files, folders (videos at any depth), patterns (`day/*.mp4`), addresses of files or
            streams, or cameras (a number, or "/dev/video0"), as in `kerasfast.explain.sources.find_sources`.
        model: A name of the zoo, the folder of a run, or a model.
        every: Seconds from the start of a window to that of the next; None: its own length, so that they lie side by
            side.
        crops: Crops of a window, 1 (centre) or 3, merged by the rule of each head.
        views: `(clips, crops)`, such as `(10, 3)`: one answer about each whole video instead, by the protocol of
            `kerasfast.evaluate`; the timeline has one window then. Of a model whose `sampling` is `video` there is no
            other.
        threshold: Score from which a class counts as seen, for all heads or by head; None: that of the operating points
            of the run, else 0.5 for sigmoid heads. A softmax head answers with its highest class.
        top: Keep the segments of so many classes of each head; None: of all.
        points: Operating points of a `model` that is no name or folder.
        truth: Annotations, or the CSV file of them, as in `kerasfast.explain.timelines.truth.Truth`; a timeline gets
            those of its video.
        live: Skip windows that the model is too slow for; None: for cameras alone.
        timeout: Seconds to wait for an address, pipe or camera that gives nothing; None: for ever.
        progress: Called after each window with the seconds of the video that were looked at.

    Returns:
        An iterator over one `Timeline` a video, in order. Of a video that breaks off it has what could be decoded, and
        `ended` says where and why. Of a source without end there is nothing until it ends:
        `kerasfast.train.predict.predict_timeline` gives each window as it comes.

    Raises:
        DataError: At once, a file that is missing, a folder without videos, a pattern without a match, or annotations
            that cannot be read; during the iteration, a video of which nothing can be decoded.
        ValueError: An argument is out of its range, or the model has no trained weights.

    >>> import tempfile
    >>> import numpy as np
    >>> from kerasfast.data.video_writer import write_video
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_video(f"{folder}/grey.mp4", [np.full((64, 64, 3), 99, "uint8")] * 48, fps=24)
    ...     (timeline,) = predict(f"{folder}/*.mp4", every=1)
    >>> timeline.starts.tolist(), timeline.duration_seconds, timeline.scores["verb"].shape
    ([0.0, 1.0], 2.0, (2, 8))
    """
    sources = find_sources(videos)
    if views is not None and (every is not None or crops != 1):
        raise ValueError(
            "views=(clips, crops) spreads clips over the whole video, every and crops are about windows. Give one."
        )
    annotated = truth if truth is None or isinstance(truth, Truth) else Truth(truth)  # before a model is loaded
    network, fitted = opened(model, points)

    spread = is_whole(network, views, every)

    def run() -> Iterator[Timeline]:
        for source in sources:
            if spread:
                found = predict_whole(source, network, views, points=fitted, threshold=threshold, top=top)
                if progress is not None:
                    progress(found.duration_seconds)
                yield found if annotated is None else annotated.mark(found, source)
                continue
            options = {"every": every, "crops": crops, "live": live, "timeout": timeout}
            watch = Watch(source, network, points=fitted, threshold=threshold, **options)
            for window in watch:
                if progress is not None:
                    progress(window.end_seconds)
            found = watch.timeline(top)
            yield found if annotated is None else annotated.mark(found, source)

    return run()


def opened(
    model: str | Path | VideoClassifier, points: OperatingPoints | None = None
) -> tuple[VideoClassifier, OperatingPoints | None]:
    """A model by its name or the folder of its run, with the operating points of that run."""
    if not isinstance(model, (str, Path)):
        return model, points
    from kerasfast.train.operating.points import OperatingPoints
    from kerasfast.train.run import load_model

    if points is not None:
        raise ValueError("points belong to a model that is given as such; a run has its own. Leave points out.")
    network = load_model(model)
    return network, OperatingPoints.of_run(model, network)
