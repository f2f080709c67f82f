"""Files as torch and caffe2 write them, made without either, byte for byte and with any part replaced."""

import io
import pickle
import struct
import zlib
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
KINDS = {
    "f4": "FloatStorage",
    "f8": "DoubleStorage",
    "f2": "HalfStorage",
    "bf16": "BFloat16Storage",
    "i8": "LongStorage",
    "i4": "IntStorage",
    "i2": "ShortStorage",
    "i1": "CharStorage",
    "u1": "ByteStorage",
    "b1": "BoolStorage",
}


@dataclass(frozen=True)
class Named:
    """A global of a pickle, by name alone."""

    module: str
    name: str

    def __call__(self):
        raise AssertionError("only its name is written")


@dataclass(frozen=True)
class Call:
    """A global and what it is called with; `state` is what BUILD gets."""

    function: Named
    args: tuple
    state: object = None

    def __reduce__(self):
        return (self.function, self.args) if self.state is None else (self.function, self.args, self.state)


class Storage:
    """Numbers under a key; every part of the persistent id can be replaced."""

    def __init__(self, key, dtype, data, *, total=None, view=None, kind=None, pid=None):
        self.key, self.data = key, data
        size = {"bf16": 2}.get(dtype) or int(dtype[1:])
        self.total = len(data) // size if total is None else total
        self.kind = kind or Named("torch", KINDS[dtype])
        self.view, self.pid = view, pid

    def id(self, legacy):
        pid = ("storage", self.kind, self.key, "cpu", self.total)
        return self.pid or ((*pid, self.view) if legacy else pid)


def tensor(storage, size, *, offset=0, stride=None, function="_rebuild_tensor_v2"):
    """The call that rebuilds a tensor; `stride` is that of a C array unless given."""
    if stride is None:
        stride = tuple(int(np.prod(size[axis + 1 :])) for axis in range(len(size)))
    args = (storage, offset, size, stride)
    if function == "_rebuild_tensor_v2":
        args = (*args, False, OrderedDict())
    return Call(Named("torch._utils", function), args)


def as_tensor(key, array, dtype=None):
    """A tensor of its own storage."""
    data = np.array(array, order="C")
    return tensor(Storage(str(key), dtype or data.dtype.str[1:], data.tobytes()), data.shape)


class _Pickler(pickle._Pickler):
    dispatch = dict(pickle._Pickler.dispatch)

    def __init__(self, file, protocol, legacy):
        super().__init__(file, protocol)
        self.legacy, self.storages = legacy, {}

    def persistent_id(self, obj):
        if not isinstance(obj, Storage):
            return None
        self.storages.setdefault(obj.key, obj)
        return obj.id(self.legacy)

    def _save_named(self, obj):
        self.write(b"c" + obj.module.encode() + b"\n" + obj.name.encode() + b"\n")

    dispatch[Named] = _save_named


def dump(obj, *, protocol=2, legacy=False):
    """The pickle of an object and its storages by key."""
    file = io.BytesIO()
    pickler = _Pickler(file, protocol, legacy)
    pickler.dump(obj)
    return file.getvalue(), pickler.storages


def module_state(arrays):
    """What `module.state_dict()` is: an OrderedDict with `_metadata` as its attribute."""
    return _StateDict(arrays)


class _StateDict(OrderedDict):
    def __reduce__(self):
        metadata = OrderedDict([("", {"version": 1})])
        return Named("collections", "OrderedDict"), (), {"_metadata": metadata}, None, iter(self.items())


def zip_bytes(members, *, flags=0x808, method=0, local=None, central=None, end=None, align=64):
    """A zip file in torch's way: stored, sizes behind the content, content aligned.

    Args:
        members: (name, content) pairs.
        flags: Those of every member.
        method: That of every member.
        local: name -> fields of its local header to replace.
        central: name -> fields of its directory entry to replace.
        end: Fields of the end record to replace.
        align: Content begins at a multiple of this.
    """
    out, directory = bytearray(), bytearray()
    for name, content in members:
        raw, header = name.encode(), len(out)
        pad = -(header + 30 + len(raw) + 4) % align
        extra = struct.pack("<2s H", b"FB", pad) + b"Z" * pad
        fields = {"flags": flags, "method": method, "crc": 0, "packed": 0, "size": 0, "name": raw, "extra": extra}
        fields.update((local or {}).get(name, {}))
        numbers = [fields[key] for key in ("flags", "method")]
        sizes = [fields[key] for key in ("crc", "packed", "size")]
        out += struct.pack("<4s5H3I2H", b"PK\3\4", 0, *numbers, 0, 0, *sizes, len(fields["name"]), len(fields["extra"]))
        out += fields["name"] + fields["extra"] + content
        crc = zlib.crc32(content)
        out += struct.pack("<4s3I", b"PK\x07\x08", crc, len(content), len(content))
        fields = {"flags": flags, "method": method, "crc": crc, "packed": len(content), "size": len(content)}
        fields |= {"name": raw, "extra": b"", "disk": 0, "header": header, **(central or {}).get(name, {})}
        numbers = [fields[key] for key in ("flags", "method")]
        sizes = [fields[key] for key in ("crc", "packed", "size")]
        lengths = (len(fields["name"]), len(fields["extra"]), 0, fields["disk"], 0)
        directory += struct.pack("<4s6H3I5H2I", b"PK\1\2", 0, 0, *numbers, 0, 0, *sizes, *lengths, 0, fields["header"])
        directory += fields["name"] + fields["extra"]
    fields = {"here": len(members), "count": len(members), "size": len(directory), "start": len(out), **(end or {})}
    numbers = [fields[key] for key in ("here", "count", "size", "start")]
    return bytes(out + directory + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, *numbers, 0))


def zip_members(obj, *, folder="archive", order=None, protocol=2):
    """(name, content) pairs of a zip file of torch."""
    data, storages = dump(obj, protocol=protocol)
    members = [(f"{folder}/data.pkl", data)]
    if order:
        members.append((f"{folder}/byteorder", order.encode()))
    members += [(f"{folder}/data/{key}", storage.data) for key, storage in storages.items()]
    return [*members, (f"{folder}/version", b"3\n")]


def torch_zip(obj, **options):
    """The bytes of `torch.save(obj)`."""
    return zip_bytes(zip_members(obj, **options))


def torch_legacy(obj, *, keys=None, counts=None, protocol_version=1001, tail=b""):
    """The bytes of `torch.save(obj, _use_new_zipfile_serialization=False)`."""
    data, storages = dump(obj, legacy=True)
    names = sorted(storages)
    info = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    out = b"".join(dump(part)[0] for part in (LEGACY_MAGIC, protocol_version, info))
    out += data + dump(names if keys is None else keys)[0]
    for name in names:
        storage = storages[name]
        out += struct.pack("<q", (counts or {}).get(name, storage.total)) + storage.data
    return out + tail


def caffe2_array(array, *, core="numpy.core.multiarray", code=None, state=None, data=None):
    """An array as NumPy pickles it at protocol 2."""
    array = np.asarray(array)
    dtype = Call(
        Named("numpy", "dtype"),
        (code or array.dtype.str[1:], 0, 1),
        (3, array.dtype.str[0], None, None, None, -1, -1, 0),
    )
    fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    content = array.tobytes(order="F" if fortran else "C") if data is None else data
    state = (1, array.shape, dtype, fortran, content) if state is None else state
    return Call(Named(core, "_reconstruct"), (Named("numpy", "ndarray"), (0,), b"b"), state)


class _Python2Pickler(_Pickler):
    """Writes bytes as Python 2 did: as its strings."""

    dispatch = dict(_Pickler.dispatch)

    def save_bytes(self, obj):
        if self.bin:
            self.write(b"U" + bytes([len(obj)]) + obj if len(obj) < 256 else b"T" + struct.pack("<i", len(obj)) + obj)
        else:
            self.write(b"S" + repr(obj).removeprefix("b").encode() + b"\n")

    def save_text(self, obj):
        self.save_bytes(obj.encode())

    dispatch[bytes] = save_bytes
    dispatch[str] = save_text


def python2_pickle(obj, *, protocol=2):
    """The pickle that Python 2 would have written, which caffe2 files are."""
    file = io.BytesIO()
    _Python2Pickler(file, protocol, False).dump(obj)
    return file.getvalue()
