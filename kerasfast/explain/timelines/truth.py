"""Annotations of videos as segments of a timeline, so that what was seen can be held against them."""

from __future__ import annotations

import dataclasses
import math
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from kerasfast.data.annotations import NEEDED_COLUMNS, VideoRow, read_charades_csv
from kerasfast.data.csv_rows import read_header, shortened
from kerasfast.data.errors import DataError
from kerasfast.data.labels import LabelSpace, read_charades_classes
from kerasfast.data.listing import LIST_COLUMNS, read_list
from kerasfast.explain.sources import Source, is_camera, shown, title
from kerasfast.explain.timelines.timeline import Segment, Timeline


class Truth:
    """Annotations of videos, found by the video and put into the classes of a model by their names.

    Args:
        path: A CSV file in the format of Charades (`id`, `subject`, `actions` and `length`), with its four class files
            beside it, whose videos are found by the names of their files; or a list with the columns `path` and
            `label`, and `start` and `end` in seconds, whose videos are found by their paths.

    Raises:
        DataError: The file cannot be read, or is neither; names the file and the line.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        columns = read_header(self.path)
        self._videos: Mapping[str, Path | str] | None = None  # of a list, the file of each video
        if set(NEEDED_COLUMNS) <= set(columns):
            self.labels = read_charades_classes(self.path.parent)
            rows = read_charades_csv(self.path, self.labels).rows
        elif set(LIST_COLUMNS) <= set(columns):
            found = read_list(self.path, activation="sigmoid", skip_missing=True)
            self.labels, self._videos, rows = found.labels, found.videos, found.rows
        else:
            raise DataError(
                f"{self.path}:1: annotations have the columns {', '.join(NEEDED_COLUMNS)} (Charades), or "
                f"{', '.join(LIST_COLUMNS)} with start and end (a list). Received: {','.join(columns)!r}."
            )
        self._rows = {row.id: row for row in rows}

    def row(self, source: Source) -> VideoRow | None:
        """The annotations of a video; None if there are none, or several that could be meant."""
        if isinstance(source, int) or is_camera(source):
            return None
        name = PurePosixPath(title(source))
        if self._videos is None:
            return self._rows.get(name.stem) or self._rows.get(name.name)
        if isinstance(source, str):
            same = [row for row in self._rows if PurePosixPath(row).name == name.name]
            return self._rows[same[0]] if len(same) == 1 else None
        path = source.resolve()
        for row, video in self._videos.items():
            if Path(video).resolve() == path:
                return self._rows[row]
        # The list may have been moved away from its videos; a video that is where the list says is another one.
        moved = [row for row, video in self._videos.items() if not Path(video).exists() and _ends(path, row)]
        return self._rows[max(moved, key=lambda row: len(PurePosixPath(row).parts))] if moved else None

    def mark(self, timeline: Timeline, source: Source) -> Timeline:
        """A timeline with the annotations of its video; a note says so where there are none, or not for all classes.

        Args:
            timeline: What was seen.
            source: The video.
        """
        row = self.row(source)
        if row is None:
            return _noted(timeline, f"{shown(self.path)} has nothing about {title(source)}.")
        truth = truth_segments(row, self.labels, timeline.labels, timeline.duration_seconds)
        known = {_plain(name) for names in timeline.labels.values() for name in names}
        listed = {name for action in row.actions for name in _named(action, self.labels).values()}
        timeline = dataclasses.replace(timeline, truth=truth)
        if strange := sorted(name for name in listed if _plain(name) not in known):
            return _noted(timeline, f"Annotated, but no class of the model: {shown(shortened(strange))}.")
        return timeline


def truth_segments(
    row: VideoRow, labels: LabelSpace, heads: Mapping[str, Sequence[str]], duration_seconds: float
) -> tuple[Segment, ...]:
    """Annotations of a video, for the heads of a model.

    Classes are matched by name, upper and lower case alike. Of Charades, an action is also its verb and its object,
    each for the head of that name. A list has no heads; its label stands for every class of that name.

    Args:
        row: The timed actions.
        labels: Their classes.
        heads: Class names of the model by head, `Timeline.labels`.
        duration_seconds: When an action ends that goes on to the end of the video.

    Returns:
        Segments by head, then by start, then by class, with no score. Those of one class that touch are one.
    """
    times: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for action in row.segments:
        end = duration_seconds if math.isinf(action.end_seconds) else action.end_seconds
        if end <= action.start_seconds:
            continue  # begins after what was looked at, and ends nobody knows where
        for of, name in _named(action.action, labels).items():
            for head, names in heads.items():
                if labels.implied and head != of:
                    continue
                for index, known in enumerate(names):
                    if _plain(known) == _plain(name):
                        times.setdefault((head, index), []).append((action.start_seconds, end))
    found = [
        Segment(head, index, heads[head][index], start, end)
        for (head, index), spans in times.items()
        for start, end in _joined(spans)
    ]
    order = list(heads)
    return tuple(sorted(found, key=lambda one: (order.index(one.head), one.start_seconds, one.index)))


def _named(action: int, labels: LabelSpace) -> dict[str, str]:
    """By head the class that an action is, or implies."""
    classes = {head: int(numbers[action]) for head, numbers in labels.classes.items()}
    return {head: labels.heads[head][index] for head, index in classes.items() if index >= 0}


def _joined(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    joined: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((start, end))
    return joined


def _noted(timeline: Timeline, note: str) -> Timeline:
    return dataclasses.replace(timeline, notes=(*timeline.notes, note))


def _ends(path: Path, listed: str) -> bool:
    parts = PurePosixPath(listed).parts
    return path.parts[-len(parts) :] == parts


def _plain(name: str) -> str:
    return " ".join(unicodedata.normalize("NFC", name).casefold().split())
