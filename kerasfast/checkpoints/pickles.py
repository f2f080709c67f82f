"""An interpreter for the part of pickle that checkpoints use. It calls nothing and imports nothing.

Python's own unpickler is made to build any object; this one builds dicts, lists, tuples, numbers, strings and the
descriptions of `inert`. Long strings are stepped over, so the arrays of a plain pickle stay in the file as well.
Opcodes: `pickletools.py` of the standard library.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from kerasfast.checkpoints.errors import DISTRUST, Malformed
from kerasfast.checkpoints.inert import OPAQUE
from kerasfast.checkpoints.machine import Machine
from kerasfast.checkpoints.stream import Stream


def unpickle(stream: Stream, persistent: Callable[[Any], Any] | None = None) -> Any:
    """The object that the pickle at the head of a stream describes.

    Args:
        stream: Where it lies; afterwards the stream stands behind it.
        persistent: Makes a value of a persistent id; without it they are refused.

    Returns:
        Dicts (those of their entries whose key is a string), lists, tuples, numbers, strings, bytes, spans and
        the descriptions of `inert`.

    Raises:
        Malformed: An opcode, a name or a size that no checkpoint has, or an end in the middle.
    """
    machine = Machine(stream, persistent)
    while (opcode := stream.take(1)) != b".":
        machine.operations += 1
        operation = _OPERATIONS.get(opcode)
        if operation is None:
            name = _REFUSED.get(opcode)
            if name is None:
                raise Malformed(f"its pickle holds the byte {opcode.hex()}, which is no operation")
            raise Malformed(f"its pickle uses {name}, which no checkpoint needs", DISTRUST)
        operation(machine)
        machine.check()
    if len(machine.stack) != 1 or machine.marks:
        raise Malformed("its pickle ends with values left over")
    return machine.stack[0]


def _signed(machine: Machine) -> int:
    return struct.unpack("<i", machine.stream.take(4))[0]


_OPERATIONS: dict[bytes, Callable[[Machine], Any]] = {
    b"\x80": Machine.check_protocol,
    b"\x95": lambda m: m.stream.take(8),  # a frame is a hint on buffering
    b"(": Machine.mark,
    b"0": Machine.discard,
    b"1": lambda m: m.pop_mark(),
    b"2": lambda m: m.push(m.peek()),
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"I": Machine.push_int_line,
    b"L": Machine.push_int_line,
    b"J": lambda m: m.push(_signed(m)),
    b"K": lambda m: m.push(m.count(1)),
    b"M": lambda m: m.push(m.count(2)),
    b"\x8a": lambda m: m.push_long(m.count(1)),
    b"\x8b": lambda m: m.push_long(m.count(4)),
    b"F": Machine.push_float_line,
    b"G": lambda m: m.push(struct.unpack(">d", m.stream.take(8))[0]),
    b"S": Machine.push_repr,
    b"T": lambda m: m.push_string(m.count(4), "raw"),
    b"U": lambda m: m.push_string(m.count(1), "raw"),
    b"V": Machine.push_unicode_line,
    b"X": lambda m: m.push_string(m.count(4), "utf8"),
    b"\x8c": lambda m: m.push_string(m.count(1), "utf8"),
    b"\x8d": lambda m: m.push_string(m.count(8), "utf8"),
    b"B": lambda m: m.push_string(m.count(4), "bytes"),
    b"C": lambda m: m.push_string(m.count(1), "bytes"),
    b"\x8e": lambda m: m.push_string(m.count(8), "bytes"),
    b"\x96": lambda m: m.push_string(m.count(8), "bytes"),
    b")": lambda m: m.push(()),
    b"t": lambda m: m.push(tuple(m.pop_mark())),
    b"\x85": lambda m: m.push_tuple(1),
    b"\x86": lambda m: m.push_tuple(2),
    b"\x87": lambda m: m.push_tuple(3),
    b"]": lambda m: m.push([]),
    b"l": lambda m: m.push(m.pop_mark()),
    b"a": Machine.append,
    b"e": lambda m: m.add_items(m.pop_mark()),
    b"}": lambda m: m.push({}),
    b"d": Machine.push_dict,
    b"s": Machine.set_item,
    b"u": lambda m: m.set_items(m.pop_mark()),
    b"\x8f": lambda m: m.push(OPAQUE),
    b"\x90": Machine.add_to_set,
    b"\x91": Machine.push_frozenset,
    b"p": lambda m: m.put(m.number()),
    b"q": lambda m: m.put(m.count(1)),
    b"r": lambda m: m.put(m.count(4)),
    b"\x94": lambda m: m.put(len(m.memo)),
    b"g": lambda m: m.get(m.number()),
    b"h": lambda m: m.get(m.count(1)),
    b"j": lambda m: m.get(m.count(4)),
    b"c": Machine.push_global,
    b"\x93": Machine.push_stack_global,
    b"R": Machine.call,
    b"\x81": Machine.call,  # `cls.__new__(cls, *args)` describes the same as `cls(*args)` here
    b"b": Machine.set_state,
    b"Q": Machine.push_persistent,
}
# For the message; everything outside _OPERATIONS is refused.
_REFUSED = {
    b"P": "PERSID",
    b"i": "INST",
    b"o": "OBJ",
    b"\x82": "EXT1",
    b"\x83": "EXT2",
    b"\x84": "EXT4",
    b"\x92": "NEWOBJ_EX",
    b"\x97": "NEXT_BUFFER",
    b"\x98": "READONLY_BUFFER",
}
