"""A CSV list of videos with their labels, timed or not. NumPy only."""

from __future__ import annotations

import math
import posixpath
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kerasfast.data.annotations import LabelledVideos, Segment, VideoRow
from kerasfast.data.csv_rows import read_csv, read_seconds, shortened
from kerasfast.data.errors import DataError
from kerasfast.data.labels import ACTIVATIONS, LabelSpace
from kerasfast.data.records.folder import is_address

LIST_COLUMNS = ("path", "label")
_HEADS = {"action": "label"}


@dataclass(frozen=True)
class ListReport:
    """What `read_list` found.

    Args:
        videos: Videos.
        rows: Lines that list them.
        timed: Lines with a start or an end.
        class_videos: For each head, number of videos by class.
        activations: For each head "softmax" (one class at a time) or "sigmoid".
    """

    videos: int
    rows: int
    timed: int
    class_videos: dict[str, dict[str, int]]
    activations: dict[str, str]

    def __str__(self) -> str:
        heads = "; ".join(
            f"{head}, {'one class at a time' if self.activations[head] == 'softmax' else 'any number of classes'}: "
            + shortened(f"{name} {videos:,}" for name, videos in counts.items())
            for head, counts in self.class_videos.items()
        )
        return f"{self.videos:,} videos on {self.rows:,} lines, {self.timed:,} of them timed; {heads}"


@dataclass(frozen=True)
class _Line:
    """A line of the list: its number, the names of its classes by head, and its times."""

    number: int
    names: dict[str, str]
    start: float
    end: float
    timed: bool


def read_list(
    path: str | Path,
    *,
    labels: LabelSpace | None = None,
    heads: Mapping[str, str] | None = None,
    activation: str | None = None,
    root: str | Path | None = None,
    skip_missing: bool = False,
) -> LabelledVideos:
    """Reads a CSV list of videos: a header `path,label` or `path,label,start,end`, then a line a label.

    Lines of one path are several labels of one video. `start` and `end` are seconds from its beginning; an empty one
    is its beginning or end, and a label without both holds for the whole video. Other columns are passed over.

    Args:
        path: The file, UTF-8.
        labels: Classes to use, of another split; by default the names in the file, sorted.
        heads: Column of the class names by head, by default `{"action": "label"}`; a list with a verb and a noun on
            each line has `{"verb": "verb", "noun": "noun"}`.
        activation: "softmax" if a video has one class at a time, "sigmoid" if it may have several, or none (an empty
            field); by default, for each head, softmax if every video has just one class, without times. Not with
            `labels`, which say it.
        root: Folder that the paths are relative to; by default that of the file. A path may be a folder of frames.
            An address in a store goes before them as it is, and the build looks whether the videos are there.
        skip_missing: Keep videos that are not there, for a build with `skip_bad` to skip and list.

    Returns:
        The videos in the order in which they are first listed. The id of a video is its path as listed.

    Raises:
        DataError: The file cannot be read, a line breaks the format or names an unknown class, two classes of a
            softmax head hold for a whole video, or videos are missing; names the file and the line.
        ValueError: An unknown activation, or one that differs from that of `labels`, or labels of other heads.
    """
    path, heads = Path(path), dict(heads or _HEADS)
    root = root.rstrip("/") or root if isinstance(root, str) else root
    if activation is not None and activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {ACTIVATIONS}. Received: {activation!r}.")
    lines = _read_lines(path, heads, activation if labels is None else "sigmoid")
    if labels is None:
        labels = _label_space(path, lines, heads, activation)
    elif set(heads) - set(labels.annotated):
        raise ValueError(f"The labels have the heads {labels.annotated}. Received: {tuple(heads)}.")
    elif activation is not None and any(labels.activations[head] != activation for head in heads):
        raise ValueError(
            f"The labels given say {', '.join(labels.activations[head] for head in heads)}. Received: "
            f"activation={activation!r}. Leave it out."
        )
    numbers = {head: {name: labels.label(head, name) for name in labels.heads[head]} for head in heads}
    rows = tuple(_row(path, name, listed, labels, numbers) for name, listed in lines.items())
    videos: dict[str, Path | str] = {
        name: f"{root}/{name}" if root and is_address(root) else Path(root or path.parent) / name for name in lines
    }
    missing = [name for name, video in videos.items() if isinstance(video, Path) and not video.exists()]
    if missing and not skip_missing:
        raise DataError(
            f"{path}:{lines[missing[0]][0].number}: {len(missing)} of {len(lines)} videos are not in "
            f"{root or path.parent} ({shortened(missing)}). Paths are relative to the folder of the list."
        )
    everything = [line for listed in lines.values() for line in listed]
    report = ListReport(
        videos=len(rows),
        rows=len(everything),
        timed=sum(line.timed for line in everything),
        class_videos={head: _class_videos(lines, head, labels) for head in heads},
        activations={head: labels.activations[head] for head in heads},
    )
    return LabelledVideos(rows, report, videos, labels)


def _read_lines(path: Path, heads: Mapping[str, str], activation: str | None) -> dict[str, list[_Line]]:
    lines: dict[str, list[_Line]] = {}
    seen: dict[tuple[object, ...], int] = {}
    for number, fields in read_csv(path, ("path", *heads.values())):
        where = f"{path}:{number}"
        if not fields["path"]:
            raise DataError(f"{where}: the path is empty. Give the path of a video.")
        name = posixpath.normpath(fields["path"])
        names = {head: unicodedata.normalize("NFC", fields[column]) for head, column in heads.items()}
        if activation != "sigmoid" and not all(names.values()):
            raise DataError(
                f"{where}: the label is empty. Give a class, or read the list with activation='sigmoid', under which a "
                "video may have none."
            )
        start, end = (fields.get(column, "") for column in ("start", "end"))
        begin = read_seconds(start, "start", where) if start else 0.0
        finish = read_seconds(end, "end", where) if end else math.inf
        if not begin < finish:
            raise DataError(f"{where}: end must come after start. Received: start {start!r}, end {end!r}.")
        key = (name, *names.values(), begin, finish)
        if key in seen:
            raise DataError(f"{where}: says the same as line {seen[key]}. Keep one of the two lines.")
        seen[key] = number
        lines.setdefault(name, []).append(_Line(number, names, begin, finish, bool(start or end)))
    if not lines:
        raise DataError(f"{path}: holds no video, only a header. Give a file with at least one line.")
    return lines


def _label_space(
    path: Path, lines: Mapping[str, list[_Line]], heads: Mapping[str, str], activation: str | None
) -> LabelSpace:
    classes, activations = {}, {}
    for head, column in heads.items():
        classes[head] = tuple(sorted({line.names[head] for listed in lines.values() for line in listed} - {""}))
        if not classes[head]:
            raise DataError(f"{path}: names no class in the column {column!r}. Give a label on at least one line.")
        single = all(len(listed) == 1 and not listed[0].timed for listed in lines.values())
        activations[head] = activation or ("softmax" if single else "sigmoid")
    return LabelSpace(classes, activations)


def _row(
    path: Path, name: str, listed: list[_Line], labels: LabelSpace, numbers: Mapping[str, Mapping[str, int]]
) -> VideoRow:
    segments = []
    whole: dict[str, _Line] = {}  # of softmax heads, the line whose class holds for the whole video
    for line in listed:
        for head, text in line.names.items():
            if not text:
                continue
            if text not in numbers[head]:
                raise DataError(
                    f"{path}:{line.number}: {text!r} is none of the {labels.sizes[head]} classes of {head!r} "
                    f"({shortened(labels.heads[head])}). Correct it, or build both splits with the same classes."
                )
            if labels.activations[head] == "softmax" and not line.timed:
                first = whole.setdefault(head, line)
                if first.names[head] != text:
                    raise DataError(
                        f"{path}:{line.number}: {name!r} is {text!r}, on line {first.number} {first.names[head]!r}, "
                        "and each video has one class. Delete one line, or read the list with activation='sigmoid'."
                    )
            segments.append(Segment(numbers[head][text], line.start, line.end))
    return VideoRow(name, "", None, tuple(segments), listed[0].number)


def _class_videos(lines: Mapping[str, list[_Line]], head: str, labels: LabelSpace) -> dict[str, int]:
    counts = Counter(name for listed in lines.values() for name in {line.names[head] for line in listed})
    return {name: counts[name] for name in labels.heads[head]}
