"""The manifest of a folder of records: what was stored, from what, and how the files must look. NumPy only."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from kerasfast.data.clips import ClipSpec
from kerasfast.data.labels import LabelSpace
from kerasfast.data.records.folder import RecordFolder

# 1 and 2 had no places of the records in their shards, without which none can be read by itself.
FORMAT = "kerasfast-records-3"


@dataclass(frozen=True)
class Options:
    """How the records of a split were made; two builds with equal options and inputs are equal byte by byte.

    Args:
        layout: "train" (segments in rounds) or "test" (one record a test clip).
        clip: The clip that the records were made for.
        stride: Distance of stored frames at `clip.fps`.
        short_side: Shorter side of the stored frames in pixels; smaller videos keep their size.
        quality: JPEG quality of what is encoded; JPEG frames that come in the wanted size are stored as they are.
        segment_spans: Longest training segment, in spans of the clip.
        rounds: Rounds of the training layout, 1 in the test layout.
        clips: Test clips a video, 0 in the training layout.
        part_videos: Videos a shard.
        seed: Seed of the order of videos, segments and phases.
    """

    layout: str
    clip: ClipSpec
    stride: int
    short_side: int
    quality: int
    segment_spans: float
    rounds: int
    clips: int
    part_videos: int
    seed: int


@dataclass(frozen=True)
class Shard:
    """One file of records.

    Args:
        name: File name.
        round: Round that it belongs to, 0 in the test layout.
        bytes: Its size.
        sha256: Of its content.
        videos: For each record, in the order of the file, the number of its video.
        offsets: For each record, the byte at which it begins.
    """

    name: str
    round: int
    bytes: int
    sha256: str
    videos: tuple[int, ...]
    offsets: tuple[int, ...]

    @property
    def records(self) -> int:
        """Number of records."""
        return len(self.offsets)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Shard:
        """The shard that `dataclasses.asdict` described, or JSON of that."""
        return cls(**values | {key: tuple(values[key]) for key in ("videos", "offsets")})


@dataclass(frozen=True)
class Manifest:
    """Everything that a reader must know of the records of one split.

    Args:
        split: Name of the split.
        options: How they were made.
        labels: The classes.
        videos: Videos stored, each with `index` (the number in its records), `id`, `frames` (at the clip's
            rate) and `actions` (labels of the whole video); and `subject`, if listed, in records of this version.
        skipped: Videos left out, each with `index`, `id` and `reason`.
        counts: Numbers of videos, records and stored frames.
        class_counts: For each head, the number of videos with each class.
        shards: The files.
        fingerprint: Hash of options and inputs.
        versions: Packages that decoded and wrote.
    """

    split: str
    options: Options
    labels: LabelSpace
    videos: tuple[dict[str, Any], ...]
    skipped: tuple[dict[str, Any], ...]
    counts: dict[str, int]
    class_counts: dict[str, list[int]]
    shards: tuple[Shard, ...]
    fingerprint: str
    versions: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """The manifest in plain types."""
        return {
            "format": FORMAT,
            "split": self.split,
            "options": asdict(self.options),
            "counts": self.counts,
            "class_counts": self.class_counts,
            "skipped": list(self.skipped),
            "shards": [asdict(shard) for shard in self.shards],
            "versions": self.versions,
            "fingerprint": self.fingerprint,
            "labels": self.labels.to_dict(),
            "videos": list(self.videos),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Manifest:
        """The manifest that `to_dict` described."""
        options = values["options"] | {"clip": ClipSpec(**values["options"]["clip"])}
        return cls(
            split=values["split"],
            options=Options(**options),
            labels=LabelSpace.from_dict(values["labels"]),
            videos=tuple(values["videos"]),
            skipped=tuple(values["skipped"]),
            counts=values["counts"],
            class_counts=values["class_counts"],
            shards=tuple(Shard.from_dict(shard) for shard in values["shards"]),
            fingerprint=values["fingerprint"],
            versions=values["versions"],
        )

    def to_text(self) -> str:
        """The manifest as JSON with a line for each video and each shard, whose offsets would else take one each."""

        def lines(value: Any) -> str:
            if not isinstance(value, list):
                return json.dumps(value)
            return "[" + ",".join(f"\n  {json.dumps(item)}" for item in value) + ("\n ]" if value else "]")

        return (
            "{" + ",".join(f"\n {json.dumps(key)}: {lines(value)}" for key, value in self.to_dict().items()) + "\n}\n"
        )

    def round_files(self, folder: str | Path) -> list[list[str]]:
        """Paths of the shards of each round."""
        opened = RecordFolder(folder)
        files: list[list[str]] = [[] for _ in range(self.options.rounds)]
        for shard in self.shards:
            files[shard.round].append(opened.path(shard.name))
        return files


def differing_options(old: Options, new: Options) -> str:
    """The options that differ, for a message; empty if none does."""
    return ", ".join(
        f"{field.name} {getattr(old, field.name)} there, {getattr(new, field.name)} now"
        for field in fields(Options)
        if getattr(old, field.name) != getattr(new, field.name)
    )


def class_counts(labels: LabelSpace, actions: Iterable[Sequence[int]]) -> dict[str, list[int]]:
    """For each head, the number of videos with each class."""
    totals = {head: [0] * size for head, size in labels.sizes.items()}
    for video in actions:
        for head, target in labels.targets(video).items():
            for index in target.nonzero()[0].tolist():
                totals[head][index] += 1
    return totals
