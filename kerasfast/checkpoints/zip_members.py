"""The members of a zip file as torch writes it: stored as they are, one after the other. Nothing is extracted.

Layout: APPNOTE.TXT 6.3.10 of PKWARE, sections 4.3.7, 4.3.12 and 4.3.14 to 4.3.16.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

from kerasfast.checkpoints.errors import DISTRUST, Malformed, quoted

LOCAL = struct.Struct("<4s5H3I2H")
CENTRAL = struct.Struct("<4s6H3I5H2I")
END = struct.Struct("<4s4H2IH")
LOCATOR = struct.Struct("<4sIQI")
END64 = struct.Struct("<4sQ2H2I4Q")
TORCHSCRIPT = ("it is a TorchScript program", "load it with torch.jit.load and torch.save its state_dict()")
MAX_MEMBERS = 20_000
MAX_DIRECTORY_BYTES = 4 << 20
_MAX_COMMENT = 0xFFFF
# Encrypted, patched, strongly encrypted, masked.
_FOREIGN_FLAGS = 0x1 | 0x20 | 0x40 | 0x2000
_DESCRIPTOR_FLAG = 0x8
_UNSET = (0, 0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class Member:
    """One member, as the central directory describes it.

    Args:
        name: Its name.
        header: Where its local header begins.
        size: Bytes of its content.
        crc: CRC-32 of its content, 0 where none was computed.
        limit: Where the next member or the directory begins.
    """

    name: str
    header: int
    size: int
    crc: int
    limit: int

    def start(self, file: BinaryIO) -> int:
        """Where its content begins, by its local header.

        Raises:
            Malformed: The local header says something else than the directory.
        """
        file.seek(self.header)
        data = file.read(LOCAL.size)
        if len(data) < LOCAL.size or data[:4] != b"PK\x03\x04":
            raise Malformed(f"member {quoted(self.name)} does not begin where the zip directory says")
        _, _, flags, method, _, _, _, packed, size, name_length, extra_length = LOCAL.unpack(data)
        sizes = {packed, size} - ({*_UNSET} if flags & _DESCRIPTOR_FLAG else {_UNSET[1]})
        named = file.read(name_length) == self.name.encode()
        if flags & _FOREIGN_FLAGS or method or not named or sizes - {self.size}:
            raise Malformed(f"member {quoted(self.name)} and the zip directory contradict each other", DISTRUST)
        start = self.header + LOCAL.size + name_length + extra_length
        if start + self.size > self.limit:
            raise Malformed(f"member {quoted(self.name)} overlaps what follows it", DISTRUST)
        return start


def read_members(file: BinaryIO, file_size: int) -> dict[str, Member]:
    """The members of a zip file by name.

    Args:
        file: An open binary file.
        file_size: Its length in bytes.

    Raises:
        Malformed: It is cut off, compressed, ambiguous or larger than any checkpoint's directory.
    """
    count, size, start = _find_directory(file, file_size)
    if not count:
        raise Malformed("it is an empty zip file")
    if count > MAX_MEMBERS or size > MAX_DIRECTORY_BYTES:
        raise Malformed(f"its zip directory has {count} entries in {size} bytes", DISTRUST)
    file.seek(start)
    directory = file.read(size)
    entries: dict[str, tuple[int, int, int]] = {}
    position = 0
    for _ in range(count):
        position, name, entry = _read_entry(directory, position)
        if name in entries:
            raise Malformed(f"it holds two members named {quoted(name)}", DISTRUST)
        entries[name] = entry
    if position != len(directory):
        raise Malformed("its zip directory does not have the length that it announces")
    ordered = sorted(entries, key=lambda name: entries[name][0])
    limits = [*(entries[name][0] for name in ordered[1:]), start]
    members = {}
    for name, limit in zip(ordered, limits, strict=True):
        header, content_size, crc = entries[name]
        if header + LOCAL.size + len(name.encode()) + content_size > limit:
            raise Malformed(f"member {quoted(name)} overlaps what follows it", DISTRUST)
        members[name] = Member(name, header, content_size, crc, limit)
    return members


def _find_directory(file: BinaryIO, file_size: int) -> tuple[int, int, int]:
    """Entries, bytes and start of the central directory."""
    tail_start = max(0, file_size - END.size - _MAX_COMMENT)
    file.seek(tail_start)
    tail = file.read(file_size - tail_start)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < END.size:
        raise Malformed("it is a zip file without its end, so the download was cut off")
    _, disk, first_disk, here, count, size, start, comment = END.unpack_from(tail, at)
    end = tail_start + at
    if at + END.size + comment != len(tail):
        raise Malformed("it is a zip file with other data behind it")
    if at >= LOCATOR.size and tail[at - LOCATOR.size : at - LOCATOR.size + 4] == b"PK\x06\x07":
        _, disk64, end64, _ = LOCATOR.unpack_from(tail, at - LOCATOR.size)
        if end64 + END64.size > end - LOCATOR.size:
            raise Malformed("its zip64 record lies beyond its end", DISTRUST)
        file.seek(end64)
        signature, _, _, _, disk, first_disk, *wide = END64.unpack(file.read(END64.size))
        short = (here, count, size, start)
        unset = (0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
        agree = all(s in (u, w) for s, u, w in zip(short, unset, wide, strict=True))
        if signature != b"PK\x06\x06" or disk64 or not agree:
            raise Malformed("its zip64 record contradicts its end record", DISTRUST)
        here, count, size, start = wide
        end = end64
    if disk or first_disk or here != count:
        raise Malformed("it is one part of a zip file in several parts", "put the parts together")
    if start + size > end:
        raise Malformed("its zip directory lies beyond its end", DISTRUST)
    return count, size, start


def _read_entry(directory: bytes, position: int) -> tuple[int, str, tuple[int, int, int]]:
    """The next position, the name, and (header, size, crc) of an entry."""
    if len(directory) - position < CENTRAL.size or directory[position : position + 4] != b"PK\x01\x02":
        raise Malformed("its zip directory is damaged")
    fields = CENTRAL.unpack_from(directory, position)
    flags, method, crc, packed, size = fields[3], fields[4], fields[7], fields[8], fields[9]
    name_length, extra_length, comment_length, disk, header = *fields[10:14], fields[16]
    name_start = position + CENTRAL.size
    extra_start = name_start + name_length
    end = extra_start + extra_length + comment_length
    if end > len(directory):
        raise Malformed("its zip directory is damaged")
    try:
        name = directory[name_start:extra_start].decode()
    except UnicodeDecodeError:
        raise Malformed("a member of the zip file has a name that is not text", DISTRUST) from None
    if not name or "\\" in name or any(part in ("", ".", "..") for part in name.removesuffix("/").split("/")):
        raise Malformed(f"a member of the zip file is named {quoted(name)}", DISTRUST)
    size, packed, header = _widen(directory[extra_start : extra_start + extra_length], size, packed, header)
    if (method or packed != size) and name.split("/")[1:2] == ["code"]:  # torch.jit.save compresses its sources
        raise Malformed(*TORCHSCRIPT)
    if method or packed != size:
        raise Malformed(f"member {quoted(name)} is compressed, which torch never does", "unpack and zip it stored")
    if flags & _FOREIGN_FLAGS or disk:
        raise Malformed(f"member {quoted(name)} is encrypted or lies in another file", DISTRUST)
    return end, name, (header, size, crc)


def _widen(extra: bytes, *values: int) -> list[int]:
    """Size, packed size and header, those that do not fit 32 bits taken from the zip64 field."""
    missing = sum(value == 0xFFFFFFFF for value in values)
    position = 0
    while missing and position + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, position)
        if kind == 1 and length >= 8 * missing and position + 4 + length <= len(extra):
            wide = iter(struct.unpack_from(f"<{missing}Q", extra, position + 4))
            return [next(wide) if value == 0xFFFFFFFF else value for value in values]
        position += 4 + length
    if missing:
        raise Malformed("a member of the zip file has no size", DISTRUST)
    return list(values)
