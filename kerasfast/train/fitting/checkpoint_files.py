"""Checkpoints as files: each is whole or not there, the last two are kept, and damage is noticed. NumPy alone."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

FORMAT = "kerasfast-checkpoint-1"
KEPT = 2
_HEADER = "header.json"
# What reading a damaged archive raises, by what of it is damaged.
_DAMAGE = (OSError, EOFError, KeyError, RuntimeError, TypeError, ValueError, MemoryError, struct.error, zlib.error)


@dataclass(frozen=True)
class Position:
    """A place in a run: in front of a batch.

    Args:
        epoch: Epoch, counted from 0.
        batch: Batch of it, counted from 0.
        step: Steps taken before it in all.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a run goes on from.

    Args:
        position: Where it goes on.
        identity: What must not change on the way, as `RunIdentity.to_dict` gives it.
        callbacks: Class name and state of each callback.
        names: Names of the variables.
        arrays: Their values, in the same order.
        path: The file, for messages.
    """

    position: Position
    identity: dict[str, Any]
    callbacks: list[tuple[str, dict[str, Any]]]
    names: list[str]
    arrays: Sequence[np.ndarray]
    path: Path = Path()


class CheckpointFolder:
    """The checkpoints of one run. The folder is there from the begin of the run to its end: it marks unfinished ones.

    A file is an uncompressed zip archive of `.npy` arrays, which `numpy.load` opens, and a header of JSON. Unlike HDF5,
    zip has a checksum of every member, so a flipped bit is noticed; unlike a pickle, nothing in it is run.

    Args:
        folder: Where they are; made by `begin`.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def begin(self) -> None:
        """Make the folder, empty."""
        self.remove()
        self.folder.mkdir(parents=True)

    def exists(self) -> bool:
        """Whether a run was begun and has not ended."""
        return self.folder.is_dir()

    def paths(self) -> list[Path]:
        """The checkpoints, oldest first."""
        return sorted(self.folder.glob("step-*.npz"))

    def write(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint, then delete what is older than the last two.

        Arrays are taken one after the other, so that not all need be in memory at once.

        Raises:
            OSError: It cannot be written, as on a full disk. The earlier ones are as they were.
        """
        path = self.folder / f"step-{checkpoint.position.step:09d}.npz"
        try:
            _write(path, checkpoint)
        except OSError as error:
            earlier = self.paths()
            back = f"goes on from {earlier[-1].name}" if earlier else "begins again, as there is none yet"
            raise OSError(
                f"{path}: the checkpoint cannot be written ({error}). Free space; the same command then {back}."
            ) from error
        for old in self.paths()[:-KEPT]:
            old.unlink()
        return path

    def latest(self) -> Checkpoint | None:
        """The newest checkpoint that is whole, or None where none was written. Warns of those that are damaged.

        Raises:
            ValueError: None can be read: all are damaged or of another format.
        """
        damaged = []
        for path in reversed(self.paths()):
            try:
                found = _read(path)
            except (*_DAMAGE, zipfile.BadZipFile) as error:
                damaged.append(f"{path.name}: {type(error).__name__}: {error}")
                continue
            if damaged:
                warnings.warn(
                    f"{self.folder}: the newest checkpoint is damaged ({damaged[0]}). The run goes on from the one "
                    f"before, {path.name}.",
                    stacklevel=2,
                )
            return found
        if damaged:
            raise ValueError(
                f"{self.folder}: no checkpoint can be read ({'; '.join(damaged)}). Allow to overwrite the run, "
                "which begins it again, or give another folder."
            )
        return None

    def remove(self) -> None:
        """Delete the folder."""
        if self.folder.is_dir():
            shutil.rmtree(self.folder)


def _write(path: Path, checkpoint: Checkpoint) -> None:
    header = {
        "format": FORMAT,
        "position": asdict(checkpoint.position),
        "identity": checkpoint.identity,
        "callbacks": checkpoint.callbacks,
        "names": checkpoint.names,
    }
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            with zipfile.ZipFile(file, "w") as archive:
                archive.writestr(_HEADER, json.dumps(header))
                for number, array in enumerate(checkpoint.arrays):
                    with archive.open(_member(number), "w", force_zip64=True) as member:
                        np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        _sync_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def _read(path: Path) -> Checkpoint:
    with zipfile.ZipFile(path) as archive:
        header = json.loads(archive.read(_HEADER))
        if header["format"] != FORMAT:
            raise ValueError(f"format {header['format']!r}, this version reads {FORMAT!r}")
        # Whole members, as their checksum is compared at their end.
        members: Iterable[bytes] = (archive.read(_member(number)) for number in range(len(header["names"])))
        arrays = [np.lib.format.read_array(io.BytesIO(member), allow_pickle=False) for member in members]
    return Checkpoint(
        Position(**header["position"]),
        header["identity"],
        [(name, state) for name, state in header["callbacks"]],
        header["names"],
        arrays,
        path,
    )


def _member(number: int) -> str:
    return f"{number:05d}.npy"


def _sync_folder(folder: Path) -> None:
    """Make a rename last through a loss of power; Windows opens no folders and needs none of it."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
