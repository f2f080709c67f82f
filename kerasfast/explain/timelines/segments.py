"""From scores of windows to what is seen when: segments with a beginning, an end and a score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from kerasfast.explain.timelines.timeline import Segment
from kerasfast.train.operating.points import HeadPoint

if TYPE_CHECKING:
    from kerasfast.models.heads import Head
    from kerasfast.train.operating.points import OperatingPoints

THRESHOLD = 0.5  # of a sigmoid head for which nothing was fitted
_TOUCH_SECONDS = 1e-6  # windows that lie side by side share a time, up to rounding


def check_numbers(scores: Mapping[str, np.ndarray], model: str, when: str = "") -> None:
    """Refuses scores that are NaN, before they are compared with thresholds.

    Args:
        scores: Head name to scores.
        model: Name of the model, for the message.
        when: Where in the video, for the message.

    Raises:
        ValueError: One is NaN; names the head.
    """
    for head, values in scores.items():
        if np.isnan(values).any():
            raise ValueError(
                f"Scores must be numbers. Received: NaN from head {head!r} of {model}{when}. "
                "Its weights have diverged, or are not those of this model."
            )


def decisions(
    heads: Mapping[str, Head],
    points: OperatingPoints | None = None,
    threshold: float | Mapping[str, float] | None = None,
) -> dict[str, HeadPoint]:
    """From which score on a class counts as seen, head by head.

    Args:
        heads: Heads of the model.
        points: Operating points of the run, with their thresholds, calibration and "no action".
        threshold: A score, for all heads or by head, in place of the operating points. A softmax head still answers
            with its highest class alone, and only where that reaches the score.

    Returns:
        Head name to its rule: that of `threshold`, else the operating point, else 0.5 for a sigmoid head and the
        highest class for a softmax head.

    Raises:
        ValueError: A threshold outside of 0 to 1, or of a head that the model lacks.
    """
    asked = dict(threshold) if isinstance(threshold, Mapping) else dict.fromkeys(heads, threshold)
    if unknown := sorted(set(asked) - set(heads)):
        raise ValueError(f"The model has the heads {', '.join(heads)}. Received: a threshold of {', '.join(unknown)}.")
    for score in asked.values():
        if score is not None and not 0 <= score <= 1:
            raise ValueError(f"threshold must be a score from 0 to 1. Received: threshold={score!r}.")
    found = {}
    for name, head in heads.items():
        score = asked.get(name)
        if score is None and points is not None and name in points.heads:
            found[name] = points.heads[name]
        elif head.activation == "softmax":
            found[name] = HeadPoint("softmax", (0.0,) * head.classes, no_action_below=score or 0.0)
        else:
            found[name] = HeadPoint("sigmoid", (THRESHOLD if score is None else score,) * head.classes)
    return found


def seen_classes(scores: Mapping[str, np.ndarray], rules: Mapping[str, HeadPoint]) -> dict[str, np.ndarray]:
    """Which classes the answer of each window has: head name to bool `(windows, classes)`, of `scores` alike."""
    return {
        head: rules[head].decide(values) if len(values) else np.zeros(values.shape, bool)
        for head, values in scores.items()
    }


def find_segments(
    starts: Sequence[float] | np.ndarray,
    ends: Sequence[float] | np.ndarray,
    scores: Mapping[str, np.ndarray],
    rules: Mapping[str, HeadPoint],
    labels: Mapping[str, Sequence[str]],
    top: int | None = None,
) -> tuple[Segment, ...]:
    """Windows in which a class is seen, joined where they touch or overlap.

    A gap stays a gap, however short: of the time between windows that do not touch nothing is known, and a window that
    lies between two others and does not see the class has said so. Windows that overlap may close it all the same, as
    two of them can cover the whole of a third.

    Args:
        starts: When each window begins, in seconds, not decreasing, `(windows,)`.
        ends: When each ends, `(windows,)`.
        scores: Head name to `(windows, classes)`.
        rules: Head name to the rule that says which classes are seen, as `decisions` gives them.
        labels: Head name to class names.
        top: Keep so many classes of each head, those whose best segment has the highest score; None: all.

    Returns:
        Segments by head, then by start, then by class. The score is the highest among the windows that see the class.
    """
    found: list[Segment] = []
    for head, values in scores.items():
        if not len(values):
            continue
        seen = rules[head].decide(values)
        classes: list[int] = np.flatnonzero(seen.any(axis=0)).tolist()
        if top is not None:
            highest = np.where(seen, values, -np.inf).max(axis=0)
            classes = sorted(classes, key=lambda c: -highest[c])[:top]
        of_head = [
            Segment(head, c, labels[head][c], start, end, score)
            for c in classes
            for start, end, score in _joined(starts, ends, values[:, c], np.flatnonzero(seen[:, c]))
        ]
        found += sorted(of_head, key=lambda segment: (segment.start_seconds, segment.index))
    return tuple(found)


def _joined(
    starts: Sequence[float] | np.ndarray, ends: Sequence[float] | np.ndarray, scores: np.ndarray, windows: np.ndarray
) -> list[tuple[float, float, float]]:
    """Start, end and highest score of each run of windows that touch."""
    joined: list[tuple[float, float, float]] = []
    for window in windows:
        start, end, score = float(starts[window]), float(ends[window]), float(scores[window])
        if joined and start <= joined[-1][1] + _TOUCH_SECONDS:
            first, last, best = joined[-1]
            joined[-1] = first, max(last, end), max(best, score)
        else:
            joined.append((start, end, score))
    return joined
