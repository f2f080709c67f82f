"""Hostile and broken files: one error of one sentence each, nothing run, little memory."""

import gzip
import io
import pickle
import random
import struct
import sys
import time
import tracemalloc
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
from checkpoint_files import (
    Call,
    Named,
    Storage,
    as_tensor,
    caffe2_array,
    dump,
    module_state,
    python2_pickle,
    tensor,
    torch_legacy,
    torch_zip,
    zip_bytes,
    zip_members,
)

from kerasfast.checkpoints import CheckpointError, read, to_canonical

LIMIT = 64 << 20
STEM = "s1.pathway0_stem.conv.weight"
WEIGHTS = {STEM: np.ones((2, 3, 1, 7, 7), "f4"), "s1.pathway0_stem.bn.running_var": np.ones(2, "f4")}


def valid(**extra):
    """A training file that reads without an error."""
    return {**extra, "model_state": module_state({name: as_tensor(name, value) for name, value in WEIGHTS.items()})}


def read_everything(path):
    """What loading a model does with a file."""
    weights = to_canonical(read(path))
    return {name: weights[name] for name in weights}


# --- files -----------------------------------------------------------------------------------------------------------


FIRST_DATA, LAST_DATA = (f"archive/data/{name}" for name in WEIGHTS)


def operations(code):
    """A valid zip whose pickle first runs some operations and takes their value away."""
    (name, data), *rest = zip_members(valid())
    return zip_bytes([(name, b"\x80\x02" + code + b"0" + data[2:]), *rest])


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value


def called(module, name, argument=b"touch MARKER"):
    return operations(f"c{module}\n{name}\n".encode() + text(argument) + b"\x85R")


def stack_global(module, name):
    return operations(text(module.encode()) + text(name.encode()) + b"\x93)R")


def with_tensor(value):
    return torch_zip(valid(), folder="x") if value is None else torch_zip({"model_state": {STEM: value}})


def storage(key="0", dtype="f4", size=40, **options):
    return Storage(key, dtype, bytes(size), **options)


def legacy(**options):
    return torch_legacy(valid(), **options)


def members(**options):
    """A valid zip with options of `zip_bytes`."""
    return zip_bytes(zip_members(valid()), **options)


def replaced(folder="archive", **contents):
    """A valid zip with contents of members replaced, or members added."""
    found = dict(zip_members(valid())) | {f"{folder}/{name}": content for name, content in contents.items()}
    return zip_bytes(list(found.items()))


def deflated():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in zip_members(valid()):
            archive.writestr(name, content)
        archive.writestr("archive/data/bomb", bytes(200 << 20))
    return file.getvalue()


def with_zip64(*, at=None, sizes=None):
    """A valid zip with a zip64 end record in front of its end record."""
    data = members()
    end = data.rindex(b"PK\5\6")
    count, size, start = struct.unpack_from("<HII", data, end + 10)
    record = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, *(sizes or (count, count, size, start)))
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, end if at is None else at, 1)
    return data[:end] + record + locator + data[end:]


def blobs(value):
    return python2_pickle({"blobs": {"conv1_w": value}})


def array_state(shape, data=bytes(40), dtype=None, fortran=False):
    dtype = dtype or Call(Named("numpy", "dtype"), ("f4", 0, 1), (3, "<", None, None, None, -1, -1, 0))
    return blobs(caffe2_array(np.zeros(1), state=(1, shape, dtype, fortran, data)))


def dtype_state(state):
    return array_state((10,), dtype=Call(Named("numpy", "dtype"), ("f4", 0, 1), state))


def bad_value(name, value):
    return torch_zip({"model_state": {key: as_tensor(key, value if key == name else WEIGHTS[key]) for key in WEIGHTS}})


def recalled_pairs():
    """One list of 5,000 pairs, from which OrderedDicts are made again and again."""
    pairs = b"](" + b"".join(text(b"k%d" % n) + b"N\x86" for n in range(5000)) + b"e"
    calls = b"".join(b"h\x01h\x00\x85R\x85" for _ in range(5000))
    return operations(pairs + b"q\x00ccollections\nOrderedDict\nq\x01(" + calls + b"t0")


CUT = torch_zip(valid())
CUT_LEGACY = legacy()
CUT_PLAIN = blobs(caffe2_array(np.ones((2, 3, 1, 7, 7), "f4")))

FILES = {
    # Names that are not of a checkpoint.
    "os_system": called("os", "system"),
    "posix_system": called("posix", "system"),
    "nt_system": called("nt", "system"),
    "subprocess": called("subprocess", "getoutput"),
    "eval": called("builtins", "eval", b"open('MARKER', 'w')"),
    "exec": called("__builtin__", "exec", b"open('MARKER', 'w')"),
    "open": called("builtins", "open", b"MARKER"),
    "getattr": called("builtins", "getattr"),
    "import": called("builtins", "__import__", b"antigravity"),
    "runpy": called("runpy", "run_path"),
    "torch_hub": called("torch.hub", "load"),
    "torch_load": called("torch", "load"),
    "numpy_runstring": called("numpy.testing._private.utils", "runstring"),
    "numpy_load": called("numpy", "load"),
    "partial": called("functools", "partial"),
    "decode": called("_codecs", "decode"),
    "stack_global": stack_global("os", "system"),
    "dotted_name": stack_global("collections", "OrderedDict.__init__.__globals__"),
    "dotted_torch_name": stack_global("torch._utils", "_rebuild_tensor_v2.__globals__"),
    "name_that_is_no_text": operations(b"K\x01K\x02\x93)R"),
    "name_with_line_feeds": stack_global("os\n\n", "system" * 100),
    "os_system_in_legacy": torch_legacy(valid(cfg=Call(Named("os", "system"), ("touch MARKER",)))),
    "os_system_in_plain": python2_pickle({"blobs": {}, "x": Call(Named("os", "system"), ("touch MARKER",))}),
    "os_system_at_the_start": b"cos\nsystem\n(S'touch MARKER'\ntR.",
    # Operations that no checkpoint needs.
    "inst": operations(b"(S'touch MARKER'\nios\nsystem\n"),
    "obj": operations(b"(cos\nsystem\nS'touch MARKER'\no"),
    "obj_of_a_class": operations(b"(ccollections\nOrderedDict\no"),
    "newobj_of_a_class": operations(b"cnumpy\nndarray\n)\x81"),
    "newobj": operations(b"cos\nsystem\n" + text(b"touch MARKER") + b"\x85\x81"),
    "newobj_ex": operations(b"ccollections\nOrderedDict\n)}\x92"),
    "ext1": operations(b"\x82\x01"),
    "ext2": operations(b"\x83\x01\x00"),
    "ext4": operations(b"\x84\x01\x00\x00\x00"),
    "text_persistent_id": operations(b"Pstorage\n"),
    "out_of_band_buffer": operations(b"\x97"),
    "call_of_a_dict": operations(b"})R"),
    "call_of_a_class": operations(b"cnumpy\nndarray\n)R"),
    "call_without_a_tuple": operations(b"ccollections\nOrderedDict\n]R"),
    "state_of_a_tuple": operations(b")}b"),
    "state_of_a_tensor": with_tensor(
        Call(Named("torch._utils", "_rebuild_tensor"), (storage(), 0, (1,), (1,)), {"a": 1})
    ),
    "bytes_of_a_number": operations(b"c__builtin__\nbytes\nJ\xff\xff\xff\x7f\x85R"),
    "bytearray_of_a_number": operations(b"c__builtin__\nbytearray\nJ\xff\xff\xff\x7f\x85R"),
    "other_codec": operations(b"c_codecs\nencode\n" + text(b"abc") + text(b"zip") + b"\x86R"),
    "unknown_operation": operations(b"\xff"),
    "protocol_6": b"\x80\x06}.",
    # Sizes.
    "huge_text": operations(b"\x8d" + struct.pack("<Q", 1 << 62)),
    "huge_bytes": operations(b"\x8e" + struct.pack("<Q", (1 << 63) + 5)),
    "huge_bytearray": operations(b"\x96" + struct.pack("<Q", 1 << 40)),
    "huge_string": operations(b"T\xff\xff\xff\xff"),
    "huge_integer": operations(b"\x8b\xff\xff\xff\x7f"),
    "long_integer": operations(b"\x8a\xff" + bytes(255)),
    "long_decimal": operations(b"L" + b"9" * 900 + b"L\n"),
    "endless_line": operations(b"I" + b"9" * 5000 + b"\n"),
    "no_line_feed": b"}S'" + b"9" * 5000,
    "giant_memo_index": operations(b"Nr\xff\xff\xff\xff"),
    "giant_memo_decimal": operations(b"Np99999999999999999999\n"),
    "negative_memo_index": operations(b"Np-1\n"),
    "missing_memo": operations(b"h\x07"),
    "deep_marks": operations(b"(" * 100_000),
    "deep_lists": operations(b"]" * 100_000 + b"a" * 99_999),
    "deep_tuples": operations(b")" + b"\x85" * 1_000_000),
    "copies": operations(b"N" + b"2" * 100_000),
    "many_operations": operations(b"N0" * 1_500_000 + b"N"),
    "many_dicts": operations(b"](" + b"}" * 15_000 + b"e" + b"(}e" * 700_000),
    "many_texts": operations(b"](" + b"".join(text(b"%07d" % n + b"x" * 990) for n in range(18_000)) + b"e0N"),
    "recalled_pairs": recalled_pairs(),
    "many_arrays": torch_zip({"model_state": dict.fromkeys((f"w{n}" for n in range(20_001)), as_tensor("0", [1.0]))}),
    # Grammar.
    "empty_stack": operations(b"000"),
    "unset_mark": operations(b"t"),
    "value_below_a_mark": operations(b"N(\x85"),
    "odd_items": operations(b"}(Nu"),
    "items_of_a_list": operations(b"]NNs"),
    "append_to_a_dict": operations(b"}Na"),
    "add_to_a_list": operations(b"](N\x90"),
    "values_left_over": operations(b"NN"),
    "no_utf8": operations(text(b"\xff\xfe")),
    "no_integer": operations(b"Ixyz\n"),
    "no_float": operations(b"F1e1e1\n"),
    "unquoted_string": operations(b"Sabc\n"),
    "unknown_escape": operations(b"S'\\q'\n"),
    "pairs_of_three": operations(b"ccollections\nOrderedDict\n(](NNNtatR"),
    # Tensors.
    "persistent_text": operations(text(b"storage") + b"Q"),
    "persistent_module": torch_legacy(valid(net=storage(pid=("module", Named("torch", "Size"), "a.py", "import os")))),
    "persistent_in_plain": dump({"model_state": {STEM: as_tensor(0, [1.0])}})[0],
    "unknown_storage": with_tensor(tensor(storage(kind=Named("torch", "Size")), (10,))),
    "untyped_storage": with_tensor(tensor(storage(kind=Named("torch.storage", "UntypedStorage")), (10,))),
    "storage_key_number": with_tensor(
        tensor(storage(pid=("storage", Named("torch", "FloatStorage"), 0, "cpu", 10)), (10,))
    ),
    "storage_negative": with_tensor(tensor(storage(total=-1), (1,))),
    "storage_true": with_tensor(tensor(storage(total=True), (1,))),
    "storage_too_short": with_tensor(tensor(storage(total=11), (10,))),
    "storage_too_long": with_tensor(tensor(storage(total=9), (9,))),
    "storage_huge": with_tensor(tensor(storage(total=1 << 62), (1 << 60,))),
    "storage_in_two_kinds": torch_zip(
        {"model_state": {STEM: tensor(storage(), (10,)), "b": tensor(storage(dtype="i4"), (10,))}}
    ),
    "storage_missing": zip_bytes([m for m in zip_members(valid()) if m[0] != f"archive/data/{STEM}"]),
    "offset_negative": with_tensor(tensor(storage(), (1,), offset=-1)),
    "offset_beyond": with_tensor(tensor(storage(), (1,), offset=10)),
    "offset_huge": with_tensor(tensor(storage(), (1,), offset=1 << 80)),
    "stride_negative": with_tensor(tensor(storage(), (2,), offset=5, stride=(-1,))),
    "stride_beyond": with_tensor(tensor(storage(), (4,), stride=(4,))),
    "stride_huge": with_tensor(tensor(storage(), (2,), stride=(1 << 64,))),
    "stride_zero_bomb": with_tensor(tensor(storage(), (1 << 20, 1 << 20), stride=(0, 0))),
    "stride_missing": with_tensor(tensor(storage(), (2, 5), stride=(1,))),
    "size_negative": with_tensor(tensor(storage(), (-2, -5), stride=(1, 1))),
    "size_huge_and_zero": with_tensor(tensor(storage(), (0, 1 << 40, 1 << 40), stride=(1, 1, 1))),
    "size_true": with_tensor(tensor(storage(), (True, 5), stride=(5, 1))),
    "size_float": with_tensor(tensor(storage(), (2.0, 5), stride=(5, 1))),
    "size_list": with_tensor(tensor(storage(), [2, 5], stride=(5, 1))),
    "nine_axes": with_tensor(tensor(storage(), (1,) * 9)),
    "tensor_of_nothing": with_tensor(Call(Named("torch._utils", "_rebuild_tensor_v2"), ())),
    "tensor_of_a_dict": with_tensor(tensor(OrderedDict(), (1,))),
    "parameter_of_nothing": with_tensor(Call(Named("torch._utils", "_rebuild_parameter"), (3, True, OrderedDict()))),
    # Zip.
    "zip_only_magic": b"PK\x03\x04",
    "zip_empty": zip_bytes([]),
    "zip_cut_early": CUT[:100],
    "zip_cut_in_half": CUT[: len(CUT) // 2],
    "zip_cut_in_the_directory": CUT[:-60],
    "zip_cut_at_the_end": CUT[:-1],
    "zip_with_a_tail": CUT + b"x",
    "zip_bomb": deflated(),
    "zip_method": members(method=8),
    "zip_sizes_differ": members(central={FIRST_DATA: {"packed": 1}}),
    "zip_encrypted": members(flags=0x809),
    "zip_same_name_twice": zip_bytes(zip_members(valid()) + zip_members(valid())[-2:]),
    "zip_overlap": members(central={"archive/version": {"header": 0}}),
    "zip_shared_content": members(central={"archive/version": {"header": 0, "size": 588, "packed": 588}}),
    "zip_wrong_header": members(central={FIRST_DATA: {"header": 65}}),
    "zip_header_inside": members(central={LAST_DATA: {"header": CUT.rindex(b"PK\3\4", 0, CUT.rindex(b"PK\3\4")) + 1}}),
    "zip_header_beyond": members(central={"archive/version": {"header": 1 << 30}}),
    "zip_size_beyond": members(central={"archive/version": {"size": 1 << 30, "packed": 1 << 30}}),
    "zip_local_name": members(local={FIRST_DATA: {"name": b"archive/data/xyz"}}),
    "zip_local_method": members(local={FIRST_DATA: {"method": 8}}),
    "zip_local_size": members(local={FIRST_DATA: {"size": 7, "packed": 7}}),
    "zip_local_extra": members(
        local={"archive/version": {"extra": bytes(4)}}, central={"archive/version": {"size": 30, "packed": 30}}
    ),
    "zip_local_encrypted": members(local={"archive/data.pkl": {"flags": 0x809}}),
    "zip_other_disk": members(central={FIRST_DATA: {"disk": 1}}),
    "zip_count_high": members(end={"here": 9, "count": 9}),
    "zip_count_low": members(end={"here": 1, "count": 1}),
    "zip_count_contradicts": members(end={"here": 1}),
    "zip_directory_beyond": members(end={"start": 1 << 31}),
    "zip_directory_size": members(end={"size": 46}),
    "zip_directory_shifted": members(end={"start": 64}),
    "zip_name_climbs": replaced(folder="..", x=b""),
    "zip_name_backslash": replaced(folder="a\\b", x=b""),
    "zip_name_absolute": replaced(folder="", x=b""),
    "zip_name_no_text": members(central={"archive/version": {"name": b"\xff"}}),
    "zip_two_pickles": replaced(folder="other", **{"data.pkl": b"\x80\x02}."}),
    "zip_nested_pickle": torch_zip(valid(), folder="a/b"),
    "zip_without_pickle": zip_bytes([("archive/version", b"3\n")]),
    "zip_torchscript": replaced(**{"constants.pkl": b"\x80\x02).", "code/__torch__.py": b"op_version_set = 1"}),
    "zip_torchscript_compressed": zip_bytes(
        [*zip_members(valid()), ("archive/code/a.py", b"?")], central={"archive/code/a.py": {"method": 8}}
    ),
    "zip_byte_order": replaced(byteorder=b"middle"),
    "zip_pickle_checksum": members(central={"archive/data.pkl": {"crc": 1}}),
    "zip_pickle_tail": replaced(**{"data.pkl": dump(valid())[0] + b"N."}),
    "zip_pickle_cut": replaced(**{"data.pkl": dump(valid())[0][:-9]}),
    "zip_tensor_checksum": members(central={FIRST_DATA: {"crc": 1}}),
    "zip64_beyond": with_zip64(at=1 << 50),
    "zip64_elsewhere": with_zip64(at=0),
    "zip64_contradicts": with_zip64(sizes=(99, 99, 99, 99)),
    "zip64_without_sizes": members(central={FIRST_DATA: {"size": 0xFFFFFFFF, "packed": 0xFFFFFFFF}}),
    "zip64_size_beyond": members(
        central={
            FIRST_DATA: {
                "size": 2**32 - 1,
                "packed": 2**32 - 1,
                "extra": struct.pack("<2H2Q", 1, 16, 1 << 60, 1 << 60),
            }
        }
    ),
    # Legacy.
    "legacy_only_magic": CUT_LEGACY[:15],
    **{f"legacy_cut_{part}": CUT_LEGACY[: len(CUT_LEGACY) * part // 8] for part in range(1, 8)},
    "legacy_cut_at_the_end": CUT_LEGACY[:-1],
    "legacy_tail": legacy(tail=b"\0"),
    "legacy_protocol": legacy(protocol_version=1002),
    "legacy_protocol_is_a_dict": legacy(protocol_version={"a": 1}),
    "legacy_keys_missing": legacy(keys=[]),
    "legacy_keys_twice": legacy(keys=[STEM, STEM]),
    "legacy_keys_unknown": legacy(keys=[STEM, "s1.pathway0_stem.bn.running_var", "else"]),
    "legacy_keys_numbers": legacy(keys=[1, 2]),
    "legacy_keys_none": legacy(keys=(1,)),
    "legacy_count_negative": legacy(counts={STEM: -4917841579173726103}),
    "legacy_count_huge": legacy(counts={STEM: 1 << 62}),
    "legacy_count_other": legacy(counts={STEM: 293}),
    "legacy_storage_huge": torch_legacy({STEM: tensor(storage(total=1 << 61), (1,))}),
    "legacy_view_beyond": torch_legacy({STEM: tensor(storage(view=("1", 5, 6)), (1,))}),
    "legacy_view_negative": torch_legacy({STEM: tensor(storage(view=("1", -5, 6)), (1,))}),
    "legacy_view_of_two": torch_legacy({STEM: tensor(storage(view=("1", 5)), (1,))}),
    # Plain pickles.
    **{f"plain_cut_{part}": CUT_PLAIN[: len(CUT_PLAIN) * part // 8] for part in range(1, 8)},
    "plain_shape_negative": array_state((-2, -5)),
    "plain_shape_huge": array_state((1 << 31, 1 << 31)),
    "plain_shape_huge_and_zero": array_state((0, 1 << 60), data=b""),
    "plain_shape_list": array_state([10]),
    "plain_too_short": array_state((11,)),
    "plain_too_long": array_state((9,)),
    "plain_too_short_in_the_file": array_state((1000,), data=bytes(3999)),
    "plain_objects": blobs(caffe2_array(np.zeros(1), code="O8")),
    "plain_texts": blobs(caffe2_array(np.zeros(1), code="S8")),
    "plain_structs": blobs(caffe2_array(np.zeros(1), code="V8")),
    "plain_long_doubles": blobs(caffe2_array(np.zeros(1), code="f16")),
    "plain_dtype_fields": dtype_state((3, "<", None, ("a",), {"a": 1}, 8, 1, 0)),
    "plain_dtype_order": dtype_state((3, "?", None, None, None, -1, -1, 0)),
    "plain_dtype_state": dtype_state({"a": 1}),
    "plain_without_state": blobs(
        Call(Named("numpy.core.multiarray", "_reconstruct"), (Named("numpy", "ndarray"), (0,), b"b"))
    ),
    "plain_version": blobs(caffe2_array(np.zeros(1), state=(2, (1,), None, False, b""))),
    "plain_other_class": blobs(
        Call(Named("numpy.core.multiarray", "_reconstruct"), (Named("torch", "Size"), (0,), b"b"))
    ),
    "plain_data_number": array_state((1,), data=5),
    "plain_data_no_bytes": pickle.dumps({"blobs": {"conv1_w": np.ones((2, 3, 1, 10, 10))}}, protocol=2).replace(
        "ð?".encode(), "\u0430?".encode()
    ),
    # Something else.
    "empty": b"",
    "one_byte": b"\x80",
    "web_page": b"\xef\xbb\xbf\n<!DOCTYPE html><html>404</html>",
    "xml": b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
    "git_lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    "gzip": gzip.compress(CUT),
    "bzip2": b"BZh91AY&SY" + bytes(50),
    "xz": b"\xfd7zXZ\0" + bytes(50),
    "zstd": b"\x28\xb5\x2f\xfd" + bytes(50),
    "tar": b"sys_info".ljust(257, b"\0") + b"ustar\x0000" + bytes(300),
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(50),
    "json": b'{"a": 1}',
    "noise": bytes(range(200, 256)) * 40,
    "a_list": pickle.dumps([1, 2]),
    "a_number": torch_zip(5),
    "no_weights": torch_zip({"model_state": {}, "epoch": 3}),
    # Weights that are none.
    "not_a_number": bad_value(STEM, np.full((2, 3, 1, 7, 7), np.nan, "f4")),
    "infinite": bad_value(STEM, np.full((2, 3, 1, 7, 7), np.inf, "f4")),
    "negative_variance": bad_value("s1.pathway0_stem.bn.running_var", np.array([1, -1], "f4")),
    "integers": bad_value(STEM, np.ones((2, 3, 1, 7, 7), "i8")),
    "wrong_axes": bad_value(STEM, np.ones((2, 3, 7, 7), "f4")),
    "wrong_family": torch_zip({"state_dict": {"patch_embed.proj.weight": as_tensor(0, [1.0])}}),
}


def refused(path):
    """The message with which a file is refused, after checks of what every refusal must be."""
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError) as raised:
            read_everything(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < LIMIT
    message = str(raised.value)
    assert message.startswith(f"{path} cannot be used as a checkpoint: ")
    said = message.removeprefix(str(path))
    assert said.endswith(".") and said.isascii() and said.isprintable() and len(said) < 400
    assert ". " not in said and said.count("; ") == 1, "one sentence: cause; what to do"
    return said


@pytest.mark.parametrize("name", FILES)
def test_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "file.pyth"
    path.write_bytes(FILES[name])
    modules = set(sys.modules)
    refused(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.pyth"], "something was run"
    assert {name for name in set(sys.modules) - modules if not name.startswith(("encodings", "kerasfast"))} == set()


def test_there_are_many():
    assert len(FILES) >= 40 and len(set(FILES.values())) == len(FILES)


@pytest.mark.parametrize("data", [torch_zip(valid()), legacy(), CUT_PLAIN, with_zip64(), members(align=1)])
def test_what_they_were_made_of_is_read(data, tmp_path):
    """Else the files above could be refused for another reason than theirs."""
    path = tmp_path / "file"
    path.write_bytes(data)
    assert read_everything(path)["slow/stem/conv/kernel"].shape == (1, 7, 7, 3, 2)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("os_system", "asks for 'os.system', which no checkpoint needs; do not use it"),
        ("inst", "uses INST, which no checkpoint needs; do not use it"),
        ("zip_cut_in_half", "download was cut off; fetch it again"),
        ("legacy_cut_7", "1176 more bytes should follow where 944 are left, so it was cut off"),
        ("zip_bomb", "is compressed, which torch never does"),
        ("zip_torchscript", "TorchScript program; load it with torch.jit.load"),
        ("zip_torchscript_compressed", "TorchScript program; load it with torch.jit.load"),
        ("storage_too_short", "storage '0' has 40 bytes where its tensors expect 44"),
        ("many_arrays", "holds 20001 arrays"),
        ("zip_header_inside", "does not begin where the zip directory says"),
        ("plain_data_no_bytes", "an array holds text that is no bytes"),
        ("no_line_feed", "ends in the middle"),
        ("offset_beyond", "needs numbers up to 11 of a storage of 10"),
        ("stride_zero_bomb", "is larger than its storage of 10 numbers"),
        ("web_page", "it is a web page, not the file"),
        ("git_lfs", "it is a git-lfs pointer, not the file; run git lfs pull"),
        ("gzip", "compressed with gzip; unpack it with gunzip"),
        ("tar", "tar file of torch before 0.1.10"),
        ("empty", "it is empty"),
        ("negative_variance", "'s1.pathway0_stem.bn.running_var' holds a negative variance"),
        ("persistent_module", "holds a whole pickled module; save module.state_dict"),
    ],
)
def test_messages(name, says, tmp_path):
    path = tmp_path / "file.pyth"
    path.write_bytes(FILES[name])
    assert says in refused(path)


# --- fuzz ------------------------------------------------------------------------------------------------------------

FUZZ_SECONDS = 60
SEEDS = {
    "zip": torch_zip(valid(cfg="A: 1\n" * 300, optimizer_state={"state": {0: {"m": as_tensor("9", np.ones(9))}}})),
    "zip64": with_zip64(),
    # Without checksums, changes of the pickle reach the interpreter.
    "zip_unchecked": members(central={name: {"crc": 0} for name, _ in zip_members(valid())}),
    "legacy": legacy(),
    "python2": CUT_PLAIN,
    "text": python2_pickle({"blobs": {"conv1_w": caffe2_array(np.ones((2, 3, 1, 7, 7), "f4"))}}, protocol=0),
    "protocol5": pickle.dumps({"blobs": {"conv1_w": np.ones((2, 3, 1, 7, 7), "f4"), "pred_b": np.ones(3)}}, protocol=5),
}


def mutate(data, rng):
    """A copy with one to four changes: bytes, cuts, repeats, moves and numbers at the edges."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        length = min(rng.choice((1, 1, 1, 2, 4, 8, 50)), len(data) - at)
        kind = rng.randrange(6)
        if kind == 0:
            data[at : at + length] = rng.randbytes(length)
        elif kind == 1:
            data[at : at + length] = b""
        elif kind == 2:
            data[at:at] = data[at : at + length]
        elif kind == 3:
            source = rng.randrange(len(data) + 1)
            data[at : at + length] = data[source : source + length]
        elif kind == 4:
            data[at : at + length] = rng.choice((b"\xff", b"\0", b"\x7f", b".", b"(", b"R", b"b", b"h")) * length
        elif rng.random() < 0.2:
            del data[at:]
    return bytes(data)


def fuzz(name, seconds, path, seed):
    """Mutations read in that time, and how many of them were read without an error."""
    rng = random.Random(f"{name} {seed}")
    end = time.monotonic() + seconds
    tried = good = 0
    while time.monotonic() < end:
        path.write_bytes(data := mutate(SEEDS[name], rng))
        tried += 1
        try:
            read_everything(path)
            good += 1
        except CheckpointError:
            pass
        except BaseException:
            path.with_name("escaped").write_bytes(data)
            raise
    return tried, good


@pytest.mark.parametrize("name", SEEDS)
def test_mutations(name, tmp_path):
    tried, _ = fuzz(name, 0.3, tmp_path / "file", 0)
    assert tried > 10


@pytest.mark.slow
@pytest.mark.parametrize("name", SEEDS)
def test_many_mutations(name, tmp_path):
    tried, good = fuzz(name, FUZZ_SECONDS / len(SEEDS), tmp_path / "file", time.time_ns())
    assert tried > 100 and good > 0, "a mutation that leaves the file as good as it was must be among them"
