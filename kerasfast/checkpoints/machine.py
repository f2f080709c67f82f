"""The state of the pickle interpreter and what its operations do to it; `pickles` says which opcode is which."""

from __future__ import annotations

import codecs
import re
import sys
from collections.abc import Callable
from typing import Any

from kerasfast.checkpoints.errors import DISTRUST, Malformed
from kerasfast.checkpoints.inert import OPAQUE, Global, Opaque, build, find_global
from kerasfast.checkpoints.stream import Span, Stream

# An R101 with the state of its optimizer takes 80,000 operations and 300 kB of names. The limits bound memory to
# about 50 MB whatever the file says.
MAX_OPERATIONS = 400_000
MAX_TEXT_BYTES = 16 << 20
MAX_STACK = 20_000  # picklers write lists and dicts in portions of 1,000
MAX_MARKS = 200
MAX_INT_BYTES = 16
MAX_PROTOCOL = 5
_NUMBER = re.compile(rb"[-+]?[0-9]{1,40}")
_FLOAT = re.compile(rb"[-+0-9.eE]{1,40}|[-+]?(nan|inf)")


class Machine:
    """Stack, marks and memo of one pickle, in the terms of `pickletools.py`.

    Args:
        stream: Where the arguments of opcodes are read from.
        persistent: Makes a value of a persistent id; without it they are refused.
    """

    def __init__(self, stream: Stream, persistent: Callable[[Any], Any] | None = None) -> None:
        self.stream = stream
        self.persistent = persistent
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.operations = 0
        self.text_bytes = 0

    def check(self) -> None:
        """Raise when the pickle has outgrown every checkpoint."""
        if self.operations > MAX_OPERATIONS:
            raise Malformed(f"its pickle has more than {MAX_OPERATIONS} operations", DISTRUST)
        if len(self.stack) > MAX_STACK or len(self.marks) > MAX_MARKS:
            raise Malformed("its pickle is nested deeper than any checkpoint", DISTRUST)

    # --- stack -------------------------------------------------------------------------------------------------------

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        self.peek()
        return self.stack.pop()

    def peek(self) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise Malformed("its pickle takes a value from an empty stack")
        return self.stack[-1]

    def pop_mark(self) -> list[Any]:
        if not self.marks:
            raise Malformed("its pickle takes a mark that it never set")
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def mark(self) -> None:
        self.marks.append(len(self.stack))

    def discard(self) -> None:
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self.pop()

    # --- numbers and strings -----------------------------------------------------------------------------------------

    def count(self, size: int) -> int:
        return int.from_bytes(self.stream.take(size), "little")

    def short_line(self) -> bytes:
        line = self.stream.line()
        if isinstance(line, Span):
            raise Malformed(f"its pickle has a line of {line.length} bytes where a name or number stands")
        return line

    def number(self) -> int:
        line = self.short_line()
        if not _NUMBER.fullmatch(line):
            raise Malformed("its pickle has a number that is none")
        return int(line)

    def push_int_line(self) -> None:
        line = self.short_line()
        if line in (b"00", b"01"):  # how protocol 0 writes booleans
            self.push(line == b"01")
        elif _NUMBER.fullmatch(line.removesuffix(b"L")):
            self.push(int(line.removesuffix(b"L")))
        else:
            raise Malformed("its pickle has a number that is none")

    def push_long(self, size: int) -> None:
        if size > MAX_INT_BYTES:
            raise Malformed(f"its pickle has an integer of {size} bytes", DISTRUST)
        self.push(int.from_bytes(self.stream.take(size), "little", signed=True))

    def push_float_line(self) -> None:
        line = self.short_line()
        try:
            if not _FLOAT.fullmatch(line):
                raise ValueError
            self.push(float(line))
        except ValueError:
            raise Malformed("its pickle has a number that is none") from None

    def push_string(self, size: int, form: str) -> None:
        """A string (`utf8`), a string of Python 2 (`raw`, kept as Latin-1 text) or bytes (`bytes`)."""
        value = self.stream.string(size, "utf8" if form == "utf8" else "raw")
        if isinstance(value, bytes) and form != "bytes":
            value = self.decode(value, "utf-8" if form == "utf8" else "latin1")
        self.keep(value)

    def push_repr(self) -> None:
        """A string of Python 2 as its `repr`."""
        value = self.stream.line()
        if isinstance(value, Span):
            value = Span(value.start + 1, value.length - 2, "escaped")  # without the quotes
        elif len(value) < 2 or value[:1] not in (b"'", b'"') or value[-1:] != value[:1]:
            raise Malformed("its pickle has a string without quotes")
        else:
            value = unescape(value[1:-1]).decode("latin1")
        self.keep(value)

    def push_unicode_line(self) -> None:
        self.keep(self.decode(self.short_line(), "raw-unicode-escape"))

    def decode(self, data: bytes, codec: str) -> str:
        try:
            return data.decode(codec, "strict")
        except UnicodeDecodeError:
            raise Malformed("its pickle has a string that is not text") from None

    def keep(self, value: Any) -> None:
        self.text_bytes += sys.getsizeof(value)
        if self.text_bytes > MAX_TEXT_BYTES:
            raise Malformed(f"its pickle holds more than {MAX_TEXT_BYTES} bytes of names", DISTRUST)
        self.push(value)

    # --- containers --------------------------------------------------------------------------------------------------

    def push_tuple(self, size: int) -> None:
        values = [self.pop() for _ in range(size)]
        self.push(tuple(reversed(values)))

    def add_items(self, values: list[Any]) -> None:
        target = self.peek()
        if isinstance(target, list):
            target.extend(values)
        elif not isinstance(target, Opaque):
            raise Malformed("its pickle adds to an object that is no list", DISTRUST)

    def append(self) -> None:
        value = self.pop()
        self.add_items([value])

    def set_items(self, values: list[Any]) -> None:
        target = self.peek()
        if len(values) % 2 or not isinstance(target, (dict, Opaque)):
            raise Malformed("its pickle sets items of an object that is no dict", DISTRUST)
        if isinstance(target, dict):
            # Weights have names. Keys of other kinds belong to optimizers, and hashing what a file made up is not safe.
            for key, value in zip(values[::2], values[1::2], strict=True):
                if type(key) is str:
                    target[key] = value

    def set_item(self) -> None:
        value, key = self.pop(), self.pop()
        self.set_items([key, value])

    def push_dict(self) -> None:
        values = self.pop_mark()
        self.push({})
        self.set_items(values)

    def add_to_set(self) -> None:
        self.pop_mark()
        if not isinstance(self.peek(), Opaque):
            raise Malformed("its pickle adds to an object that is no set", DISTRUST)

    def push_frozenset(self) -> None:
        self.pop_mark()
        self.push(OPAQUE)

    # --- memo --------------------------------------------------------------------------------------------------------

    def put(self, index: int) -> None:
        if not 0 <= index < MAX_OPERATIONS:
            raise Malformed(f"its pickle remembers a value under the number {index}", DISTRUST)
        self.memo[index] = self.peek()

    def get(self, index: int) -> None:
        if index not in self.memo:
            raise Malformed("its pickle recalls a value that it never stored")
        self.push(self.memo[index])

    # --- objects -----------------------------------------------------------------------------------------------------

    def check_protocol(self) -> None:
        if (protocol := self.count(1)) > MAX_PROTOCOL:
            raise Malformed(f"it is a pickle of protocol {protocol}", f"save it with protocol {MAX_PROTOCOL} or lower")

    def push_global(self) -> None:
        module, name = (self.decode(self.short_line(), "utf-8") for _ in range(2))
        self.push(find_global(module, name))

    def push_stack_global(self) -> None:
        name, module = self.pop(), self.pop()
        self.push(find_global(module, name))

    def call(self) -> None:
        args, target = self.pop(), self.pop()
        if not isinstance(target, Global) or target.call is None or type(args) is not tuple:
            raise Malformed("its pickle calls something that is no function of a checkpoint", DISTRUST)
        # An argument can be recalled from the memo again and again, so a call costs what it may copy.
        self.operations += len(args) + sum(len(arg) for arg in args if isinstance(arg, list))
        self.check()
        self.push(target.call(*args))

    def set_state(self) -> None:
        state = self.pop()
        build(self.peek(), state)

    def push_persistent(self) -> None:
        pid = self.pop()
        if self.persistent is None:
            raise Malformed("it refers to storages that a plain pickle does not have")
        self.push(self.persistent(pid))


def unescape(text: bytes) -> bytes:
    """The bytes of a Python 2 `repr` without its quotes.

    Raises:
        Malformed: It has an escape that `repr` does not write.
    """
    # escape_decode lets unknown escapes pass with a warning.
    if re.search(rb"(?<!\\)(?:\\\\)*\\(?:[^\\'\"nrtx]|x(?![0-9a-fA-F]{2})|$)", text):
        raise Malformed("its pickle has a string with an unknown escape")
    return codecs.escape_decode(text)[0]  # type: ignore[attr-defined]
