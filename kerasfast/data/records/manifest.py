"""The manifest of a folder of records: what was stored, from what, and how the files must look. NumPy only."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from kerasfast.data.clips import ClipSpec
from kerasfast.data.errors import DataError
from kerasfast.data.labels import LabelSpace

FORMAT = "kerasfast-records-1"
# Records of any other label space than that of Charades: versions that read the first alone refuse them by this name.
GENERAL_FORMAT = "kerasfast-records-2"


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
    """One file of records: its place in the layout, number of records, size and sha256."""

    name: str
    round: int
    records: int
    bytes: int
    sha256: str


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
            "format": format_of(self.labels),
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
            shards=tuple(Shard(**shard) for shard in values["shards"]),
            fingerprint=values["fingerprint"],
            versions=values["versions"],
        )

    def round_files(self, folder: str | Path) -> list[list[str]]:
        """Paths of the shards of each round."""
        files: list[list[str]] = [[] for _ in range(self.options.rounds)]
        for shard in self.shards:
            files[shard.round].append(str(Path(folder) / shard.name))
        return files


def format_of(labels: LabelSpace) -> str:
    """Format of the records of a label space."""
    return FORMAT if labels.is_charades else GENERAL_FORMAT


def manifest_path(folder: str | Path, split: str) -> Path:
    """Where the manifest of a split lies."""
    return Path(folder) / f"manifest-{split}.json"


def read_manifest(folder: str | Path, split: str) -> Manifest:
    """Reads a manifest and checks that its files are there with the right sizes and whole records.

    Args:
        folder: Folder of the records.
        split: Name of the split.

    Raises:
        DataError: No such split, a foreign or damaged manifest, or a shard that is missing, truncated or
            foreign; names the file.
    """
    manifest = parse_manifest(folder, split)
    for shard in manifest.shards:
        check_shape(Path(folder) / shard.name, shard)
    return manifest


def parse_manifest(folder: str | Path, split: str) -> Manifest:
    """Reads a manifest as `read_manifest` does, and looks at no other file."""
    path = manifest_path(folder, split)
    if not path.exists():
        raise DataError(f"{path}: no such file. {_what_is_there(Path(folder), split)}")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        found = values["format"]
        manifest = Manifest.from_dict(values) if found in (FORMAT, GENERAL_FORMAT) else None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{path}: is no manifest of records ({type(error).__name__}: {error}). Build the records again."
        ) from error
    if manifest is None:
        raise DataError(
            f"{path}: has the format {found!r}, this version reads {FORMAT!r} and {GENERAL_FORMAT!r}. "
            "Build the records again, or use the version that built them."
        )
    return manifest


def check_records(folder: str | Path, split: str | None = None) -> list[Manifest]:
    """Reads every byte of the records and compares it with the manifests.

    Args:
        folder: Folder of the records.
        split: Split to check; by default all in the folder.

    Returns:
        The manifests, in order of their names.

    Raises:
        DataError: No records here, or a file that differs from its manifest; names the file.
    """
    names = [split] if split else splits_in(folder)
    if not names:
        raise DataError(f"{folder}: holds no manifest-*.json. Build records with `kerasfast records build`.")
    manifests = []
    for name in names:
        manifest = read_manifest(folder, name)
        for shard in manifest.shards:
            path = Path(folder) / shard.name
            if file_sha256(path) != shard.sha256:
                raise DataError(
                    f"{path}: its content differs from its manifest (sha256). Delete "
                    f"{manifest_path(folder, name)} and the file, and build the records again."
                )
        manifests.append(manifest)
    return manifests


def splits_in(folder: str | Path) -> list[str]:
    """Names of the splits with a manifest in the folder, sorted."""
    return sorted(path.stem.removeprefix("manifest-") for path in Path(folder).glob("manifest-*.json"))


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Writes JSON so that the file appears only once it is whole."""
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            json.dump(values, file, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def file_sha256(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


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


def check_shape(path: Path, shard: Shard) -> None:
    """Refuses a shard that is missing, truncated or foreign, by its size and the lengths of its records alone."""
    advice = "Copy the file again, or delete the manifest and build the records again."
    if not path.exists():
        raise DataError(f"{path}: no such file, but the manifest lists it. {advice}")
    size = path.stat().st_size
    if size != shard.bytes:
        state = "truncated" if size < shard.bytes else "a foreign file"
        raise DataError(f"{path}: {state}: {size:,} bytes, the manifest lists {shard.bytes:,}. {advice}")
    found = _count_records(path, size)
    if found != shard.records:
        raise DataError(
            f"{path}: is not the TFRecord file of the manifest ({shard.records} records expected"
            f"{'' if found is None else f', {found} found'}). {advice}"
        )


def _count_records(path: Path, size: int) -> int | None:
    """Records in a TFRecord file by its lengths alone; None if they do not end where the file ends.

    A record is: length (8 bytes, little-endian), its checksum (4), the data, the checksum of the data (4).
    """
    count, position = 0, 0
    with path.open("rb") as file:
        while position < size:
            file.seek(position)
            header = file.read(8)
            position += int.from_bytes(header, "little") + 16
            count += 1
    return count if position == size else None


def _what_is_there(folder: Path, split: str) -> str:
    if not folder.is_dir():
        return "Give the folder that `kerasfast records build` wrote."
    if any(folder.glob(f"{split}-*.tfrecord*")):
        return f"The build of split {split!r} has not ended: run the same `kerasfast records build` again."
    names = splits_in(folder)
    if names:
        return f"The folder holds the splits {', '.join(names)}; give one of them."
    return "The folder holds no records: build them with `kerasfast records build`."
