"""The two containers of `torch.save`: which object they hold and where the numbers of each storage lie.

Written by `torch/serialization.py`: `_save` (zip, since torch 1.6) and `_legacy_save` (a stream of pickles).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

from kerasfast.checkpoints.errors import DISTRUST, Malformed, quoted
from kerasfast.checkpoints.inert import Storage, make_storage
from kerasfast.checkpoints.pickles import unpickle
from kerasfast.checkpoints.stream import Stream
from kerasfast.checkpoints.zip_members import TORCHSCRIPT, Member, read_members

# A pickle that holds only torch's magic number. Its second byte is the protocol, 2 unless someone chose another.
LEGACY_MAGIC = bytes.fromhex("8a0a6cfc9c46f9206aa850192e")
LEGACY_PROTOCOL = 1001
_PORTION = 1 << 20


@dataclass(slots=True)
class Location:
    """Where the numbers of a storage lie.

    Args:
        start: First byte, from the beginning of the file.
        size: Number of bytes.
        order: `<` or `>`.
        crc: CRC-32 of these bytes, or 0 where the file gives none.
    """

    start: int
    size: int
    order: str = "<"
    crc: int = 0

    def expect_crc(self, crc: int) -> None:
        """Compare with the CRC-32 of the bytes that were read; once is enough."""
        if self.crc and self.crc != crc:
            raise Malformed("a member of the zip file does not have the checksum that was saved with it")
        self.crc = 0


Locate = Callable[[Storage], Location]


def item_size(dtype: str) -> int:
    """Bytes of one number: 4 for `f4`, 2 for `bf16`."""
    return 2 if dtype == "bf16" else int(dtype[1:])


def file_crc(file: BinaryIO, start: int, size: int) -> int:
    """CRC-32 of a stretch of a file, read in small portions."""
    file.seek(start)
    crc = 0
    while size and (portion := file.read(min(_PORTION, size))):
        crc = zlib.crc32(portion, crc)
        size -= len(portion)
    return crc


class _Storages:
    """Persistent ids of one file: a key stands for one run of numbers of one kind."""

    def __init__(self) -> None:
        self.kinds: dict[str, tuple[str, int]] = {}

    def __call__(self, pid: Any) -> Storage:
        storage = make_storage(pid)
        kind = (storage.dtype, storage.total)
        if self.kinds.setdefault(storage.key, kind) != kind:
            raise Malformed(f"it describes storage {quoted(storage.key)} in two ways", DISTRUST)
        return storage


def read_zip(file: BinaryIO, file_size: int) -> tuple[Any, Locate]:
    """The object in a zip file of torch, and a function that finds its storages.

    Raises:
        Malformed: It is no such file, or damaged.
    """
    members = read_members(file, file_size)
    folders = [name.removesuffix("/data.pkl") for name in members if name.endswith("/data.pkl")]
    if len(folders) != 1 or "/" in folders[0]:
        raise Malformed(
            "it is a zip file without one folder of one data.pkl, as torch writes it", "give a .pyth or .pth file"
        )
    folder = folders[0]
    if any(name.startswith((f"{folder}/constants.pkl", f"{folder}/code/")) for name in members):
        raise Malformed(*TORCHSCRIPT)
    order = _byte_order(file, members.get(f"{folder}/byteorder"))
    member = members[f"{folder}/data.pkl"]
    start = member.start(file)
    Location(start, member.size, crc=member.crc).expect_crc(file_crc(file, start, member.size))
    stream = Stream(file, start, start + member.size)
    root = unpickle(stream, _Storages())
    if stream.position != stream.end:
        raise Malformed("its pickle has other data behind it", DISTRUST)

    def locate(storage: Storage) -> Location:
        member = members.get(f"{folder}/data/{storage.key}")
        if member is None:
            raise Malformed(f"its storage {quoted(storage.key)} is missing")
        _expect_size(storage, member.size)
        return Location(member.start(file), member.size, order, member.crc)

    return root, locate


def read_legacy(file: BinaryIO, file_size: int) -> tuple[Any, Locate]:
    """The object in a file of torch before 1.6, and a function that finds its storages.

    Raises:
        Malformed: It is no such file, or damaged.
    """
    stream = Stream(file, 2 + len(LEGACY_MAGIC), file_size)
    if (protocol := unpickle(stream)) != LEGACY_PROTOCOL:
        shown = protocol if type(protocol) is int else quoted(protocol)
        raise Malformed(f"it is a torch file of version {shown}, not {LEGACY_PROTOCOL}", "save it with a newer torch")
    if not isinstance(unpickle(stream), dict):
        raise Malformed("it lacks the description of the machine that saved it")
    storages = _Storages()
    root = unpickle(stream, storages)
    keys = unpickle(stream)
    if not isinstance(keys, list) or not all(type(key) is str for key in keys):
        raise Malformed("it lacks the list of its storages")
    if len(set(keys)) != len(keys) or set(keys) != set(storages.kinds):
        raise Malformed("the list of its storages does not name those that its tensors use", DISTRUST)
    locations = {}
    for key in keys:
        (count,) = struct.unpack("<q", stream.take(8))
        dtype, total = storages.kinds[key]
        if count != total:
            raise Malformed(f"storage {quoted(key)} has {count} numbers where its tensors expect {total}")
        size = count * item_size(dtype)
        locations[key] = Location(stream.position, size)
        stream.skip(size)
    if stream.position != stream.end:
        raise Malformed(f"it goes on for {stream.end - stream.position} bytes behind its last storage")
    return root, lambda storage: locations[storage.key]


def _byte_order(file: BinaryIO, member: Member | None) -> str:
    """`<` or `>`; torch before 2.0 wrote no byte order and little-endian numbers."""
    if member is None:
        return "<"
    file.seek(member.start(file))
    name = file.read(min(member.size, 16))
    if name not in (b"little", b"big"):
        raise Malformed("its byte order is neither little nor big", DISTRUST)
    return "<" if name == b"little" else ">"


def _expect_size(storage: Storage, size: int) -> None:
    expected = storage.total * item_size(storage.dtype)
    if size != expected:
        raise Malformed(f"storage {quoted(storage.key)} has {size} bytes where its tensors expect {expected}")
