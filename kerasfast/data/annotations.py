"""Annotations in the format of Charades: one row a video, with timed actions."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kerasfast.data.errors import DataError, RepeatedIdError
from kerasfast.data.labels import LabelSpace, parse_class_id

NEEDED_COLUMNS = ("id", "subject", "actions", "length")
VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".webm", ".mov", ".m4v", ".mpg", ".mpeg", ".3gp")
# An id becomes a file name, so it holds no separator and does not begin with a dot.
_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_MESSAGE_ITEMS = 10  # longer lists are cut in a message


@dataclass(frozen=True)
class Segment:
    """One action and when it happens, in seconds from the start of the video; `start_seconds < end_seconds`."""

    action: int
    start_seconds: float
    end_seconds: float


@dataclass(frozen=True)
class VideoRow:
    """One annotated video.

    Args:
        id: Name of the video file without its ending.
        subject: Who acts; a split by subject keeps people apart.
        length_seconds: Length as listed; the file may differ a little.
        segments: Timed actions, inside 0 .. length_seconds, in the order of the file.
        line: Line of the annotation file, for messages.
        untimed: Actions of segments that were dropped because their times make no sense. They label the
            video, never a clip.
    """

    id: str
    subject: str
    length_seconds: float
    segments: tuple[Segment, ...]
    line: int
    untimed: tuple[int, ...] = ()

    @property
    def actions(self) -> tuple[int, ...]:
        """The distinct actions of the whole video, sorted: its labels in an evaluation.

        Dropped segments count here, as in the official evaluation of Charades, which ignores times.
        """
        return tuple(sorted({segment.action for segment in self.segments} | set(self.untimed)))


@dataclass(frozen=True)
class AnnotationReport:
    """What `read_charades_csv` found.

    Args:
        videos: Rows.
        without_actions: Rows that list no action.
        segments: Segments listed, the dropped ones included.
        clipped_ends: Segments whose listed end lies past the listed length.
        late_starts: Lines of the segments that start at or after the listed length.
        reversed_segments: Lines of the segments that end at or before their start. A segment can be both.
        dropped: Lines of the segments that nothing is left of, for one or both of these reasons.
    """

    videos: int
    without_actions: int
    segments: int
    clipped_ends: int
    late_starts: tuple[int, ...]
    reversed_segments: tuple[int, ...]
    dropped: tuple[int, ...]

    def __str__(self) -> str:
        text = (
            f"{self.videos:,} videos ({self.without_actions:,} without actions), {self.segments:,} segments, "
            f"{self.clipped_ends:,} ends past the video clipped"
        )
        if self.dropped:
            text += f", {len(self.dropped):,} reversed or empty segments dropped (lines {_cut(self.dropped)})"
        return text


@dataclass(frozen=True)
class Annotations:
    """Rows in the order of the file, what was corrected in them, and the errors of those that were left out."""

    rows: tuple[VideoRow, ...]
    report: AnnotationReport
    bad_rows: tuple[DataError, ...] = ()


def read_charades_csv(path: str | Path, labels: LabelSpace, *, skip_bad: bool = False) -> Annotations:
    """Reads annotations in the format of Charades.

    A CSV file with a header that holds at least `id`, `subject`, `actions` and `length` (seconds), where
    `actions` is empty or "c092 11.90 21.20;c147 0.00 12.60" (class, start, end in seconds). The official
    files list ends past the video (29 % of the segments) and a few segments with end <= start. Ends are
    clipped to `length`; a segment that then has no length is dropped: its action still labels the video, as
    in the official evaluation, but no clip.

    Args:
        path: The CSV file.
        labels: Its classes.
        skip_bad: Leave out rows that break the format, and keep their errors, instead of raising the first.

    Returns:
        The rows and a report of what was corrected.

    Raises:
        DataError: The file cannot be read, or a row breaks the format; names the file and the line.
    """
    path = Path(path)
    rows: list[VideoRow] = []
    lines: dict[str, int] = {}
    bad_rows: list[DataError] = []
    tally = _Tally()
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            columns = _read_header(path, next(reader, []))
            line = reader.line_num + 1
            for fields in reader:
                try:
                    if fields:
                        row = _read_row(fields, columns, f"{path}:{line}", line, labels, tally)
                        if row.id in lines:
                            raise RepeatedIdError(
                                f"{path}:{line}: video {row.id!r} is listed a second time, first on line "
                                f"{lines[row.id]}. Keep one of the two rows."
                            )
                        lines[row.id] = line
                        rows.append(row)
                except DataError as error:
                    if not skip_bad:
                        raise
                    bad_rows.append(error)
                line = reader.line_num + 1
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a CSV file ({error}). Give a UTF-8 CSV file.") from error
    if not rows and not bad_rows:
        raise DataError(f"{path}: holds no video, only a header. Give a file with at least one row.")
    report = AnnotationReport(
        videos=len(rows),
        without_actions=sum(not row.actions for row in rows),
        segments=tally.segments,
        clipped_ends=tally.clipped_ends,
        late_starts=tuple(tally.late_starts),
        reversed_segments=tuple(tally.reversed_segments),
        dropped=tuple(tally.dropped),
    )
    return Annotations(tuple(rows), report, tuple(bad_rows))


def find_videos(rows: Iterable[VideoRow], folder: str | Path, *, skip_missing: bool = False) -> dict[str, Path]:
    """The video file of every row: `<id>.mp4`, or another usual ending, directly in `folder`.

    Args:
        rows: The annotated videos.
        folder: Folder of the video files.
        skip_missing: Give a missing video the path that it should have, for a build with `skip_bad` to skip and list.

    Returns:
        Path by id.

    Raises:
        DataError: The folder does not exist, videos are missing (they are listed), or an id has two files.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder. Give the folder of the video files.")
    files: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in VIDEO_SUFFIXES:
            files.setdefault(path.stem, []).append(path)
    found: dict[str, Path] = {}
    missing: list[str] = []
    for row in rows:
        paths = files.get(row.id, [])
        if len(paths) > 1:
            names = " and ".join(path.name for path in paths)
            raise DataError(f"{folder}: video {row.id!r} has {len(paths)} files, {names}. Keep one of them.")
        if paths:
            found[row.id] = paths[0]
        else:
            missing.append(row.id)
    if skip_missing:
        found.update({name: folder / f"{name}.mp4" for name in missing})
    elif missing:
        raise DataError(
            f"{folder}: {len(missing)} of {len(missing) + len(found)} annotated videos have no file here "
            f"({_cut(missing)}). Expected names such as {missing[0]}.mp4; add the files or delete the rows."
        )
    return found


class _Tally:
    """Counts of one file, as its rows are read."""

    def __init__(self) -> None:
        self.segments = 0
        self.clipped_ends = 0
        self.late_starts: list[int] = []
        self.reversed_segments: list[int] = []
        self.dropped: list[int] = []


def _read_header(path: Path, header: list[str]) -> dict[str, int]:
    columns = {name.strip(): position for position, name in enumerate(header)}
    missing = [name for name in NEEDED_COLUMNS if name not in columns]
    if missing:
        raise DataError(
            f"{path}:1: the header lacks {', '.join(missing)}. Received: {','.join(header)!r}. "
            f"The first line names the columns and must hold {', '.join(NEEDED_COLUMNS)}."
        )
    if len(columns) != len(header):
        raise DataError(f"{path}:1: the header names a column twice. Received: {','.join(header)!r}.")
    return columns


def _read_row(
    fields: list[str], columns: dict[str, int], where: str, line: int, labels: LabelSpace, tally: _Tally
) -> VideoRow:
    if len(fields) != len(columns):
        raise DataError(
            f"{where}: {len(fields)} fields, but the header names {len(columns)}. "
            "Put a field that holds commas in double quotes."
        )
    name, subject, actions, length = (fields[columns[column]].strip() for column in NEEDED_COLUMNS)
    if not _ID.fullmatch(name):
        raise DataError(
            f"{where}: {name!r} cannot be a video id. Use letters, digits, '_', '-' and '.', as in '46GP8'."
        )
    length_seconds = _read_seconds(length, "length", where)
    if length_seconds == 0:
        raise DataError(f"{where}: length must be positive. Received: {length!r}. Give the seconds of the video.")
    segments: list[Segment] = []
    untimed: list[int] = []
    for text in actions.split(";") if actions else []:
        action, start, end = _read_action(text, where, labels)
        tally.segments += 1
        tally.clipped_ends += end > length_seconds
        if start >= length_seconds:
            tally.late_starts.append(line)
        if end <= start:
            tally.reversed_segments.append(line)
        if start < min(end, length_seconds):
            segments.append(Segment(action, start, min(end, length_seconds)))
        else:
            tally.dropped.append(line)
            untimed.append(action)
    return VideoRow(name, subject, length_seconds, tuple(segments), line, tuple(untimed))


def _read_action(text: str, where: str, labels: LabelSpace) -> tuple[int, float, float]:
    fields = text.split()
    if len(fields) != 3:
        raise DataError(
            f"{where}: an action is 'class start end' in seconds, actions are joined by ';'. Received: {text!r}."
        )
    action = parse_class_id(fields[0], "c", labels.sizes["action"], where)
    return action, _read_seconds(fields[1], "start", where), _read_seconds(fields[2], "end", where)


def _read_seconds(text: str, name: str, where: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise DataError(f"{where}: {name} must be a number of seconds, 0 or more. Received: {text!r}.")
    return seconds


def _cut(items: Iterable[object]) -> str:
    """The first items of a list, for a message."""
    texts = [str(item) for item in items]
    more = [f"... {len(texts) - _MESSAGE_ITEMS} more"] if len(texts) > _MESSAGE_ITEMS else []
    return ", ".join(texts[:_MESSAGE_ITEMS] + more)
