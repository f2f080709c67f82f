"""One answer about a whole video, as a timeline of one window."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasfast.data.errors import DataError
from kerasfast.data.video import probe
from kerasfast.data.views import readable_length
from kerasfast.decoding import class_names
from kerasfast.explain.sources import Source, is_file, shown
from kerasfast.explain.timelines.segments import check_numbers, decisions, find_segments, seen_classes
from kerasfast.explain.timelines.timeline import Timeline
from kerasfast.train.operating.points import VIEW_KEYS
from kerasfast.train.predict import predict_video

if TYPE_CHECKING:
    from kerasfast.models.classifier import VideoClassifier
    from kerasfast.train.operating.points import OperatingPoints

VIEWS = (10, 3)


def is_whole(model: VideoClassifier, views: tuple[int, int] | None, every: float | None) -> bool:
    """Whether one answer is wanted: by its views, or because the model cannot see windows and none are asked for."""
    return views is not None or (model.sampling == "video" and every is None)


def predict_whole(
    source: Source,
    model: VideoClassifier,
    views: tuple[int, int] | None = None,
    *,
    points: OperatingPoints | None = None,
    threshold: float | Mapping[str, float] | None = None,
    top: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Timeline:
    """Scores of a whole video, by the protocol of `kerasfast.evaluate`.

    Args:
        source: A video file.
        model: The model.
        views: `(clips, crops)`; None: those that the operating points were fitted to, or `(10, 3)`.
        points: Operating points of the model.
        threshold: As in `kerasfast.explain.timelines.segments.decisions`.
        top: Keep so many classes of each head; None: all that are seen.
        progress: Called after each clip with the clips done and the clips in all.

    Returns:
        A timeline of one window, the video up to where it can be decoded; its segments are what is seen in it.

    Raises:
        DataError: Nothing of it can be decoded, or it is no file: views are spread over a video whose length is known.
        ValueError: `views` is out of range, or a score is NaN.
    """
    if not is_file(source):
        raise DataError(
            f"{shown(source)}: is no file, and views are spread over a video whose length is known. "
            "Leave views out, or give every, to score windows as they come."
        )
    rules = decisions(model.heads, points, threshold)
    fitted = points.protocol if points is not None else {}
    clips = 1 if model.sampling == "video" else VIEWS[0]
    options: dict[str, Any] = {"clips": clips, "crops": VIEWS[1]} | {
        key: fitted[key] for key in VIEW_KEYS if key in fitted
    }
    if views is not None:
        options |= {"clips": views[0], "crops": views[1]}
    scores, seconds, ended = _scores(source, model, options, progress)
    check_numbers(scores, model.name)
    notes = []
    if points is not None and any(fitted.get(key) != options[key] for key in ("clips", "crops")):
        notes.append(f"The operating points were fitted on {fitted['clips']} clips x {fitted['crops']} crops a video.")
    labels = {name: class_names(head) for name, head in model.heads.items()}
    starts, ends = np.zeros(1), np.array([seconds])
    rows = {name: np.asarray(scores[name], np.float32)[None] for name in model.heads}
    return Timeline(
        source=shown(source),
        model=model.name,
        starts=starts,
        ends=ends,
        scores=rows,
        labels=labels,
        thresholds={name: np.asarray(rule.thresholds, np.float64) for name, rule in rules.items()},
        segments=find_segments(starts, ends, rows, rules, labels, top),
        ended=ended,
        notes=(f"One answer about the whole video: {options['clips']} clips x {options['crops']} crops.", *notes),
        seen=seen_classes(rows, rules),
    )


def _scores(
    source: Any, model: VideoClassifier, options: Mapping[str, Any], progress: Callable[[int, int], None] | None
) -> tuple[dict[str, np.ndarray], float, str | None]:
    """Scores, the seconds that they are of, and why these are not all."""
    try:
        scores = predict_video(model, source, **options, progress=progress)
    except DataError:
        length, error = readable_length(source, model.clip.fps)
        if not length or error is None:
            raise
        scores = predict_video(model, source, **options, length=length, progress=progress)
        seconds = length / model.clip.fps
        return scores, seconds, shown(f"Broke off after {seconds:.1f} seconds. {error}")
    return scores, probe(source).duration_seconds, None
