"""Checks the options of a build of records and settles what goes where, before any video is decoded."""

from __future__ import annotations

import hashlib
import json
import math
import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from kerasfast.data.annotations import VideoRow
from kerasfast.data.csv_rows import shortened
from kerasfast.data.errors import DataError
from kerasfast.data.labels import LabelSpace
from kerasfast.data.pictures import PictureSource
from kerasfast.data.records.folder import is_address
from kerasfast.data.records.layout import segments_needed
from kerasfast.data.records.manifest import FORMAT, Manifest, Options
from kerasfast.data.sources import fingerprint, open_source

_SPLIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]*")
# A worker keeps a file open for each round.
_MOST_ROUNDS = 64


@dataclass(frozen=True)
class Source:
    """A video to store: its number in the split, annotations, file or folder of frames, and the rate of these.

    In place of a path it may have the address of a file in a store, with the size that it has there, None if it is
    missing; it is fetched before it is opened.
    """

    index: int
    row: VideoRow
    path: Path | str
    frames_fps: float
    stored_bytes: int | None = None

    def open(self) -> PictureSource:
        """The video, for one pass on one thread."""
        return open_source(self.path, frames_fps=self.frames_fps, threads=1, keep_jpeg=True)

    def fingerprint(self) -> list[Any]:
        """What tells it from another version of the video; the same wherever the file lies."""
        if isinstance(self.path, str):
            return [posixpath.basename(self.path), self.stored_bytes]
        return fingerprint(self.path, self.frames_fps)


@dataclass(frozen=True)
class Plan:
    """A build: how to store, which videos share shards, and a hash of all that the records depend on."""

    options: Options
    parts: list[list[Source]]
    fingerprint: str


def plan_build(
    rows: Sequence[VideoRow],
    videos: Mapping[str, str | Path],
    labels: LabelSpace,
    split: str,
    workers: int,
    skip_bad: bool,
    rounds: int | None,
    frames_fps: float,
    there: Manifest | None,
    stored_bytes: Callable[[Sequence[str]], Mapping[str, int | None]],
    **options: Any,
) -> Plan:
    """Plans a build; the arguments are those of `build_records`, `there`, the manifest of an earlier build, and
    `stored_bytes`, which looks up the sizes of videos by their addresses, None for one that is missing.

    Raises:
        ValueError: An argument is out of its range.
        DataError: The length of a video is needed, to know the number of rounds, and cannot be read; or a store does
            not hold all videos.
    """
    settled = Options(rounds=1 if rounds is None else rounds, **options)
    _check(settled, split, workers, frames_fps)
    sources = _sources(rows, videos, frames_fps, stored_bytes, skip_bad)
    if settled.layout == "test":
        # What does not matter to the layout must not tell equal records apart.
        settled = replace(settled, rounds=1, segment_spans=1.0, seed=0)
    else:
        settled = replace(settled, clips=0)
        if rounds is None:
            same = there and replace(settled, rounds=there.options.rounds)
            # Where nothing has changed, the rounds need not be found out again, which opens every video.
            if same and there and _fingerprint(same, labels, sources) == there.fingerprint:
                settled = same
            else:
                settled = replace(settled, rounds=_rounds_needed(sources, settled, workers, skip_bad))
    return Plan(settled, _parts(sources, settled), _fingerprint(settled, labels, sources))


def _check(options: Options, split: str, workers: int, frames_fps: float) -> None:
    strides = f"a divisor of clip.stride={options.clip.stride}"
    stride_fits = options.stride >= 1 and options.clip.stride % options.stride == 0
    spans_fit = 1 <= options.segment_spans < math.inf
    rules = {
        "split": (split, _SPLIT.fullmatch(split), "letters, digits and '_'"),
        "layout": (options.layout, options.layout in ("train", "test"), "'train' or 'test'"),
        "short_side": (options.short_side, options.short_side >= 16, "at least 16 pixels"),
        "quality": (options.quality, 1 <= options.quality <= 100, "in 1 .. 100"),
        "stride": (options.stride, stride_fits, strides),
        "segment_spans": (options.segment_spans, spans_fit, "at least 1 (and rounds=1 stores whole videos)"),
        "rounds": (options.rounds, options.rounds >= 1, "at least 1"),
        "clips": (options.clips, options.clips >= 1, "at least 1"),
        "part_videos": (options.part_videos, options.part_videos >= 1, "at least 1"),
        "workers": (workers, workers >= 1, "at least 1"),
        "seed": (options.seed, options.seed >= 0, "0 or more"),
        "frames_fps": (frames_fps, 0 < frames_fps < math.inf, "positive"),
    }
    for name, (value, right, rule) in rules.items():
        if not right:
            raise ValueError(f"{name} must be {rule}. Received: {name}={value!r}.")


def _sources(
    rows: Sequence[VideoRow],
    videos: Mapping[str, str | Path],
    frames_fps: float,
    stored_bytes: Callable[[Sequence[str]], Mapping[str, int | None]],
    skip_bad: bool,
) -> list[Source]:
    if not rows:
        raise ValueError("annotations must hold at least one video. Received none.")
    missing = [row.id for row in rows if row.id not in videos]
    if missing:
        raise ValueError(
            f"videos must have a file for every row. Received none for {len(missing)} rows, the first is "
            f"{missing[0]!r}. Use find_videos(rows, folder)."
        )
    addresses = [str(videos[row.id]) for row in rows if is_address(videos[row.id])]
    sizes = stored_bytes(addresses) if addresses else {}
    absent = [address for address in addresses if sizes[address] is None]
    if absent and not skip_bad:
        raise DataError(
            f"{absent[0]}: no such file, and neither are {len(absent) - 1} others of the {len(addresses)} videos "
            f"({shortened(absent)}). Upload them, or skip bad videos."
        )

    def path(row: VideoRow) -> Path | str:
        return str(videos[row.id]) if is_address(videos[row.id]) else Path(videos[row.id])

    return [Source(index, row, path(row), frames_fps, sizes.get(str(videos[row.id]))) for index, row in enumerate(rows)]


def _rounds_needed(sources: Sequence[Source], options: Options, workers: int, skip_bad: bool) -> int:
    """Segments of a video of mean length, by the headers of the files; by the listed lengths of what lies in a store.

    As many as the longest has would store the other videos over and over: on Charades, whose longest video has 6 times
    the mean length, 6 times the bytes.
    """

    def needed(source: Source) -> int:
        if isinstance(source.path, str):
            if source.row.length_seconds is None:
                raise ValueError(
                    "rounds must be given where videos lie in a store and their lengths are not listed. Received: "
                    f"rounds=None, and no length of {source.path}."
                )
            length = max(round(source.row.length_seconds * options.clip.fps), 1)
        else:
            try:
                with source.open() as video:
                    length = video.announced_length(options.clip.fps)
            except DataError:
                if not skip_bad:
                    raise
                return 1
        return segments_needed(length, options.clip, options.segment_spans)

    with ThreadPoolExecutor(workers) as pool:
        return min(math.ceil(np.mean([*pool.map(needed, sources)])), _MOST_ROUNDS)


def _parts(sources: Sequence[Source], options: Options) -> list[list[Source]]:
    """Groups of videos that share shards; training videos in a seeded order, so that neighbours differ."""
    ordered = list(sources)
    if options.layout == "train":
        order = np.random.default_rng(options.seed).permutation(len(ordered))
        ordered = [ordered[k] for k in order]
    return [ordered[k : k + options.part_videos] for k in range(0, len(ordered), options.part_videos)]


def _fingerprint(options: Options, labels: LabelSpace, sources: Sequence[Source]) -> str:
    """A hash of everything that the records depend on; the videos themselves are not read."""
    inputs = [[asdict(source.row), *source.fingerprint()] for source in sources]
    text = json.dumps([FORMAT, asdict(options), labels.to_dict(), inputs])
    return hashlib.sha256(text.encode()).hexdigest()
