"""Annotated videos: one row a video, with timed actions. And the reader of Charades' format."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kerasfast.data.csv_rows import read_csv, read_seconds, shortened
from kerasfast.data.errors import DataError, RepeatedIdError
from kerasfast.data.labels import LabelSpace, parse_class_id
from kerasfast.data.records.folder import RecordFolder

NEEDED_COLUMNS = ("id", "subject", "actions", "length")
VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".webm", ".mov", ".m4v", ".mpg", ".mpeg", ".3gp")
VIDEO_SUFFIXES += (".wmv", ".flv", ".ts", ".mts", ".ogv")
FRAME_SUFFIXES = (".jpg", ".jpeg")
# An id becomes a file name, so it holds no separator and does not begin with a dot.
_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Segment:
    """One action and when it happens, in seconds from the start of the video; `start_seconds < end_seconds`.

    Args:
        action: The label, a number of the `LabelSpace`.
        start_seconds: When it begins.
        end_seconds: When it ends; infinite for an action that goes on to the end of the video.
    """

    action: int
    start_seconds: float
    end_seconds: float


@dataclass(frozen=True)
class VideoRow:
    """One annotated video.

    Args:
        id: What tells the video from all others: in Charades the name of its file without the ending, in a folder or
            list its path there.
        subject: Who acts, if listed; a split by subject keeps people apart.
        length_seconds: Length if listed; the file may differ a little.
        segments: Timed actions, inside 0 .. length_seconds, in the order of the file.
        line: Line of the annotation file, for messages; 0 where there is none.
        untimed: Actions of segments that were dropped because their times make no sense. They label the
            video, never a clip.
    """

    id: str
    subject: str
    length_seconds: float | None
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
            text += f", {len(self.dropped):,} reversed or empty segments dropped (lines {shortened(self.dropped)})"
        return text


@dataclass(frozen=True)
class Annotations:
    """Rows in the order of the file, and a report of what was found or corrected; `str(report)` says it in a line.

    `bad_rows` are the errors of the rows that were left out, where that was asked for.
    """

    rows: tuple[VideoRow, ...]
    report: Any
    bad_rows: tuple[DataError, ...] = field(default=(), kw_only=True)


@dataclass(frozen=True)
class LabelledVideos(Annotations):
    """Annotations that name the files of the videos and their classes too: what a folder or a list holds.

    `build_records(found, found.videos, found.labels, ...)` stores them.

    Args:
        rows: The videos.
        report: What was found.
        videos: File of each video by id, or folder of its frames, or address in a store.
        labels: The classes.
    """

    videos: Mapping[str, Path | str]
    labels: LabelSpace


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
    for line, fields in read_csv(path, NEEDED_COLUMNS, bad_rows if skip_bad else None):
        try:
            row = _read_row(fields, f"{path}:{line}", line, labels, tally)
            if row.id in lines:
                raise RepeatedIdError(
                    f"{path}:{line}: video {row.id!r} is listed a second time, first on line {lines[row.id]}. "
                    "Keep one of the two rows."
                )
        except DataError as error:
            if not skip_bad:
                raise
            bad_rows.append(error)
            continue
        lines[row.id] = line
        rows.append(row)
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
    return Annotations(tuple(rows), report, bad_rows=tuple(bad_rows))


def find_videos(
    rows: Iterable[VideoRow], folder: str | Path | RecordFolder, *, skip_missing: bool = False
) -> dict[str, Path | str]:
    """The video file of every row: `<id>.mp4`, or another usual ending, directly in `folder`.

    Args:
        rows: The annotated videos.
        folder: Folder of the video files, or its address in a store.
        skip_missing: Give a missing video the path that it should have, for a build with `skip_bad` to skip and list.

    Returns:
        Path or address by id.

    Raises:
        DataError: The folder does not exist, videos are missing (they are listed), or an id has two files.
    """
    opened = folder if isinstance(folder, RecordFolder) else RecordFolder(folder)
    if not opened.exists():
        raise DataError(f"{folder}: no such folder. Give the folder of the video files.")
    files: dict[str, list[str]] = {}
    for path in map(Path, opened.names("*")):
        if path.suffix.lower() in VIDEO_SUFFIXES:
            files.setdefault(path.stem, []).append(path.name)
    found = {row.id: files.get(row.id, [f"{row.id}.mp4"]) for row in rows}
    for name, names in found.items():
        if len(names) > 1:
            raise DataError(f"{folder}: video {name!r} has {len(names)} files, {' and '.join(names)}. Keep one.")
    _check_missing([name for name in found if name not in files], len(found), folder, ".mp4", skip_missing)
    paths = {name: opened.path(names[0]) for name, names in found.items()}
    return {name: path if opened.is_remote else Path(path) for name, path in paths.items()}


def find_frames(rows: Iterable[VideoRow], folder: str | Path, *, skip_missing: bool = False) -> dict[str, Path]:
    """The folder of JPEG frames of every row, `folder/<id>`, as in the frame archive of Charades.

    Args:
        rows: The annotated videos.
        folder: Folder of the folders.
        skip_missing: As in `find_videos`.

    Returns:
        Path by id.

    Raises:
        DataError: The folder does not exist, or holds no folder of some videos (they are listed).
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder. Give the folder that holds a folder of frames for each video.")
    found = {row.id: folder / row.id for row in rows}
    _check_missing([name for name, path in found.items() if not path.exists()], len(found), folder, "", skip_missing)
    return found


def is_frame_folder(path: Path) -> bool:
    """Whether a path is a folder of JPEG frames, which stands for a video."""
    return path.is_dir() and any(
        entry.suffix.lower() in FRAME_SUFFIXES and not entry.name.startswith(".") for entry in path.iterdir()
    )


def _check_missing(missing: list[str], total: int, folder: object, suffix: str, skip_missing: bool) -> None:
    if missing and not skip_missing:
        raise DataError(
            f"{folder}: {len(missing)} of {total} annotated videos have no file here ({shortened(missing)}). "
            f"Expected names such as {missing[0]}{suffix}; add the files or delete the rows."
        )


class _Tally:
    """Counts of one file, as its rows are read."""

    def __init__(self) -> None:
        self.segments = 0
        self.clipped_ends = 0
        self.late_starts: list[int] = []
        self.reversed_segments: list[int] = []
        self.dropped: list[int] = []


def _read_row(fields: dict[str, str], where: str, line: int, labels: LabelSpace, tally: _Tally) -> VideoRow:
    name, subject, actions, length = (fields[column] for column in NEEDED_COLUMNS)
    if not _ID.fullmatch(name):
        raise DataError(
            f"{where}: {name!r} cannot be a video id. Use letters, digits, '_', '-' and '.', as in '46GP8'."
        )
    length_seconds = read_seconds(length, "length", where)
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
    return action, read_seconds(fields[1], "start", where), read_seconds(fields[2], "end", where)
