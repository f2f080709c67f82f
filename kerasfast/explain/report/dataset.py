"""Facts of the records of a run, of their manifests alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kerasfast.data.records.folder import RecordFolder
from kerasfast.data.records.manifest import Manifest
from kerasfast.data.records.read import parse_manifest, splits_in


@dataclass(frozen=True)
class SplitFacts:
    """One split.

    Attributes:
        name: Its name.
        videos: Videos stored.
        hours: Their length together.
        without_label: Videos without any label.
        labels_a_video: Mean number of annotated classes.
        skipped: Videos left out when the records were built.
        layout: `train` or `test`.
        short_side: Pixels of the shorter side of the stored frames.
        fps: Frames a second of the clips.
        gigabytes: Size of the records.
        class_counts: By head, the videos of each class.
        classes: By head, the names of the classes.
    """

    name: str
    videos: int
    hours: float
    without_label: int
    labels_a_video: float
    skipped: int
    layout: str
    short_side: int
    fps: float
    gigabytes: float
    class_counts: Mapping[str, list[int]]
    classes: Mapping[str, tuple[str, ...]]


def split_facts(records: str | Path) -> list[SplitFacts]:
    """Facts of all splits, `train` first.

    Raises:
        DataError: There are no records, or a manifest is damaged.
    """
    from kerasfast.data.errors import DataError

    folder = RecordFolder(records)
    names = splits_in(folder)
    if not names:
        raise DataError(f"{records}: holds no manifest-*.json. Give the folder that `kerasfast records build` wrote.")
    names.sort(key=lambda name: (name != "train", name))
    return [_facts(parse_manifest(folder, name)) for name in names]


def _facts(manifest: Manifest) -> SplitFacts:
    videos, options = manifest.videos, manifest.options
    labels = [len(set(video["actions"])) for video in videos]
    return SplitFacts(
        name=manifest.split,
        videos=len(videos),
        hours=sum(video["frames"] for video in videos) / options.clip.fps / 3600,
        without_label=labels.count(0),
        labels_a_video=sum(labels) / max(len(labels), 1),
        skipped=len(manifest.skipped),
        layout=options.layout,
        short_side=options.short_side,
        fps=options.clip.fps,
        gigabytes=sum(shard.bytes for shard in manifest.shards) / 1e9,
        class_counts=manifest.class_counts,
        classes=manifest.labels.heads,
    )
