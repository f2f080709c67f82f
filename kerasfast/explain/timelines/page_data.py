"""What a timeline's page draws, small enough for a file: the lanes worth showing, one byte a score."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex

from kerasfast.explain.pages.template import json_for_script, plain_text
from kerasfast.explain.timelines.timeline import Segment, Timeline

# Budgets that together keep the whole page below 3 MiB. Two hours at one window a second are 7,200 windows, of which
# each of the 157 actions of Charades takes 11 kB.
_STEPS = 10_000  # their times take 0.2 MB
_LANE_BYTES = 2_000_000  # of names, scores and decisions
_SEGMENTS = 10_000  # seen, and as many true ones: 0.7 MB
# Classes that never score above are noise, unless they are among the highest of their head.
_FLOOR = 0.01
_ALWAYS = 10
_HEAD_ORDER = ("action", "verb", "object")
_RAMP = "magma"  # perceptually uniform
_RAMP_COLOURS = 64


@dataclass
class _Lane:
    head: str
    index: int
    label: str
    values: np.ndarray | None = None  # uint8, 255 at the peak; None for a class that only the annotations know
    peak: float = 0.0
    threshold: float | None = None
    seen: np.ndarray | None = None  # bool

    def row(self, scored: bool) -> dict[str, Any]:
        """What the page says of it."""
        return {
            "head": plain_text(self.head),
            "label": plain_text(self.label),
            "scored": scored,
            "peak": float(f"{self.peak:.5g}"),
            "threshold": None if self.threshold is None else float(f"{self.threshold:.5g}"),
        }


def page_data(timeline: Timeline) -> dict[str, Any]:
    """The values of a timeline for its page, ready for JSON.

    A score is stored as `value / 255 * peak` of its lane, off by at most 0.2 % of the peak, and whether the class is
    seen as a bit. More than 10,000 windows are put together in groups, of which each shows its highest score, and what
    is seen in any of its windows.

    Args:
        timeline: Scores and segments.

    Returns:
        `duration` in seconds; `starts` and `ends` of the steps; `group`, windows in a step; `lanes` by head, then by
        peak; `scores` in base64, the rows of the lanes that have some, and `decisions`, a bit each, the
        lowest of a byte first and each row from a new byte on; `seen` and `truth`, rows of (lane, start, end, score);
        `heads` with what was left out of each; `omitted`, segments left out; `ramps` of colours.

    Raises:
        ValueError: Scores, thresholds, decisions or times that do not fit together, or scores that are not finite.
    """
    _check(timeline)
    starts, ends, group = _steps(timeline)
    seen, truth = _kept(timeline.segments), _kept(timeline.truth)
    lanes, heads = _lanes(timeline, group, (*seen, *truth))
    number = {(lane.head, lane.index): position for position, lane in enumerate(lanes)}
    seen, truth = ([s for s in segments if (s.head, s.index) in number] for segments in (seen, truth))
    values = [lane.values for lane in lanes if lane.values is not None]
    decisions = [np.packbits(lane.seen, bitorder="little") for lane in lanes if lane.seen is not None]
    return {
        "duration": round(max([timeline.duration_seconds, *(s.end_seconds for s in (*seen, *truth))]), 3),
        "starts": np.round(starts.astype(float), 3).tolist(),
        "ends": np.round(ends.astype(float), 3).tolist(),
        "group": group,
        "lanes": [lane.row(lane.values is not None) for lane in lanes],
        "scores": _base64(values),
        "decisions": _base64(decisions),
        "seen": [_row(segment, number) for segment in seen],
        "truth": [_row(segment, number) for segment in truth],
        "heads": heads,
        "omitted": len(timeline.segments) + len(timeline.truth) - len(seen) - len(truth),
        "ramps": ramps(),
    }


def ramps() -> dict[str, list[str]]:
    """Colours from no score to the highest, as `#rrggbb`: towards the text's colour in both schemes."""
    # Without its ends, which would be invisible on a dark page and on a light one.
    colours = [to_hex(colour) for colour in colormaps[_RAMP](np.linspace(0.15, 0.95, _RAMP_COLOURS))]
    return {"light": colours[::-1], "dark": colours}


def label_of(timeline: Timeline, head: str, index: int) -> str:
    """Name of a class, `class 17` where the head has no names."""
    names = timeline.labels.get(head, ())
    return names[index] if index < len(names) else f"class {index}"


def threshold_of(timeline: Timeline, head: str, index: int) -> float:
    """Score from which a class counts as seen; infinite where its head has none, or answers with its highest class."""
    thresholds = timeline.thresholds.get(head)
    return float("inf") if thresholds is None or not np.any(thresholds) else float(thresholds[index])


def ordered_heads(timeline: Timeline) -> list[str]:
    """Heads in the order in which they are shown: actions, verbs, objects, then the others."""
    return sorted(timeline.scores, key=lambda head: (*_HEAD_ORDER, head).index(head))


def _check(timeline: Timeline) -> None:
    windows = len(timeline.starts)
    if len(timeline.ends) != windows:
        raise ValueError(f"Every window needs a start and an end. Received: {windows} and {len(timeline.ends)}.")
    for head, scores in timeline.scores.items():
        if scores.ndim != 2 or len(scores) != windows:
            raise ValueError(f"Scores of {head!r} must be ({windows}, classes), a row a window. Got: {scores.shape}.")
        if not np.isfinite(scores).all():
            raise ValueError(f"Scores must be finite. Those of {head!r} are not: check the weights of the model.")
        thresholds = np.shape(timeline.thresholds.get(head, np.zeros(scores.shape[1])))
        if thresholds != scores.shape[1:]:
            raise ValueError(f"{head!r} has {scores.shape[1]} classes and needs a threshold each. Got: {thresholds}.")
        if (seen := np.shape(timeline.sees(head))) != scores.shape:
            raise ValueError(f"What is seen of {head!r} must be {scores.shape}, as its scores are. Got: {seen}.")


def _steps(timeline: Timeline) -> tuple[np.ndarray, np.ndarray, int]:
    """Starts and ends of what the page draws as one step, and how many windows that is."""
    windows = len(timeline.starts)
    group = max(-(-windows // _STEPS), 1)
    firsts = np.arange(0, windows, group)
    return timeline.starts[firsts], timeline.ends[np.minimum(firsts + group, windows) - 1], group


def _lanes(timeline: Timeline, group: int, segments: Sequence[Segment]) -> tuple[list[_Lane], list[dict[str, Any]]]:
    """The lanes in order, and for each head its name, number of classes and what was left out."""
    needed = {(segment.head, segment.index): segment.label for segment in segments}
    steps = -(-len(timeline.starts) // group)
    coded = 4 * (steps + -(-steps // 8)) / 3  # bytes of a lane's scores and decisions in base64
    candidates: list[tuple[bool, int, float, _Lane]] = []  # those that come first are kept first; what they take
    for head in ordered_heads(timeline):
        peaks = timeline.scores[head].max(axis=0, initial=0)
        for rank, index in enumerate(np.argsort(-peaks, kind="stable").tolist()):
            wanted = needed.pop((head, index), None) is not None
            if wanted or rank < _ALWAYS or peaks[index] >= _FLOOR:
                threshold = threshold_of(timeline, head, index)
                lane = _Lane(head, index, label_of(timeline, head, index), peak=float(peaks[index]))
                lane.threshold = threshold if np.isfinite(threshold) else None
                candidates.append((not wanted, rank, coded, lane))
    scored = {id(lane) for *_, lane in candidates}
    unknown = [_Lane(head, index, label) for (head, index), label in needed.items()]
    candidates += [(False, rank, 0, lane) for rank, lane in enumerate(unknown)]
    # Where not all fit, each head keeps its highest.
    kept, room = set(), _LANE_BYTES
    for _, _, size, lane in sorted(candidates, key=lambda found: found[:2]):
        room -= size + len(json_for_script(lane.row(id(lane) in scored))) + 1
        if room < 0:
            break
        kept.add(id(lane))
    lanes = [lane for *_, lane in candidates if id(lane) in kept]
    seen = {head: timeline.sees(head) for head in timeline.scores}
    for lane in lanes:
        if id(lane) in scored:
            _quantise(lane, timeline.scores[lane.head][:, lane.index], seen[lane.head][:, lane.index], group)
    heads = [_head(timeline, head, lanes) for head in ordered_heads(timeline)]
    order = {head: position for position, head in enumerate(dict.fromkeys(lane.head for lane in lanes))}
    return sorted(lanes, key=lambda lane: order[lane.head]), heads


def _head(timeline: Timeline, head: str, lanes: Sequence[_Lane]) -> dict[str, Any]:
    shown = [lane.index for lane in lanes if lane.head == head and lane.values is not None]
    left_out = np.delete(timeline.scores[head].max(axis=0, initial=0), shown)
    return {
        "name": plain_text(head),
        "classes": timeline.scores[head].shape[1],
        "leftOut": len(left_out),
        "leftOutPeak": float(f"{left_out.max(initial=0):.2g}"),
    }


def _quantise(lane: _Lane, scores: np.ndarray, seen: np.ndarray, group: int) -> None:
    """Fills in the values of a lane, and in which steps it is seen."""
    scores = scores.astype(np.float64)
    if len(scores):
        firsts = np.arange(0, len(scores), group)
        scores, seen = np.maximum.reduceat(scores, firsts), np.logical_or.reduceat(seen, firsts)
    scale = 255 / lane.peak if lane.peak > 0 else 0.0
    lane.values = np.clip(np.rint(scores * scale), 0, 255).astype(np.uint8)
    lane.seen = seen


def _base64(rows: Sequence[np.ndarray]) -> str:
    return base64.b64encode(b"".join(row.tobytes() for row in rows)).decode()


def _kept(segments: Sequence[Segment]) -> list[Segment]:
    """The segments by start; where there are too many, those of the highest scores."""
    if len(segments) > _SEGMENTS:
        segments = sorted(segments, key=lambda segment: -(segment.score or 0))[:_SEGMENTS]
    return sorted(segments, key=lambda segment: (segment.start_seconds, segment.end_seconds))


def _row(segment: Segment, number: dict[tuple[str, int], int]) -> list[float | int | None]:
    score = None if segment.score is None else round(float(segment.score), 4)
    times = (round(float(segment.start_seconds), 3), round(float(segment.end_seconds), 3))
    return [number[segment.head, segment.index], *times, score]
