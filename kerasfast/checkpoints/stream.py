"""A stretch of a file, read front to back within its bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

from kerasfast.checkpoints.errors import Malformed

# A longer string stays in the file until an array is made of it; names of weights and globals are far shorter.
SHORT = 1024
_LINE_PART = 1 << 16


@dataclass(frozen=True, slots=True)
class Span:
    """A long string or bytes object that was left in the file.

    Args:
        start: First byte, from the beginning of the file.
        length: Bytes in the file.
        form: How they are written: `raw`, `utf8`, or `escaped` (Python 2's `repr`).
    """

    start: int
    length: int
    form: str


class Stream:
    """The bytes `start` to `end` of a file, which nothing can be read beyond.

    Args:
        file: An open binary file.
        start: First byte.
        end: One past the last.
    """

    def __init__(self, file: BinaryIO, start: int, end: int) -> None:
        self.file = file
        self.position = start
        self.end = end
        file.seek(start)

    def take(self, count: int) -> bytes:
        """The next `count` bytes.

        Raises:
            Malformed: There are fewer.
        """
        self._expect(count)
        data = self.file.read(count)
        if len(data) != count:
            raise Malformed("it ends in the middle of its data")
        self.position += count
        return data

    def string(self, count: int, form: str) -> bytes | Span:
        """The next `count` bytes, or, where they are many, their place in the file."""
        if count <= SHORT:
            return self.take(count)
        span = Span(self.position, count, form)
        self.skip(count)
        return span

    def skip(self, count: int) -> None:
        """Step over `count` bytes.

        Raises:
            Malformed: There are fewer.
        """
        self._expect(count)
        self.position += count
        self.file.seek(self.position)

    def line(self) -> bytes | Span:
        """Up to the next line feed, without it."""
        start, kept = self.position, b""
        while True:
            part = self.file.readline(min(_LINE_PART, self.end - self.position))
            if not part:
                raise Malformed("it ends in the middle of its data")
            self.position += len(part)
            kept = kept + part if self.position - start <= SHORT + 1 else b""
            if part.endswith(b"\n"):
                length = self.position - start - 1
                return kept[:-1] if length <= SHORT else Span(start, length, "escaped")

    def _expect(self, count: int) -> None:
        if count < 0 or count > self.end - self.position:
            left = self.end - self.position
            raise Malformed(f"{count} more bytes should follow where {left} are left, so it was cut off or damaged")
