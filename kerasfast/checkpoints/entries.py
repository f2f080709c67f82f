"""One array of a file: its shape is checked when the file is opened, its numbers are read when they are asked for."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

import numpy as np

from kerasfast.checkpoints.errors import DISTRUST, Malformed
from kerasfast.checkpoints.inert import Array, Tensor
from kerasfast.checkpoints.machine import unescape
from kerasfast.checkpoints.stream import Span
from kerasfast.checkpoints.torch_files import Location, file_crc

# Far above every weight, and small enough for NumPy also where another axis has no entries.
MAX_ELEMENTS = 1 << 31


class Entry(Protocol):
    """An array in a file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        ...

    def load(self, file: BinaryIO) -> np.ndarray:
        """Its numbers, in the machine's byte order and in memory of their own."""
        ...


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """A tensor of a torch file; `tensor_entry` makes it.

    Args:
        tensor: Its description.
        location: Where its storage lies.
    """

    tensor: Tensor
    location: Location

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return self.tensor.size

    def load(self, file: BinaryIO) -> np.ndarray:
        """Its numbers; bfloat16 becomes float32.

        Raises:
            Malformed: The file ends early, or the bytes are not those that were saved.
        """
        tensor, location = self.tensor, self.location
        code = "u2" if tensor.storage.dtype == "bf16" else tensor.storage.dtype.replace("b1", "u1")
        dtype = np.dtype(location.order + code)
        count = _extent(tensor)
        skipped = (tensor.storage.start + tensor.offset) * dtype.itemsize
        whole = count * dtype.itemsize == location.size
        if location.crc and not whole:
            location.expect_crc(file_crc(file, location.start, location.size))
        numbers = _read(file, location.start + skipped, count, dtype)
        if location.crc:
            location.expect_crc(zlib.crc32(numbers.data))
        numbers = numbers.astype(dtype.newbyteorder("="), copy=False)
        if tensor.storage.dtype == "bf16":
            numbers = (numbers.astype("u4") << 16).view("f4")  # bfloat16 is the upper half of a float32
        elif tensor.storage.dtype == "b1":
            numbers = numbers != 0
        return _view(numbers, tensor)


@dataclass(frozen=True, slots=True)
class ArrayEntry:
    """A NumPy array of a plain pickle; `array_entry` makes it.

    Args:
        shape: Its shape.
        dtype: How its numbers are written; booleans as bytes.
        boolean: Whether they are booleans.
        fortran: Whether the first axis varies fastest.
        data: Its bytes, or where they are.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    boolean: bool
    fortran: bool
    data: bytes | Span

    def load(self, file: BinaryIO) -> np.ndarray:
        """Its numbers.

        Raises:
            Malformed: There are more or fewer bytes than the shape needs.
        """
        count = math.prod(self.shape)
        if isinstance(self.data, Span) and self.data.form == "raw":
            numbers = _read(file, self.data.start, count, self.dtype)
        else:
            data = _bytes(file, self.data)
            if len(data) != count * self.dtype.itemsize:
                raise Malformed(f"an array of shape {self.shape} has {len(data)} bytes")
            numbers = np.frombuffer(data, self.dtype)
        if self.boolean:
            numbers = numbers != 0  # any byte but 0 and 1 would make an invalid boolean
        numbers = numbers.reshape(self.shape, order="F" if self.fortran else "C")
        own = numbers.flags.writeable
        return np.array(numbers, numbers.dtype.newbyteorder("="), order="C", copy=None if own else True)


def tensor_entry(tensor: Tensor, location: Location) -> TensorEntry:
    """The entry of a tensor whose storage lies at `location`.

    Raises:
        Malformed: It reaches outside of its storage, or is larger, as a tensor that repeats numbers is.
    """
    elements, extent = math.prod(tensor.size), _extent(tensor)
    if math.prod(max(size, 1) for size in tensor.size) > MAX_ELEMENTS or elements > tensor.storage.length:
        raise Malformed(
            f"a tensor of shape {tensor.size} is larger than its storage of {tensor.storage.length} numbers", DISTRUST
        )
    if elements and tensor.offset + extent > tensor.storage.length:
        raise Malformed(
            f"a tensor needs numbers up to {tensor.offset + extent} of a storage of {tensor.storage.length}", DISTRUST
        )
    return TensorEntry(tensor, location)


def array_entry(array: Array) -> ArrayEntry:
    """The entry of an array.

    Raises:
        Malformed: It has no numbers, or another number of bytes than its shape needs.
    """
    if array.dtype is None or array.data is None:
        raise Malformed("an array has no content", DISTRUST)
    if math.prod(max(size, 1) for size in array.shape) > MAX_ELEMENTS:
        raise Malformed(f"an array of shape {array.shape} is larger than any weight", DISTRUST)
    boolean = array.dtype.code == "b1"
    dtype = np.dtype("u1" if boolean else array.dtype.order + array.dtype.code)
    expected = math.prod(array.shape) * dtype.itemsize
    length = array.data.length if isinstance(array.data, Span) else len(array.data)
    exact = not isinstance(array.data, Span) or array.data.form == "raw"
    # Text takes one to four bytes for each of these; the exact number shows when it is decoded.
    if length < expected or (exact and length != expected):
        raise Malformed(f"an array of shape {array.shape} has {length} bytes instead of {expected}")
    return ArrayEntry(array.shape, dtype, boolean, array.fortran, array.data)


def _extent(tensor: Tensor) -> int:
    """Numbers from the first to the last that the tensor uses."""
    if 0 in tensor.size:
        return 0
    return 1 + sum((size - 1) * stride for size, stride in zip(tensor.size, tensor.stride, strict=True))


def _view(numbers: np.ndarray, tensor: Tensor) -> np.ndarray:
    """`(extent,)` to the tensor's shape; a copy only where its strides are not those of a C array."""
    if 0 in tensor.size:
        return np.empty(tensor.size, numbers.dtype)
    # The stride of an axis with one entry is never used and may be anything.
    strides = [
        stride * numbers.itemsize if size > 1 else 0 for size, stride in zip(tensor.size, tensor.stride, strict=True)
    ]
    view = np.lib.stride_tricks.as_strided(numbers, tensor.size, strides)
    if view.flags.c_contiguous:
        return numbers.reshape(tensor.size)
    return np.array(view, order="C", copy=True)


def _read(file: BinaryIO, start: int, count: int, dtype: np.dtype[Any]) -> np.ndarray:
    numbers = np.empty(count, dtype)
    file.seek(start)
    if count and file.readinto(numbers.view("u1").data) != numbers.nbytes:  # type: ignore[attr-defined]
        raise Malformed("it ends in the middle of a tensor")
    return numbers


def _bytes(file: BinaryIO, data: bytes | Span) -> bytes:
    if isinstance(data, bytes):
        return data
    file.seek(data.start)
    content = file.read(data.length)
    if len(content) != data.length:
        raise Malformed("it ends in the middle of an array")
    if data.form == "escaped":
        return unescape(content)
    try:
        return content.decode().encode("latin1") if data.form == "utf8" else content
    except UnicodeError:
        raise Malformed("an array holds text that is no bytes") from None
