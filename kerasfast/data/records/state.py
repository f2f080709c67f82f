"""How far a build of records has come, kept on disk so that an ended build can go on."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kerasfast.data.clips import ClipSpec
from kerasfast.data.errors import DataError
from kerasfast.data.files import write_json
from kerasfast.data.records.manifest import Manifest, Options, Shard, differing_options
from kerasfast.data.records.read import manifest_name


class BuiltDifferentlyError(DataError):
    """The folder holds this split built from other options or inputs."""


class BuildState:
    """The hidden folder `.build-<split>`: the options of the build, and a summary of each finished part.

    It exists from the first part to the manifest, which takes its place.

    Args:
        folder: Folder of the records.
        split: Name of the split.
        options: How this build stores.
        fingerprint: Hash of options and inputs.
        skip_bad: Whether parts with skipped videos may be kept.
    """

    def __init__(self, folder: Path, split: str, options: Options, fingerprint: str, skip_bad: bool) -> None:
        self._out, self._split, self._options = folder, split, options
        self._fingerprint, self._skip_bad = fingerprint, skip_bad
        self._folder = folder / f".build-{split}"

    def begin(self) -> None:
        """Takes the folder for this build.

        Raises:
            BuiltDifferentlyError: A build from other options or inputs began here and has not ended.
        """
        self._folder.mkdir(exist_ok=True)
        path = self._folder / "options.json"
        if path.exists():
            state = json.loads(path.read_text(encoding="utf-8"))
            if state["fingerprint"] != self._fingerprint:
                clip = ClipSpec(**state["options"]["clip"])
                raise self._built_differently(self._folder, Options(**state["options"] | {"clip": clip}))
        write_json(path, {"fingerprint": self._fingerprint, "options": asdict(self._options)})

    def check_finished(self, manifest: Manifest, path: Path) -> None:
        """Checks that a manifest which is there already is the one that this build would write.

        Raises:
            BuiltDifferentlyError: It was built from other options or inputs.
            DataError: It was built without videos that may not be skipped now.
        """
        if manifest.fingerprint != self._fingerprint:
            raise self._built_differently(path, manifest.options)
        if manifest.skipped and not self._skip_bad:
            raise DataError(
                f"{path}: these records were built without {len(manifest.skipped)} unreadable videos, the first: "
                f"{manifest.skipped[0]['reason']} Delete {path} to build again, or skip bad videos again."
            )

    def finished_part(self, number: int) -> dict[str, Any] | None:
        """The summary of a part whose shards are all there, else None."""
        path = self._part_path(number)
        if not path.exists():
            return None
        summary = json.loads(path.read_text(encoding="utf-8"))
        if summary["skipped"] and not self._skip_bad:
            return None
        for shard in (Shard.from_dict(values) for values in summary["shards"]):
            file = self._out / shard.name
            if not file.exists() or file.stat().st_size != shard.bytes:
                return None
        return summary

    def finish_part(self, number: int, summary: dict[str, Any]) -> None:
        """Notes that the shards of a part are whole."""
        write_json(self._part_path(number), summary)

    def clear(self) -> None:
        """Removes the notes of a build that has ended."""
        if self._folder.is_dir():
            for path in self._folder.iterdir():
                path.unlink()
            self._folder.rmdir()

    def _part_path(self, number: int) -> Path:
        return self._folder / f"part-{number:05d}.json"

    def _built_differently(self, path: Path, old: Options) -> BuiltDifferentlyError:
        differing = differing_options(old, self._options) or "other videos, annotations or labels"
        return BuiltDifferentlyError(
            f"{path}: split {self._split!r} was built differently here ({differing}). Give the same options, "
            f"another folder, or delete {path} and the files {self._split}-*."
        )


def remove_split(folder: Path, split: str) -> None:
    """Deletes the records of a split, finished or not, beginning with the manifest without which they are none."""
    (folder / manifest_name(split)).unlink(missing_ok=True)
    for path in folder.glob(f"{split}-*.tfrecord*"):
        path.unlink()
    notes = folder / f".build-{split}"
    if notes.is_dir():
        shutil.rmtree(notes)
