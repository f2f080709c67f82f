"""A timeline as text: JSON, CSV and SRT subtitles."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kerasfast.data.files import write_text
from kerasfast.explain.timelines.timeline import Segment, Timeline

FORMAT = "kerasfast-timeline-1"
CSV_COLUMNS = ("source", "head", "index", "label", "start_seconds", "end_seconds", "score")


def to_json(timeline: Timeline, *, top: int = 5, windows: bool = False) -> str:
    """A timeline as JSON.

    An object of: `format` ("kerasfast-timeline-1", another number where a field changes its meaning), `source` and
    `model` (text), `duration_seconds` (of what was looked at), `ended` (why that is not all of the video, or null),
    `notes` (a list of sentences), `heads` (by head `labels` and `thresholds`, lists over the classes; 0 where a head
    answers with its highest class), `best` (by head a list of the classes with the highest scores of any window, each
    `index`, `label`, `score`), `segments` and `truth` (lists of `head`, `index`, `label`, `start_seconds`,
    `end_seconds`, `score`; the score of an annotation is null). With `windows`, also `windows`: `start_seconds` and
    `end_seconds`, lists over the windows, and `scores`, by head a list over the windows of lists over the classes.
    Times are seconds after the first frame.

    Args:
        timeline: The timeline.
        top: Classes of each head in `best`.
        windows: Whether to add the scores of every window.
    """
    values: dict[str, Any] = {
        "format": FORMAT,
        "source": timeline.source,
        "model": timeline.model,
        "duration_seconds": round(timeline.duration_seconds, 3),
        "ended": timeline.ended,
        "notes": list(timeline.notes),
        "heads": {
            head: {"labels": list(labels), "thresholds": [float(t) for t in timeline.thresholds[head]]}
            for head, labels in timeline.labels.items()
        },
        "best": {
            head: [{"index": one.index, "label": one.label, "score": _score(one.score)} for one in found]
            for head, found in timeline.best(top).items()
        },
        "segments": [_plain(segment) for segment in timeline.segments],
        "truth": [_plain(segment) for segment in timeline.truth],
    }
    if windows:
        values["windows"] = {
            "start_seconds": [round(float(t), 3) for t in timeline.starts],
            "end_seconds": [round(float(t), 3) for t in timeline.ends],
            "scores": {
                head: [[_score(one) for one in row] for row in scores] for head, scores in timeline.scores.items()
            },
        }
    return json.dumps(values, indent=None if windows else 1, allow_nan=False) + "\n"


def to_csv(timeline: Timeline) -> str:
    """The segments as CSV, a row each below a row of `CSV_COLUMNS`; a cell with a comma or new line is quoted."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(CSV_COLUMNS)
    for segment in timeline.segments:
        rows.writerow([timeline.source, *_plain(segment).values()])
    return text.getvalue()


def to_srt(timeline: Timeline, *, top: int | None = None) -> str:
    """The segments as SubRip subtitles, for any player: a line a head, of the classes that are seen then.

    Where a class begins or ends, a subtitle ends and the next begins, so that none overlaps another. In a label, what
    SubRip or a player would read as its own (new lines, arrows, tags) is replaced by what looks alike.

    Args:
        timeline: The timeline.
        top: Classes on a line, those with the highest scores; None: all.
    """
    cues = []
    for start, end, seen in _stretches(timeline.segments):
        lines = [f"{head}: {', '.join(map(_inert, labels[:top]))}" for head, labels in seen.items()]
        cues.append(f"{len(cues) + 1}\n{_clock(start)} --> {_clock(end)}\n" + "\n".join(lines) + "\n")
    return "\n".join(cues)


FORMS: dict[str, Callable[..., str]] = {"json": to_json, "csv": to_csv, "srt": to_srt}


def write_form(timeline: Timeline, path: Path, form: str, **options: Any) -> Path:
    """Writes a timeline so that the file appears only once it is whole.

    Args:
        timeline: The timeline.
        path: The file.
        form: `json`, `csv` or `srt`.
        **options: Those of `to_json` and `to_srt`.

    Raises:
        ValueError: Another form.
    """
    if form not in FORMS:
        raise ValueError(f"A timeline is written as {', '.join(FORMS)}. Received: {form!r}.")
    write_text(path, FORMS[form](timeline, **options))
    return path


def _plain(segment: Segment) -> dict[str, Any]:
    return {
        "head": segment.head,
        "index": segment.index,
        "label": segment.label,
        "start_seconds": round(segment.start_seconds, 3),
        "end_seconds": round(segment.end_seconds, 3),
        "score": None if segment.score is None else _score(segment.score),
    }


def _score(score: Any) -> float:
    return round(float(score), 6)


def _stretches(segments: tuple[Segment, ...]) -> list[tuple[int, int, dict[str, list[str]]]]:
    """Start and end in milliseconds, and by head the labels seen, of each stretch in which these stay the same."""
    begins: dict[int, list[tuple[int, Segment]]] = {}
    for one in segments:
        begins.setdefault(round(1000 * one.start_seconds), []).append((round(1000 * one.end_seconds), one))
    bounds = sorted({*begins, *(end for timed in begins.values() for end, _ in timed)})
    heads = dict.fromkeys(one.head for one in segments)
    found: list[tuple[int, int, dict[str, list[str]]]] = []
    going: list[tuple[int, Segment]] = []
    for start, end in itertools.pairwise(bounds):
        going = [timed for timed in [*going, *begins.get(start, ())] if timed[0] > start]
        seen = sorted((one for _, one in going), key=lambda one: (-(one.score or 0), one.index))
        if seen:
            labels = {head: [one.label for one in seen if one.head == head] for head in heads}
            found.append((start, end, {head: names for head, names in labels.items() if names}))
    return found


def _inert(label: str) -> str:
    """A label on one line, without what SubRip (`-->`), its tags (`<b>`) or those of SSA (in braces) would be."""
    label = "".join(c for c in " ".join(label.split()) if c.isprintable())
    label = re.sub(r"-{2,}>", "->", label)
    return re.sub(r"<(?=[/!a-zA-Z])", "\u2039", label).replace("{\\", "(\\")


def _clock(milliseconds: int) -> str:
    """00:01:05,500 of 65500."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d},{rest:03d}"
