"""The doctor, before a build: annotations and the video files that they speak of."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from kerasfast.data.annotations import VIDEO_SUFFIXES, AnnotationReport, Annotations, LabelledVideos, VideoRow
from kerasfast.data.checks.findings import ClassCounts, Findings, Report, add_shared, count_classes
from kerasfast.data.checks.one_video import VideoFacts, examine, examine_frames
from kerasfast.data.clips import ClipSpec
from kerasfast.data.errors import DataError, RepeatedIdError, TruncatedVideoError
from kerasfast.data.folder import FolderReport
from kerasfast.data.frames import ARCHIVE_FPS
from kerasfast.data.labels import LabelSpace
from kerasfast.data.records.manifest import class_counts

# Lengths and ends are listed to a hundredth of a second, and a file may show its last frame for longer or not.
_END_SLACK_SECONDS = 0.1
# Listed lengths of Charades are off by up to 1.5 s in either direction.
_LENGTH_SLACK_SECONDS = 2.0


def diagnose_videos(
    splits: Mapping[str, Annotations | Iterable[VideoRow]],
    videos: Mapping[str, str | Path] | str | Path | None = None,
    labels: LabelSpace | None = None,
    *,
    clip: ClipSpec,
    full: bool = False,
    frames_fps: float = ARCHIVE_FPS,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Looks for what would stop or spoil a build of records, before it is begun.

    By default each file is read once: header, first frame, and the times of all frames, without decoding them. That
    finds what cannot be opened or is cut short, and tells the true length and rate. Damage inside a file shows only if
    it is decoded: `full` takes as long as the build's own decoding. Of a folder of frames the names are read by
    default, and the files with `full`.

    Args:
        splits: Annotations by name of their split; a name that holds "train" is for training, as in `build_records`.
        videos: Folder of the video files (`<id>.mp4` or another usual ending), or path by id; by default what each of
            the annotations says, as a list or a folder per class does.
        labels: The classes; by default those that come with the annotations.
        clip: The clip that the records are for.
        full: Decode every frame of every video.
        frames_fps: Frame rate of folders of frames.
        workers: Videos read at a time; by default as many as there are cores.
        progress: Called with (videos done, videos in all).

    Returns:
        The findings, with `checked` holding the number of videos and of those among them that can be read.

    Raises:
        ValueError: No splits, or annotations that come without videos or labels where none are given.
        DataError: `videos` is no folder.
    """
    if not splits:
        raise ValueError("splits must hold at least one split. Received none.")
    findings = Findings()
    parts = [_Part.of(name, given, labels) for name, given in splits.items()]
    paths = _paths(findings, parts, videos)
    counts: list[ClassCounts] = []
    for part in parts:
        _check_corrections(findings, part)
        counts += _check_rows(findings, part)
        if part.labels != parts[0].labels:
            findings.add("other_labels", part.name, f"{part.labels.sizes}, {parts[0].name} {parts[0].labels.sizes}")
    _check_shared(findings, parts, paths)
    look = functools.partial(_facts, full=full, frames_fps=frames_fps)
    facts = _examine(findings, parts, paths, look, workers, progress)
    for part in parts:
        for row in part.rows:
            path = paths[part.name].get(row.id)
            if path is not None and path in facts:
                _check_video(findings, f"{part.name}/{row.id}", row, facts[path], clip, part.labels)
    checked = {"videos": sum(len(part.rows) for part in parts), "readable": len(facts)}
    return Report(checked, findings.sorted(), tuple(counts))


@dataclass(frozen=True)
class _Part:
    """A split as it was given."""

    name: str
    rows: tuple[VideoRow, ...]
    labels: LabelSpace
    given: Annotations | None

    @classmethod
    def of(cls, name: str, given: Annotations | Iterable[VideoRow], labels: LabelSpace | None) -> _Part:
        annotations = given if isinstance(given, Annotations) else None
        own = annotations.labels if isinstance(annotations, LabelledVideos) else None
        found = own if labels is None else labels
        if found is None:
            raise ValueError(f"labels must be given for annotations that come without classes, as split {name!r} does.")
        return cls(name, tuple(given.rows if isinstance(given, Annotations) else given), found, annotations)


def is_training(split: str) -> bool:
    """Whether a split is for training, by its name, as `build_records` decides."""
    return "train" in split


def _check_corrections(findings: Findings, part: _Part) -> None:
    """What reading the annotations corrected or left out."""
    if part.given is None:
        return
    for error in part.given.bad_rows:
        findings.add("duplicate_id" if isinstance(error, RepeatedIdError) else "bad_row", part.name, str(error))
    report = part.given.report
    if isinstance(report, FolderReport):
        for name in report.ignored:
            findings.add("unlisted", f"{part.name}/{name}")
    if not isinstance(report, AnnotationReport):
        return
    ids = {row.line: row.id for row in part.rows}
    for code, lines in (("reversed_segment", report.reversed_segments), ("late_segment", report.late_starts)):
        for line in lines:
            findings.add(code, f"{part.name}/{ids.get(line, '?')}", f"line {line}")
    if report.clipped_ends:
        findings.add("clipped_end", part.name, f"{report.clipped_ends:,} of {report.segments:,} segments")


def _check_rows(findings: Findings, part: _Part) -> list[ClassCounts]:
    """What the rows say of themselves."""
    lines: dict[str, int] = {}
    actions = []
    for row in part.rows:
        subject = f"{part.name}/{row.id}"
        if row.id in lines:
            findings.add("duplicate_id", subject, f"lines {lines[row.id]} and {row.line}")
        lines.setdefault(row.id, row.line)
        if not row.actions:
            findings.add("no_labels", subject)
        try:
            part.labels.targets(row.actions)
        except ValueError as error:
            findings.add("unknown_label", subject, str(error))
        else:
            actions.append(row.actions)
    return count_classes(findings, part.name, part.labels.heads, class_counts(part.labels, actions))


def _check_shared(findings: Findings, parts: Sequence[_Part], paths: Mapping[str, Mapping[str, Path]]) -> None:
    """Videos and subjects on both sides."""

    def ids_by(key: Callable[[_Part, VideoRow], str]) -> dict[str, tuple[bool, dict[str, list[str]]]]:
        found: dict[str, tuple[bool, dict[str, list[str]]]] = {}
        for part in parts:
            ids: dict[str, list[str]] = {}
            for row in part.rows:
                ids.setdefault(key(part, row), []).append(row.id)
            ids.pop("", None)
            found[part.name] = (is_training(part.name), ids)
        return found

    # Two ids of one file are one video, and one id of two files are two.
    add_shared(findings, "shared_video", ids_by(lambda part, row: str(paths[part.name].get(row.id, row.id))))
    add_shared(findings, "shared_subject", ids_by(lambda _, row: row.subject))


def _paths(
    findings: Findings, parts: Sequence[_Part], videos: Mapping[str, str | Path] | str | Path | None
) -> dict[str, dict[str, Path]]:
    """For each split the file of every video by id, as far as there is one; notes files that are there twice, or of
    no video.
    """
    if videos is None:
        missing = [part.name for part in parts if not isinstance(part.given, LabelledVideos)]
        if missing:
            raise ValueError(f"videos must be given for annotations that come without, as split {missing[0]!r} does.")
        given = {part.name: part.given.videos for part in parts if isinstance(part.given, LabelledVideos)}
        return {name: {key: path.resolve() for key, path in found.items()} for name, found in given.items()}
    if isinstance(videos, Mapping):
        found = {name: Path(path).resolve() for name, path in videos.items()}
    else:
        found = _files(findings, Path(videos), {row.id for part in parts for row in part.rows})
    return {part.name: found for part in parts}


def _files(findings: Findings, folder: Path, wanted: set[str]) -> dict[str, Path]:
    """The video files of a folder by id."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder. Give the folder of the video files.")
    paths: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in VIDEO_SUFFIXES:
            continue
        if path.stem not in wanted:
            findings.add("unlisted", path.name)
        elif path.stem in paths:
            findings.add("two_files", path.stem, f"{paths[path.stem].name} and {path.name}")
        else:
            paths[path.stem] = path.resolve()
    return paths


def _examine(
    findings: Findings,
    parts: Sequence[_Part],
    paths: Mapping[str, Mapping[str, Path]],
    look: Callable[[Path], VideoFacts | DataError],
    workers: int | None,
    progress: Callable[[int, int], None] | None,
) -> dict[Path, VideoFacts]:
    """Facts of every file that can be read; notes the others, each for the first row that names it."""
    wanted: dict[Path | str, str] = {}
    for part in parts:
        for row in part.rows:
            wanted.setdefault(paths[part.name].get(row.id, row.id), f"{part.name}/{row.id}")
    there = [path for path in wanted if isinstance(path, Path) and path.exists()]
    found: dict[Path, VideoFacts | DataError] = {}
    with ThreadPoolExecutor(workers or os.cpu_count(), thread_name_prefix="doctor") as pool:
        futures = {pool.submit(look, path): path for path in there}
        try:
            for done, future in enumerate(as_completed(futures), 1):
                found[futures[future]] = future.result()
                if progress is not None:
                    progress(done, len(there))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    for path, subject in wanted.items():
        fact = found.get(path) if isinstance(path, Path) else None
        if fact is None:
            findings.add("missing", subject, f"expected {path}" if isinstance(path, Path) else "")
        elif isinstance(fact, DataError):
            code = "truncated" if isinstance(fact, TruncatedVideoError) else "undecodable"
            findings.add(code, subject, str(fact).removeprefix(f"{path}: "))
    return {path: fact for path, fact in found.items() if isinstance(fact, VideoFacts)}


def _facts(path: Path, full: bool, frames_fps: float) -> VideoFacts | DataError:
    try:
        return examine_frames(path, frames_fps, full) if path.is_dir() else examine(path, full)
    except DataError as error:
        return error


def _check_video(
    findings: Findings, subject: str, row: VideoRow, facts: VideoFacts, clip: ClipSpec, labels: LabelSpace
) -> None:
    """What a row and its file say of each other, and the file of itself."""
    info, seconds = facts.info, facts.seconds
    sampled = clip.fps / clip.stride
    listed = seconds if row.length_seconds is None else row.length_seconds
    rates = f"{facts.slowest_fps:.3g} to {facts.fastest_fps:.3g} fps"
    shown = f"{info.width}x{info.height}"
    there = f"the file has {seconds:.2f} s"
    # Code, whether it applies, detail.
    cases = (
        ("lost_frames", facts.lost > 0, f"{facts.lost} of {facts.frames} frames"),
        ("short", round(seconds * clip.fps) < clip.span, f"{seconds:.2f} s, a clip spans {clip.seconds:.2f} s"),
        ("variable_rate", facts.variable_rate, f"{rates}, {facts.drift:.1f} frames from even at worst"),
        ("other_length", abs(listed - seconds) > _LENGTH_SLACK_SECONDS, f"listed {listed:.2f} s, {there}"),
        ("low_rate", info.fps < sampled, f"{info.fps:.4g} fps, a clip samples {sampled:.4g}"),
        ("rotated", info.rotation != 0, f"by {info.rotation} degrees, shown as {shown}"),
        ("odd_size", bool(info.width % 2 or info.height % 2), shown),
        ("deep_colour", info.bits > 8, f"{info.bits} bits"),
        ("anamorphic", info.pixel_aspect != 1, f"pixels {info.pixel_aspect:.4g} as wide as high"),
    )
    for code, applies, detail in cases:
        if applies:
            findings.add(code, subject, detail)
    for segment in row.segments:
        name, end = _label_name(labels, segment.action), segment.end_seconds
        if segment.start_seconds >= seconds:
            findings.add("label_after_end", subject, f"{name!r} starts at {segment.start_seconds:.2f} s, {there}")
        elif seconds + _END_SLACK_SECONDS < end < math.inf:
            findings.add("label_past_end", subject, f"{name!r} ends at {end:.2f} s, {there}")


def _label_name(labels: LabelSpace, label: int) -> str:
    """The class that a label stands for in the annotations."""
    names = [name for head in labels.annotated for name in labels.heads[head]]
    return names[label] if 0 <= label < len(names) else str(label)
