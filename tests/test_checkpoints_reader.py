"""All three containers give back what was saved, array by array, and read nothing else."""

import pickle
import sys
import tracemalloc
from collections import OrderedDict, deque
from pathlib import Path

import numpy as np
import pytest
from checkpoint_files import (
    Call,
    Named,
    Storage,
    as_tensor,
    caffe2_array,
    module_state,
    python2_pickle,
    tensor,
    torch_legacy,
    torch_zip,
    zip_bytes,
    zip_members,
)

from kerasfast.checkpoints import CheckpointError, read

WRITERS = {"zip": torch_zip, "legacy": torch_legacy}
RNG = np.random.default_rng(0)


def write(tmp_path, data):
    path = tmp_path / "file.any"
    path.write_bytes(data)
    return path


@pytest.fixture(params=WRITERS)
def save(request, tmp_path):
    """Writes an object in one container and opens it."""
    return lambda obj, **options: read(write(tmp_path, WRITERS[request.param](obj, **options)))


def assert_same(found, expected):
    assert found.dtype == expected.dtype and found.dtype.isnative
    assert found.shape == expected.shape
    assert found.flags.c_contiguous and found.flags.writeable
    np.testing.assert_array_equal(found, expected)


# --- numbers ---------------------------------------------------------------------------------------------------------

DTYPES = ["f4", "f8", "f2", "i8", "i4", "i2", "i1", "u1", "b1"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes(save, dtype):
    array = RNG.integers(0, 2 if dtype == "b1" else 100, (2, 3, 4)).astype(dtype)
    assert_same(save({"a": as_tensor(0, array)})["a"], array)


def test_bfloat16_becomes_float32(save):
    array = np.array([1.0, -2.5, 3.140625, np.inf, 1e30], np.float32)
    upper = (array.view("u4") >> 16).astype("u2")
    found = save({"a": as_tensor(0, upper, dtype="bf16")})["a"]
    assert_same(found, (upper.astype("u4") << 16).view("f4"))
    assert found[:4].tolist() == [1.0, -2.5, 3.140625, np.inf]


@pytest.mark.parametrize("shape", [(), (1,), (0,), (0, 5), (3, 0, 2), (1, 1, 1, 1, 1)])
def test_shapes_without_extent(save, shape):
    array = np.full(shape, 7, np.float32)
    checkpoint = save({"a": as_tensor(0, array)})
    assert checkpoint.shapes == {"a": shape}
    assert_same(checkpoint["a"], array)


def test_views_of_one_storage(save):
    base = RNG.normal(size=24).astype("f4")
    storage = Storage("0", "f4", base.tobytes())
    checkpoint = save(
        {
            "whole": tensor(storage, (4, 6)),
            "transposed": tensor(storage, (6, 4), stride=(1, 6)),
            "offset": tensor(storage, (3,), offset=21),
            "column": tensor(storage, (4,), offset=2, stride=(6,)),
            "scalar": tensor(storage, (), offset=5, stride=()),
            "unused_stride": tensor(storage, (1, 3), offset=4, stride=(10**12, 2)),
            "old": tensor(storage, (2, 12), function="_rebuild_tensor"),
        }
    )
    matrix = base.reshape(4, 6)
    assert_same(checkpoint["whole"], matrix)
    assert_same(checkpoint["transposed"], matrix.T)
    assert_same(checkpoint["offset"], base[21:])
    assert_same(checkpoint["column"], matrix[:, 2])
    assert_same(checkpoint["scalar"], base[5])
    assert_same(checkpoint["unused_stride"], base[4:9:2][None])
    assert_same(checkpoint["old"], base.reshape(2, 12))


def test_view_of_a_root_storage(tmp_path):
    base = np.arange(10, dtype="f4")
    root = Storage("5", "f4", base.tobytes())
    view = Storage("5", "f4", base.tobytes(), view=("6", 4, 5))
    checkpoint = read(write(tmp_path, torch_legacy({"a": tensor(root, (10,)), "b": tensor(view, (3,), offset=1)})))
    assert_same(checkpoint["a"], base)
    assert_same(checkpoint["b"], base[5:8])


def test_big_endian_zip(tmp_path):
    array = RNG.normal(size=(3, 2))
    stored = Storage("0", "f8", array.astype(">f8").tobytes())
    data = torch_zip({"a": tensor(stored, (3, 2)), "h": as_tensor(1, np.zeros(2, "f2"))}, order="big")
    assert_same(read(write(tmp_path, data))["a"], array)


def test_parameters_are_tensors(save):
    array = np.arange(3, dtype="f4")
    inner = as_tensor(0, array)
    checkpoint = save(
        {
            "a": Call(Named("torch._utils", "_rebuild_parameter"), (inner, True, OrderedDict())),
            "b": Call(Named("torch._utils", "_rebuild_parameter_with_state"), (inner, True, OrderedDict(), {"x": 1})),
        }
    )
    assert_same(checkpoint["a"], array)
    assert_same(checkpoint["b"], array)


# --- plain pickles ---------------------------------------------------------------------------------------------------

ARRAYS = {
    "small": np.arange(6, dtype="f4").reshape(2, 3),
    "large": RNG.normal(size=(40, 5, 3)),  # long enough to stay in the file
    "fortran": np.asfortranarray(RNG.normal(size=(3, 400)).astype("f4")),
    "big_endian": RNG.normal(size=(5, 100)).astype(">f4"),
    "half": RNG.normal(size=7).astype("f2"),
    "flags": np.array([True, False]),
    "scalar": np.array(2.5),
    "empty": np.empty((0, 4), "f4"),
}
PLAIN = {
    "python2": lambda obj: python2_pickle(obj),
    "python2_text": lambda obj: python2_pickle(obj, protocol=0),
    **{f"protocol_{n}": lambda obj, n=n: pickle.dumps(obj, protocol=n) for n in range(2, 6)},
}


@pytest.mark.parametrize("writer", PLAIN)
def test_plain_pickles(tmp_path, writer):
    arrays = ARRAYS
    if writer.startswith("python2"):
        arrays = {name: caffe2_array(array) for name, array in ARRAYS.items()}
    checkpoint = read(write(tmp_path, PLAIN[writer]({"blobs": arrays})))
    assert checkpoint.shapes == {name: array.shape for name, array in ARRAYS.items()}
    for name, array in ARRAYS.items():
        assert_same(checkpoint[name], array.astype(array.dtype.newbyteorder("=")))


@pytest.mark.parametrize("protocol", range(2, 6))
def test_numpy_scalars(tmp_path, protocol):
    checkpoint = read(write(tmp_path, pickle.dumps({"lr": np.float64(0.5), "n": np.int64(3)}, protocol=protocol)))
    assert checkpoint["lr"] == 0.5 and checkpoint["n"] == 3 and checkpoint.shapes == {"lr": (), "n": ()}


def test_every_byte_survives_text(tmp_path):
    array = np.tile(np.arange(256, dtype="u1"), 9)
    for data in (python2_pickle({"a": caffe2_array(array)}, protocol=0), pickle.dumps({"a": array}, protocol=2)):
        assert_same(read(write(tmp_path, data))["a"], array)


def test_arrays_inside_a_torch_file(save):
    array = np.arange(600, dtype="f4")
    assert_same(save({"state_dict": {"a": caffe2_array(array)}})["a"], array)


# --- what is taken from a file ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["model_state", "state_dict", None])
def test_weights_are_found(save, key):
    state = module_state({"w": as_tensor(0, np.ones(2, "f4")), "extra": 3, "cfg": "x: 1", "more": {"y": 2}})
    rest = {"epoch": 7, "cfg": "LONG: 1\n" * 500, "optimizer_state": {"state": {0: {"m": as_tensor(1, np.ones(2))}}}}
    checkpoint = save(state if key is None else {**rest, key: state})
    assert list(checkpoint) == ["w"] and len(checkpoint) == 1
    assert "w" in checkpoint and "extra" not in checkpoint
    with pytest.raises(KeyError):
        checkpoint["extra"]


def test_objects_beside_the_weights_are_dropped(save):
    history = Call(Named("mmengine.logging.history_buffer", "HistoryBuffer"), (), {"_log_history": caffe2_array([1.0])})
    meta = {"history": history, "seen": deque([1, 2]), "set": {1, 2}, "pairs": {(0, 1): 2}, "path": Path("a")}
    if sys.version_info >= (3, 13):
        meta.pop("path")  # pickled from pathlib._local
    meta["device"] = Call(Named("torch", "device"), ("cuda", 0))
    checkpoint = save({"meta": meta, "state_dict": {"w": as_tensor(0, np.ones(2, "f4"))}})
    assert list(checkpoint) == ["w"]


def test_old_ordered_dict(tmp_path):
    """Python 2 wrote an OrderedDict as a call with a list of pairs."""
    pairs = [["w", caffe2_array(np.ones(2, "f4"))], ["v", caffe2_array(np.zeros(1, "f4"))]]
    data = python2_pickle({"blobs": Call(Named("collections", "OrderedDict"), (pairs,))})
    assert sorted(read(write(tmp_path, data))) == ["v", "w"]


# --- laziness --------------------------------------------------------------------------------------------------------


def big_training_file():
    """Two weights beside an optimizer state of 32 MB."""
    heavy = np.full(1 << 20, 3, "f4")
    state = {"a": as_tensor("10", np.arange(5, dtype="f4")), "b": as_tensor("11", np.ones((2, 2), "f4"))}
    optimizer = {index: {"momentum_buffer": as_tensor(f"2{index}", heavy)} for index in range(8)}
    return {"optimizer_state": {"state": optimizer}, "model_state": module_state(state)}


@pytest.mark.parametrize("writer", WRITERS)
def test_optimizer_state_is_never_read(tmp_path, writer):
    data = bytearray(WRITERS[writer](big_training_file()))
    marker = np.full(1 << 20, 3, "f4").tobytes()
    # Other bytes under the old checksums: reading any of them would be noticed.
    start = bytes(data).find(marker)
    while start >= 0:
        data[start : start + len(marker)] = bytes(len(marker))
        start = bytes(data).find(marker)
    path = write(tmp_path, bytes(data))
    del data
    tracemalloc.start()
    checkpoint = read(path)
    assert checkpoint["a"].tolist() == [0, 1, 2, 3, 4] and checkpoint["b"].shape == (2, 2)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def test_long_arrays_of_a_plain_pickle_are_not_read(tmp_path):
    blobs = {f"w{index}_momentum": np.ones(1 << 20, "f4") for index in range(4)} | {"w": np.ones(3, "f4")}
    path = write(tmp_path, pickle.dumps({"blobs": blobs}, protocol=4))
    del blobs
    tracemalloc.start()
    assert read(path)["w"].tolist() == [1, 1, 1]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def test_reading_an_array_takes_its_size_once(tmp_path):
    path = write(tmp_path, torch_zip({"a": as_tensor(0, np.ones(1 << 20, "f4"))}))
    checkpoint = read(path)
    tracemalloc.start()
    array = checkpoint["a"]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < array.nbytes + (1 << 18)


def test_arrays_are_the_callers_own(save):
    checkpoint = save({"a": as_tensor(0, np.zeros(3, "f4"))})
    checkpoint["a"][:] = 5
    assert checkpoint["a"].tolist() == [0, 0, 0]


# --- damage that shows on access -------------------------------------------------------------------------------------


def test_checksum_of_a_tensor(tmp_path):
    members = zip_members({"a": as_tensor(0, np.arange(8, dtype="f4")), "b": as_tensor(1, np.ones(2, "f4"))})
    checkpoint = read(write(tmp_path, zip_bytes(members, central={"archive/data/0": {"crc": 1}})))
    assert checkpoint["b"].tolist() == [1, 1]
    with pytest.raises(CheckpointError, match="checksum"):
        checkpoint["a"]


def test_checksum_of_a_storage_of_several_tensors(tmp_path):
    storage = Storage("0", "f4", bytes(40))
    members = zip_members({"a": tensor(storage, (3,)), "b": tensor(storage, (3,), offset=3)})
    assert read(write(tmp_path, zip_bytes(members)))["b"].tolist() == [0, 0, 0]
    checkpoint = read(write(tmp_path, zip_bytes(members, central={"archive/data/0": {"crc": 1}})))
    with pytest.raises(CheckpointError, match="checksum"):
        checkpoint["b"]


def test_files_without_checksums(tmp_path):
    """torch.serialization.set_crc32_options(False) leaves zeros."""
    members = zip_members({"a": as_tensor(0, np.arange(8, dtype="f4"))})
    central = {name: {"crc": 0} for name, _ in members}
    assert read(write(tmp_path, zip_bytes(members, central=central)))["a"][7] == 7


def test_a_file_that_changes(tmp_path):
    path = write(tmp_path, torch_zip({"a": as_tensor(0, np.zeros(3, "f4"))}))
    checkpoint = read(path)
    path.write_bytes(torch_zip({"a": as_tensor(0, np.zeros(4, "f4"))}))
    with pytest.raises(CheckpointError, match="changed since it was opened; call"):
        checkpoint["a"]
    path.unlink()
    with pytest.raises(CheckpointError, match="reading it failed"):
        checkpoint["a"]


def test_missing_file(tmp_path):
    for path in (tmp_path / "none.pyth", tmp_path):
        with pytest.raises(FileNotFoundError, match="There is no file"):
            read(path)


def test_paths_may_be_strings(tmp_path):
    path = write(tmp_path, torch_zip({"a": as_tensor(0, np.zeros(3, "f4"))}))
    assert repr(read(str(path))) == f"Checkpoint({str(path)!r}, 1 arrays)"
