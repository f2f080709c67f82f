"""From a file to its arrays by name, whichever of the three containers it is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import numpy as np

from kerasfast.checkpoints.entries import Entry, array_entry, tensor_entry
from kerasfast.checkpoints.errors import CheckpointError, Malformed, naming
from kerasfast.checkpoints.inert import Array, Tensor
from kerasfast.checkpoints.pickles import unpickle
from kerasfast.checkpoints.stream import Stream
from kerasfast.checkpoints.torch_files import LEGACY_MAGIC, Locate, Location, read_legacy, read_zip

# Where the weights stand in a file that holds more: PyTorchVideo and PySlowFast, MMAction2, caffe2.
STATE_KEYS = ("model_state", "state_dict", "blobs")
MAX_ARRAYS = 20_000
_HEAD_BYTES = 512

# First bytes of what is served in place of a checkpoint, with cause and fix.
_IMPOSTORS = (
    (b"version https://git-lfs", "it is a git-lfs pointer, not the file", "run git lfs pull"),
    (b"\x1f\x8b", "it is compressed with gzip", "unpack it with gunzip"),
    (b"BZh", "it is compressed with bzip2", "unpack it with bunzip2"),
    (b"\xfd7zXZ", "it is compressed with xz", "unpack it with unxz"),
    (b"\x28\xb5\x2f\xfd", "it is compressed with zstd", "unpack it with unzstd"),
    (b"\x89HDF", "it is an HDF5 file", "load a .weights.h5 file with kerasfast.load(..., weights=path)"),
)


class Checkpoint(Mapping[str, np.ndarray]):
    """The arrays of a checkpoint by the names that the file uses; each is read when it is asked for.

    Nothing is kept: `checkpoint[name]` reads the file anew and returns an array of the caller's own.

    Args:
        path: The file.
        entries: Name -> where its array lies.
        stat: Size and time of the file when the entries were made.

    Attributes:
        path: The file.
        shapes: Name -> shape, known without reading an array.
    """

    def __init__(self, path: Path, entries: Mapping[str, Entry], stat: os.stat_result) -> None:
        self.path = path
        self.shapes: Mapping[str, tuple[int, ...]] = MappingProxyType({n: e.shape for n, e in entries.items()})
        self._entries = entries
        self._identity = (stat.st_size, stat.st_mtime_ns)

    def __getitem__(self, name: str) -> np.ndarray:
        entry = self._entries[name]
        with naming(self.path), self.path.open("rb") as file:
            stat = os.fstat(file.fileno())
            if (stat.st_size, stat.st_mtime_ns) != self._identity:
                raise Malformed("it has changed since it was opened", "call kerasfast.checkpoints.read again")
            return entry.load(file)

    def __contains__(self, name: object) -> bool:
        return name in self._entries  # the method of Mapping would read the array

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"Checkpoint({str(self.path)!r}, {len(self)} arrays)"


def read(path: str | os.PathLike[str]) -> Checkpoint:
    """Open a checkpoint of torch or caffe2, without either.

    The container is told by its first bytes, never by its name: zip (torch 1.6 and later), the stream of older torch,
    or a plain pickle of NumPy arrays. Of a file that holds more than weights, `model_state`, `state_dict` or `blobs`
    is taken; what is no array there (counters, configurations) is left out. No code in the file is run.

    Args:
        path: The file.

    Returns:
        A mapping that reads each array when it is asked for; bfloat16 comes as float32, other numbers as they are.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: It is no checkpoint, or damaged; the message says which and what to do.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}. Give the path of a .pyth, .pth, .pt or .pkl file.")
    with naming(path), path.open("rb") as file:
        stat = os.fstat(file.fileno())
        root, locate = _open(file, stat.st_size)
        return Checkpoint(path, _entries(_state(root), locate), stat)


def _open(file: BinaryIO, size: int) -> tuple[Any, Locate]:
    head = file.read(_HEAD_BYTES)
    if not head:
        raise Malformed("it is empty")
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return read_zip(file, size)
    if head[:1] == b"\x80" and head[2:].startswith(LEGACY_MAGIC):
        return read_legacy(file, size)
    if head[257:262] == b"ustar":
        raise Malformed("it is a tar file of torch before 0.1.10", "load and save it again with torch 1.x")
    for magic, cause, fix in _IMPOSTORS:
        if head.startswith(magic):
            raise Malformed(cause, fix)
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        raise Malformed("it is a web page, not the file", "fetch the address that the page shows in a browser")
    if head[:1] == b"\x80" or head.startswith((b"(d", b"}")):
        return unpickle(Stream(file, 0, size)), _nowhere
    raise Malformed("it is no file of torch, nor a pickle", "give a .pyth, .pth, .pt or .pkl file")


def _nowhere(_: Any) -> Location:
    raise Malformed("it holds a torch tensor in a plain pickle")


def _state(root: Any) -> dict[str, Any]:
    """The dict that holds the weights."""
    if isinstance(root, dict):
        for key in STATE_KEYS:
            if isinstance(root.get(key), dict):
                return root[key]
        return root
    raise Malformed("it holds something else than a dict of weights", "save model.state_dict() and read that")


def _entries(state: dict[str, Any], locate: Locate) -> dict[str, Entry]:
    arrays = {name: value for name, value in state.items() if isinstance(value, (Tensor, Array))}
    if not arrays:
        raise Malformed(
            f"it holds no weights, neither at its top nor under {', '.join(STATE_KEYS)}", "give a file of a model"
        )
    if len(arrays) > MAX_ARRAYS:
        raise Malformed(f"it holds {len(arrays)} arrays, more than any network here")
    entries: dict[str, Entry] = {}
    locations: dict[str, Location] = {}
    for name, value in arrays.items():
        if isinstance(value, Array):
            entries[name] = array_entry(value)
        else:
            key = value.storage.key
            if key not in locations:
                locations[key] = locate(value.storage)
            entries[name] = tensor_entry(value, locations[key])
    return entries


__all__ = ["Checkpoint", "CheckpointError", "read"]
