"""How far a build of records has come, kept on disk so that an ended build can go on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kerasfast.data.clips import ClipSpec
from kerasfast.data.errors import DataError
from kerasfast.data.records.manifest import Manifest, Options, Shard, differing_options
from kerasfast.data.records.output import OutputFolder
from kerasfast.data.records.read import manifest_name

# Notes are small files; in a store each costs a round trip.
_READERS = 16


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

    def __init__(self, folder: OutputFolder, split: str, options: Options, fingerprint: str, skip_bad: bool) -> None:
        self._out, self._split, self._options = folder, split, options
        self._fingerprint, self._skip_bad = fingerprint, skip_bad
        self.notes = folder.inner(f".build-{split}")

    def begin(self) -> None:
        """Takes the folder for this build.

        Raises:
            BuiltDifferentlyError: A build from other options or inputs began here and has not ended.
        """
        self.notes.make()
        text = self.notes.read("options.json")
        if text is not None:
            state = json.loads(text)
            if state["fingerprint"] != self._fingerprint:
                clip = ClipSpec(**state["options"]["clip"])
                raise self._built_differently(self.notes.root, Options(**state["options"] | {"clip": clip}))
        self._write("options.json", {"fingerprint": self._fingerprint, "options": asdict(self._options)})
        self.notes.remove(self.notes.names("failed-*.json"))

    def check_finished(self, manifest: Manifest) -> None:
        """Checks that a manifest which is there already is the one that this build would write.

        Raises:
            BuiltDifferentlyError: It was built from other options or inputs.
            DataError: It was built without videos that may not be skipped now.
        """
        path = self._out.path(manifest_name(self._split))
        if manifest.fingerprint != self._fingerprint:
            raise self._built_differently(path, manifest.options)
        if manifest.skipped and not self._skip_bad:
            raise DataError(
                f"{path}: these records were built without {len(manifest.skipped)} unreadable videos, the first: "
                f"{manifest.skipped[0]['reason']} Delete {path} to build again, or skip bad videos again."
            )

    def finished_part(self, number: int) -> dict[str, Any] | None:
        """The summary of a part whose shards are all there, else None."""
        return self._finished(number, self._out.size)

    def finished_parts(self) -> dict[int, dict[str, Any]]:
        """The summaries of all parts whose shards are all there, by number; the folder is listed once."""
        sizes = self._out.sizes(f"{self._split}-*.tfrecord")
        numbers = [int(name[len("part-") : -len(".json")]) for name in self.notes.names("part-*.json")]
        with ThreadPoolExecutor(_READERS) as pool:
            found = zip(numbers, pool.map(lambda number: self._finished(number, sizes.get), numbers), strict=True)
            return {number: summary for number, summary in found if summary is not None}

    def finish_part(self, number: int, summary: dict[str, Any]) -> None:
        """Notes that the shards of a part are whole."""
        self._write(_part_name(number), summary)

    def fail_part(self, number: int, message: str) -> None:
        """Notes why a part cannot be built, for the process that began the build."""
        self._write(f"failed-{number:05d}.json", {"error": message})

    def failures(self) -> list[str]:
        """Why parts cannot be built, in their order."""
        texts = map(self.notes.read, self.notes.names("failed-*.json"))
        return [json.loads(text)["error"] for text in texts if text]

    def clear(self) -> None:
        """Removes the notes of a build that has ended, and what a build that was killed on its way left unfinished."""
        self.notes.delete()
        for pattern in (f"{self._split}-*.partial", f"{manifest_name(self._split)}*.partial"):
            self._out.remove(self._out.names(pattern))

    def _finished(self, number: int, size: Callable[[str], int | None]) -> dict[str, Any] | None:
        text = self.notes.read(_part_name(number))
        summary = json.loads(text) if text else None
        if summary is None or (summary["skipped"] and not self._skip_bad):
            return None
        shards = map(Shard.from_dict, summary["shards"])
        return summary if all(size(shard.name) == shard.bytes for shard in shards) else None

    def _write(self, name: str, values: dict[str, Any]) -> None:
        self.notes.write(name, json.dumps(values, indent=1) + "\n")

    def _built_differently(self, path: str, old: Options) -> BuiltDifferentlyError:
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


def _part_name(number: int) -> str:
    return f"part-{number:05d}.json"
