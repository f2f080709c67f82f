"""Finds the records of a folder by their manifests, and checks that they are as they were written."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kerasfast.data.errors import DataError
from kerasfast.data.files import stream_sha256
from kerasfast.data.records.folder import RecordFolder
from kerasfast.data.records.manifest import FORMAT, Manifest, Shard

# Shards of a store looked up at a time: each costs two requests, and there may be thousands.
_LOOKS = 16
_COPY_AGAIN = "Copy the file again, or delete the manifest and build the records again."


class OtherFormatError(DataError):
    """The records are of a format that this version does not read."""


def manifest_name(split: str) -> str:
    """File name of the manifest of a split."""
    return f"manifest-{split}.json"


def read_manifest(folder: str | Path, split: str) -> Manifest:
    """Reads a manifest and checks that its files are there, with the right sizes and, on this machine, whole records.

    Args:
        folder: Folder of the records, or an address such as `s3://bucket/records`.
        split: Name of the split.

    Raises:
        DataError: No such split, a foreign or damaged manifest, or a shard that is missing, truncated or
            foreign; names the file. Or a store that cannot be read; names the address and what is missing.
    """
    opened = RecordFolder(folder)
    manifest = parse_manifest(opened, split)
    with ThreadPoolExecutor(_LOOKS if opened.is_remote else 1, thread_name_prefix="records") as pool:
        for _ in pool.map(lambda shard: check_shape(opened, shard), manifest.shards):
            pass  # raises what the look raised
    return manifest


def parse_manifest(folder: str | Path | RecordFolder, split: str) -> Manifest:
    """Reads a manifest as `read_manifest` does, and looks at no other file."""
    opened = folder if isinstance(folder, RecordFolder) else RecordFolder(folder)
    name = manifest_name(split)
    path = opened.path(name)
    if opened.size(name) is None:
        raise DataError(f"{path}: no such file. {_what_is_there(opened, split)}")
    try:
        with opened.open(name) as file:
            values = json.loads(file.read())
        found = values["format"]
        manifest = Manifest.from_dict(values) if found == FORMAT else None
    except DataError:
        raise
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{path}: is no manifest of records ({type(error).__name__}: {error}). Build the records again."
        ) from error
    if manifest is None:
        raise OtherFormatError(
            f"{path}: has the format {found!r}, this version reads {FORMAT!r}. "
            "Build the records again, or use the version that built them."
        )
    return manifest


def check_records(folder: str | Path, split: str | None = None) -> list[Manifest]:
    """Reads every byte of the records and compares it with the manifests.

    Args:
        folder: Folder of the records, or an address.
        split: Split to check; by default all in the folder.

    Returns:
        The manifests, in order of their names.

    Raises:
        DataError: No records here, or a file that differs from its manifest; names the file.
    """
    opened = RecordFolder(folder)
    names = [split] if split else splits_in(opened)
    if not names:
        raise DataError(f"{folder}: holds no manifest-*.json. Build records with `kerasfast records build`.")
    manifests = []
    for name in names:
        manifest = read_manifest(folder, name)
        for shard in manifest.shards:
            if shard_sha256(opened, shard) != shard.sha256:
                raise DataError(
                    f"{opened.path(shard.name)}: its content differs from its manifest (sha256). Delete "
                    f"{opened.path(manifest_name(name))} and the file, and build the records again."
                )
        manifests.append(manifest)
    return manifests


def splits_in(folder: str | Path | RecordFolder) -> list[str]:
    """Names of the splits with a manifest in the folder, sorted."""
    opened = folder if isinstance(folder, RecordFolder) else RecordFolder(folder)
    names = opened.names(manifest_name("*"))
    return [name.removeprefix("manifest-").removesuffix(".json") for name in names]


def shard_sha256(folder: RecordFolder, shard: Shard) -> str:
    """The sha256 that a shard has now, in hexadecimal."""
    with folder.open(shard.name) as file:
        return stream_sha256(file)


def check_shape(folder: RecordFolder, shard: Shard) -> None:
    """Refuses a shard that is missing, truncated or foreign, by its size and, on this machine, by its last record.

    That takes the same time however large a shard is. What lies between is compared with its checksum when it is read.
    """
    path, size = folder.path(shard.name), folder.size(shard.name)
    if size is None:
        raise DataError(f"{path}: no such file, but the manifest lists it. {_COPY_AGAIN}")
    if size != shard.bytes:
        state = "truncated" if size < shard.bytes else "a foreign file"
        raise DataError(f"{path}: {state}: {size:,} bytes, the manifest lists {shard.bytes:,}. {_COPY_AGAIN}")
    if not folder.is_remote and shard.offsets and _end_of_record(folder, shard.name, shard.offsets[-1]) != size:
        raise DataError(
            f"{path}: is not the TFRecord file of the manifest, whose last record begins at byte "
            f"{shard.offsets[-1]:,} and ends with the file. {_COPY_AGAIN}"
        )


def _end_of_record(folder: RecordFolder, name: str, offset: int) -> int:
    """The byte after the record that begins at `offset`.

    A record is: length (8 bytes, little-endian), its checksum (4), the data, the checksum of the data (4).
    """
    with folder.open(name) as file:
        file.seek(offset)
        return offset + int.from_bytes(file.read(8), "little") + 16


def _what_is_there(folder: RecordFolder, split: str) -> str:
    if not folder.exists():
        return "Give the folder that `kerasfast records build` wrote."
    if folder.names(f"{split}-*.tfrecord*"):
        return f"The build of split {split!r} has not ended: run the same `kerasfast records build` again."
    if names := splits_in(folder):
        return f"The folder holds the splits {', '.join(names)}; give one of them."
    return "The folder holds no records: build them with `kerasfast records build`."
