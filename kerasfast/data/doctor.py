"""The doctor, before a build: annotations and the video files that they speak of."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from kerasfast.data.annotations import VIDEO_SUFFIXES, Annotations, VideoRow
from kerasfast.data.clips import ClipSpec
from kerasfast.data.errors import DataError, RepeatedIdError, TruncatedVideoError
from kerasfast.data.findings import ClassCounts, Findings, Report, add_shared, count_classes
from kerasfast.data.labels import LabelSpace
from kerasfast.data.manifest import class_counts
from kerasfast.data.video_check import VideoFacts, examine

# Lengths and ends are listed to a hundredth of a second, and a file may show its last frame for longer or not.
_END_SLACK_SECONDS = 0.1
# Listed lengths of Charades are off by up to 1.5 s in either direction.
_LENGTH_SLACK_SECONDS = 2.0


def diagnose_videos(
    splits: Mapping[str, Annotations | Iterable[VideoRow]],
    videos: Mapping[str, str | Path] | str | Path,
    labels: LabelSpace,
    *,
    clip: ClipSpec,
    full: bool = False,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Looks for what would stop or spoil a build of records, before it is begun.

    By default each file is read once: header, first frame, and the times of all frames, without decoding them. That
    finds what cannot be opened or is cut short, and tells the true length and rate. Damage inside a file shows only if
    it is decoded: `full` takes as long as the build's own decoding.

    Args:
        splits: Annotations by name of their split; a name that holds "train" is for training, as in `build_records`.
        videos: Folder of the video files (`<id>.mp4` or another usual ending), or path by id.
        labels: The classes of the annotations.
        clip: The clip that the records are for.
        full: Decode every frame of every video.
        workers: Videos read at a time; by default as many as there are cores.
        progress: Called with (videos done, videos in all).

    Returns:
        The findings, with `checked` holding the number of videos and of the files among them that can be read.

    Raises:
        ValueError: No splits.
        DataError: `videos` is no folder.
    """
    if not splits:
        raise ValueError("splits must hold at least one split. Received none.")
    findings = Findings()
    rows = {name: tuple(given.rows if isinstance(given, Annotations) else given) for name, given in splits.items()}
    for name, given in splits.items():
        if isinstance(given, Annotations):
            _check_corrections(findings, name, given)
    counts: list[ClassCounts] = []
    for name in rows:
        counts += _check_rows(findings, name, rows[name], labels)
    paths = _paths(findings, rows, videos)
    _check_shared(findings, rows, paths)
    facts = _examine(findings, rows, paths, full, workers, progress)
    for name, listed in rows.items():
        for row in listed:
            if row.id in paths and paths[row.id] in facts:
                _check_video(findings, f"{name}/{row.id}", row, facts[paths[row.id]], clip, labels)
    checked = {"videos": sum(map(len, rows.values())), "readable": len(facts)}
    return Report(checked, findings.sorted(), tuple(counts))


def is_training(split: str) -> bool:
    """Whether a split is for training, by its name, as `build_records` decides."""
    return "train" in split


def _check_corrections(findings: Findings, split: str, annotations: Annotations) -> None:
    """What reading the annotations corrected or left out."""
    for error in annotations.bad_rows:
        findings.add("duplicate_id" if isinstance(error, RepeatedIdError) else "bad_row", split, str(error))
    report = annotations.report
    ids = {row.line: row.id for row in annotations.rows}
    for code, lines in (("reversed_segment", report.reversed_segments), ("late_segment", report.late_starts)):
        for line in lines:
            findings.add(code, f"{split}/{ids.get(line, '?')}", f"line {line}")
    if report.clipped_ends:
        findings.add("clipped_end", split, f"{report.clipped_ends:,} of {report.segments:,} segments")


def _check_rows(findings: Findings, split: str, rows: Sequence[VideoRow], labels: LabelSpace) -> list[ClassCounts]:
    """What the rows say of themselves."""
    lines: dict[str, int] = {}
    actions = []
    for row in rows:
        subject = f"{split}/{row.id}"
        if row.id in lines:
            findings.add("duplicate_id", subject, f"lines {lines[row.id]} and {row.line}")
        lines.setdefault(row.id, row.line)
        if not row.actions:
            findings.add("no_labels", subject)
        try:
            labels.targets(row.actions)
        except ValueError as error:
            findings.add("unknown_label", subject, str(error))
        else:
            actions.append(row.actions)
    return count_classes(findings, split, labels.heads, class_counts(labels, actions))


def _check_shared(findings: Findings, rows: Mapping[str, Sequence[VideoRow]], paths: Mapping[str, Path]) -> None:
    """Videos and subjects on both sides."""

    def ids_by(key: Callable[[VideoRow], str]) -> dict[str, tuple[bool, dict[str, list[str]]]]:
        found: dict[str, tuple[bool, dict[str, list[str]]]] = {}
        for split, listed in rows.items():
            ids: dict[str, list[str]] = {}
            for row in listed:
                ids.setdefault(key(row), []).append(row.id)
            ids.pop("", None)
            found[split] = (is_training(split), ids)
        return found

    # Two ids of one file are one video.
    add_shared(findings, "shared_video", ids_by(lambda row: str(paths.get(row.id, row.id))))
    add_shared(findings, "shared_subject", ids_by(lambda row: row.subject))


def _paths(
    findings: Findings, rows: Mapping[str, Sequence[VideoRow]], videos: Mapping[str, str | Path] | str | Path
) -> dict[str, Path]:
    """The file of every video by id, as far as there is one; notes files that are there twice, or of no video."""
    if isinstance(videos, Mapping):
        return {name: Path(path).resolve() for name, path in videos.items()}
    folder = Path(videos)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder. Give the folder of the video files.")
    wanted = {row.id for listed in rows.values() for row in listed}
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
    rows: Mapping[str, Sequence[VideoRow]],
    paths: Mapping[str, Path],
    full: bool,
    workers: int | None,
    progress: Callable[[int, int], None] | None,
) -> dict[Path, VideoFacts]:
    """Facts of every file that can be read; notes the others."""
    wanted = {row.id: f"{split}/{row.id}" for split, listed in reversed(rows.items()) for row in reversed(listed)}
    there = {paths[name]: None for name in wanted if name in paths and paths[name].exists()}
    found: dict[Path, VideoFacts | DataError] = {}
    with ThreadPoolExecutor(workers or os.cpu_count(), thread_name_prefix="doctor") as pool:
        futures = {pool.submit(_facts, path, full): path for path in there}
        try:
            for done, future in enumerate(as_completed(futures), 1):
                found[futures[future]] = future.result()
                if progress is not None:
                    progress(done, len(there))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    for name, subject in reversed(wanted.items()):
        fact = found.get(paths[name]) if name in paths else None
        if fact is None:
            findings.add("missing", subject, f"expected {paths[name]}" if name in paths else "")
        elif isinstance(fact, DataError):
            code = "truncated" if isinstance(fact, TruncatedVideoError) else "undecodable"
            findings.add(code, subject, str(fact).removeprefix(f"{paths[name]}: "))
    return {path: fact for path, fact in found.items() if isinstance(fact, VideoFacts)}


def _facts(path: Path, full: bool) -> VideoFacts | DataError:
    try:
        return examine(path, full)
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


def _label_name(labels: LabelSpace, action: int) -> str:
    names = labels.heads["action"]
    return names[action] if 0 <= action < len(names) else str(action)
