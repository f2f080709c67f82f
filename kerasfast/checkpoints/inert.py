"""What the globals of a checkpoint stand for here: descriptions of tensors and arrays, or nothing at all.

A pickle names Python objects and calls them. Each name below has a function of this module that describes what the
call would make; no object of torch or NumPy is ever looked up by a name from a file. All other names are refused.
Names and argument orders: `torch/_utils.py`, `torch/serialization.py`, `numpy/_core/multiarray.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kerasfast.checkpoints.errors import DISTRUST, Malformed, quoted
from kerasfast.checkpoints.stream import Span

MAX_AXES = 8
_DTYPE = re.compile(r"([<>|=]?)(b1|[iu][1248]|f[248])")


class Opaque:
    """Something that no weight depends on; it keeps nothing."""

    __slots__ = ()


OPAQUE = Opaque()


@dataclass(frozen=True, slots=True)
class Global:
    """A name that the table knows. `call` describes the result of calling it; `None` where that is refused."""

    name: str
    call: Callable[..., Any] | None


@dataclass(frozen=True, slots=True)
class Storage:
    """A run of numbers in a torch file.

    Args:
        key: Its name in the container.
        dtype: NumPy's code, such as `f4`; `bf16` for bfloat16.
        total: Numbers in the container under this key.
        start: First of them that belongs to this storage.
        length: How many do.
    """

    key: str
    dtype: str
    total: int
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Tensor:
    """A view of a storage; `offset` and `stride` count numbers, not bytes."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(slots=True)
class Dtype:
    """A NumPy dtype: a code such as `f4` and the byte order, `<` or `>`."""

    code: str
    order: str = "<"


@dataclass(slots=True)
class Array:
    """A NumPy array; without `data` until the pickle supplies its state."""

    dtype: Dtype | None = None
    shape: tuple[int, ...] = ()
    fortran: bool = False
    data: bytes | Span | None = None


def is_count(value: Any) -> bool:
    """Whether a value is an int of at least 0 (`True` is none)."""
    return type(value) is int and value >= 0


def is_shape(value: Any) -> bool:
    """Whether a value is a tuple of at most `MAX_AXES` counts."""
    return type(value) is tuple and len(value) <= MAX_AXES and all(is_count(item) for item in value)


def make_storage(pid: Any) -> Storage:
    """The storage that a persistent id of torch describes.

    Args:
        pid: `("storage", class, key, location, numel)`, in old files with `view` added: `None` or
            `(key, offset, size)`.

    Raises:
        Malformed: It is something else.
    """
    if type(pid) is tuple and pid and pid[0] == "module":
        raise Malformed("it holds a whole pickled module", "save module.state_dict() instead and read that")
    if type(pid) is not tuple or len(pid) not in (5, 6) or pid[0] != "storage":
        raise Malformed("it refers to something that is no storage", DISTRUST)
    kind, key, _, total = pid[1:5]
    if not isinstance(kind, Global) or kind.name not in _STORAGES:
        raise Malformed(f"it holds a storage of an unknown kind ({quoted(getattr(kind, 'name', kind))})", DISTRUST)
    if type(key) is not str or not is_count(total):
        raise Malformed("a storage lacks its key or its length", DISTRUST)
    start, length = 0, total
    if len(pid) == 6 and pid[5] is not None:
        view = pid[5]
        if type(view) is not tuple or len(view) != 3 or not is_count(view[1]) or not is_count(view[2]):
            raise Malformed("a view of a storage is not described as torch does", DISTRUST)
        start, length = view[1:]
        if start + length > total:
            raise Malformed("a view of a storage reaches beyond it", DISTRUST)
    return Storage(key, _STORAGES[kind.name], total, start, length)


def find_global(module: Any, name: Any) -> Global:
    """The table's entry for a name.

    Raises:
        Malformed: The table has none.
    """
    if type(module) is not str or type(name) is not str or (module, name) not in _TABLE:
        shown = quoted(f"{module}.{name}" if type(module) is type(name) is str else module)
        raise Malformed(f"it asks for {shown}, which no checkpoint needs", DISTRUST)
    return _TABLE[module, name]


def build(target: Any, state: Any) -> None:
    """Describe `target.__setstate__(state)`.

    Raises:
        Malformed: The target takes no state, or not this one.
    """
    if isinstance(target, Array):
        _set_array(target, state)
    elif isinstance(target, Dtype):
        _set_dtype(target, state)
    elif not isinstance(target, (dict, Opaque)):  # torch adds `_metadata` to the OrderedDict of a module
        raise Malformed("it sets the state of an object that has none", DISTRUST)


def _tensor(storage: Any = None, offset: Any = None, size: Any = None, stride: Any = None, *_: Any) -> Tensor:
    if not isinstance(storage, Storage) or not is_count(offset) or not is_shape(size) or not is_shape(stride):
        raise Malformed("a tensor is not described as torch does", DISTRUST)
    if len(size) != len(stride):
        raise Malformed("a tensor has not one stride for each axis", DISTRUST)
    return Tensor(storage, offset, size, stride)


def _parameter(data: Any = None, *_: Any) -> Tensor:
    if not isinstance(data, Tensor):
        raise Malformed("a parameter holds no tensor", DISTRUST)
    return data


def _ordered_dict(items: Any = None, *_: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in items if isinstance(items, list) else ():  # Python 2 passes a list of pairs
        if type(item) not in (list, tuple) or len(item) != 2:
            raise Malformed("an OrderedDict is not made of pairs", DISTRUST)
        if type(item[0]) is str:
            found[item[0]] = item[1]
    return found


def _opaque(*_: Any) -> Opaque:
    return OPAQUE


def _encode(text: Any = None, codec: Any = None) -> bytes | Span:
    """Protocol 2 has no bytes; it writes them as text and calls this."""
    if codec != "latin1":
        raise Malformed("it encodes text by another rule than latin1", DISTRUST)
    return _data(text)


def _bytes(*args: Any) -> bytes:
    if args:
        raise Malformed("it makes bytes of an object", DISTRUST)
    return b""


def _reconstruct(kind: Any = None, *_: Any) -> Array:
    if kind is not _NDARRAY:
        raise Malformed("it makes an array of another class than numpy.ndarray", DISTRUST)
    return Array()


def _from_buffer(data: Any = None, dtype: Any = None, shape: Any = None, order: Any = None, *_: Any) -> Array:
    array = Array()
    _set_array(array, (1, shape, dtype, order == "F", data))
    return array


def _scalar(dtype: Any = None, data: Any = None, *_: Any) -> Array:
    array = Array()
    _set_array(array, (1, (), dtype, False, data))
    return array


def _dtype(code: Any = None, *_: Any) -> Dtype:
    match = _DTYPE.fullmatch(code) if type(code) is str else None
    if match is None:
        raise Malformed(
            f"it holds an array of {quoted(code)}, which are no numbers", "save an array of numbers instead"
        )
    return Dtype(match[2], ">" if match[1] == ">" else "<")


def _set_dtype(dtype: Dtype, state: Any) -> None:
    # (version, byte order, subdtype, names, fields, item size, alignment, flags)
    if type(state) is not tuple or len(state) < 5 or state[1] not in ("<", ">", "|", "=") or any(state[2:5]):
        raise Malformed("a dtype is not described as NumPy does", DISTRUST)
    dtype.order = ">" if state[1] == ">" else "<"


def _set_array(array: Array, state: Any) -> None:
    if array.data is not None or type(state) is not tuple or len(state) != 5 or state[0] != 1:
        raise Malformed("an array is not described as NumPy does", DISTRUST)
    _, shape, dtype, fortran, data = state
    if not is_shape(shape) or not isinstance(dtype, Dtype) or type(fortran) not in (bool, int):
        raise Malformed("an array is not described as NumPy does", DISTRUST)
    # A copy: the pickle may go on to change the dtype, after the size has been checked.
    array.dtype, array.shape, array.fortran = Dtype(dtype.code, dtype.order), shape, bool(fortran)
    array.data = _data(data)


def _data(value: Any) -> bytes | Span:
    if isinstance(value, (bytes, Span)):
        return value
    try:
        return value.encode("latin1")  # a string of Python 2
    except (AttributeError, UnicodeEncodeError):
        raise Malformed("an array or its bytes are of another kind than bytes", DISTRUST) from None


_CODES = {
    "Float": "f4",
    "Double": "f8",
    "Half": "f2",
    "BFloat16": "bf16",
    "Long": "i8",
    "Int": "i4",
    "Short": "i2",
    "Char": "i1",
    "Byte": "u1",
    "Bool": "b1",
}
_STORAGES = {f"{module}.{kind}Storage": code for module in ("torch", "torch.storage") for kind, code in _CODES.items()}

_CALLS: dict[str, Callable[..., Any] | None] = {
    "collections.OrderedDict": _ordered_dict,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch.nn.parameter.Parameter": _parameter,
    "_codecs.encode": _encode,
    "__builtin__.bytes": _bytes,
    "builtins.bytes": _bytes,
    "numpy.ndarray": None,
    "numpy.dtype": _dtype,
    **dict.fromkeys(_STORAGES),
}
for _core in ("numpy.core", "numpy._core"):
    _CALLS[f"{_core}.multiarray._reconstruct"] = _reconstruct
    _CALLS[f"{_core}.multiarray.scalar"] = _scalar
    _CALLS[f"{_core}.numeric._frombuffer"] = _from_buffer
# What optimizers, schedulers and configurations add beside the weights; dropped unseen.
_BESIDE = """
    torch.Size torch.device torch.float32 torch.float64 torch.float16 torch.bfloat16 torch.int64 torch.int32 torch.bool
    collections.defaultdict collections.deque collections.Counter datetime.datetime datetime.timedelta
    pathlib.PosixPath pathlib.WindowsPath argparse.Namespace yacs.config.CfgNode fvcore.common.config.CfgNode
    mmengine.logging.history_buffer.HistoryBuffer mmengine.config.config.Config mmengine.config.config.ConfigDict
    mmcv.utils.config.Config mmcv.utils.config.ConfigDict
    __builtin__.set __builtin__.frozenset __builtin__.slice __builtin__.list __builtin__.dict __builtin__.int
    builtins.set builtins.frozenset builtins.slice builtins.list builtins.dict builtins.int
"""
_CALLS.update(dict.fromkeys(_BESIDE.split(), _opaque))
_TABLE = {tuple(name.rsplit(".", 1)): Global(name, call) for name, call in _CALLS.items()}
_NDARRAY = _TABLE["numpy", "ndarray"]
