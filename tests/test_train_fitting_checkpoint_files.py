"""Checkpoints as files: whole or not there, the last two kept, damage noticed, full disks survived."""

import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from fresh_python import run_python

from kerasfast.train.fitting.checkpoint_files import Checkpoint, CheckpointFolder, Position

ARRAYS = [
    np.arange(6, dtype=np.float32).reshape(2, 3),
    np.asarray(7, np.int64),
    np.asarray([1.5, -2.0], ml_dtypes.bfloat16),
    np.zeros((0, 4), np.float32),
]


def checkpoint(step: int, arrays=ARRAYS) -> Checkpoint:
    states = [("BestWeights", {"best": float("inf")}), ("StopOnNaN", {"step": step})]
    names = [f"v{number}" for number in range(len(arrays))]
    return Checkpoint(Position(1, step - 4, step), {"recipe": {"a": 1}}, states, names, arrays)


@pytest.fixture
def folder(tmp_path):
    made = CheckpointFolder(tmp_path / "checkpoints")
    made.begin()
    return made


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 16
    path.write_bytes(content)


def test_it_is_read_as_it_was_written(folder):
    path = folder.write(checkpoint(5))
    found = folder.latest()
    assert (found.position, found.path) == (Position(1, 1, 5), path)
    assert found.identity == {"recipe": {"a": 1}} and found.names == ["v0", "v1", "v2", "v3"]
    assert found.callbacks == [("BestWeights", {"best": float("inf")}), ("StopOnNaN", {"step": 5})]
    for array, wanted in zip(found.arrays, ARRAYS, strict=True):
        np.testing.assert_array_equal(array.view(wanted.dtype), wanted)
        assert array.shape == wanted.shape
    with np.load(path, allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["00000"], ARRAYS[0])


def test_the_last_two_are_kept_and_a_new_run_has_none(folder):
    assert folder.exists() and folder.latest() is None
    for step in (5, 10, 100):
        folder.write(checkpoint(step))
    assert {path.name for path in folder.folder.iterdir()} == {"step-000000010.npz", "step-000000100.npz"}
    assert folder.latest().position.step == 100
    folder.begin()
    assert folder.latest() is None
    folder.remove()
    assert not folder.exists()


def test_a_damaged_one_gives_way_to_the_one_before(folder):
    folder.write(checkpoint(5))
    newest = folder.write(checkpoint(6))
    newest.write_bytes(newest.read_bytes()[:-40])
    with pytest.warns(
        UserWarning, match=r"newest checkpoint is damaged \(step-000000006.*goes on from.*step-000000005"
    ):
        assert folder.latest().position.step == 5


def test_where_all_are_damaged_the_run_does_not_begin_again_unasked(folder):
    for step in (5, 6):
        folder.write(checkpoint(step)).write_bytes(b"")
    with pytest.raises(ValueError, match=r"no checkpoint can be read \(step-000000006.*step-000000005.*overwrite"):
        folder.latest()


def test_no_flipped_bit_changes_what_is_read(folder):
    path = folder.write(checkpoint(5))
    content = path.read_bytes()
    for place in range(0, len(content), 7):
        path.write_bytes(content)
        flip(path, place)
        try:
            found = folder.latest()
        except ValueError as error:
            assert "no checkpoint can be read" in str(error)
            continue
        # Dates and flags of the archive say nothing about what is in it.
        assert found.position == Position(1, 1, 5)
        for array, wanted in zip(found.arrays, ARRAYS, strict=True):
            assert array.tobytes() == wanted.tobytes()


def test_another_format_is_refused(folder, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("kerasfast.train.fitting.checkpoint_files.FORMAT", "kerasfast-checkpoint-9")
        folder.write(checkpoint(5))
    with pytest.raises(ValueError, match=r"no checkpoint can be read .*'kerasfast-checkpoint-9', this version reads"):
        folder.latest()


FULL = """
import resource, signal, sys
import numpy as np
sys.path.insert(0, {tests!r})
from test_train_fitting_checkpoint_files import checkpoint
from kerasfast.train.fitting.checkpoint_files import CheckpointFolder
folder = CheckpointFolder({folder!r})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    folder.write(checkpoint(7, [np.ones(100_000, np.float32)]))
except OSError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process are POSIX")
def test_a_file_that_cannot_grow_leaves_the_others(folder):
    for step in (5, 6):
        folder.write(checkpoint(step))
    told = run_python(FULL.format(tests=str(Path(__file__).parent), folder=str(folder.folder)))
    assert "step-000000007.npz: the checkpoint cannot be written" in told
    assert "Free space; the same command then goes on from step-000000006.npz" in told
    assert len(list(folder.folder.iterdir())) == 2
    assert folder.latest().position.step == 6


def test_a_full_disk_leaves_the_last_good_one(small_disk):
    folder = CheckpointFolder(small_disk / "checkpoints")
    folder.begin()
    arrays = [np.ones(30_000, np.float32)]  # 120 kB: the third has no room beside the two that are kept
    for step in (5, 6):
        folder.write(checkpoint(step, arrays))
    with pytest.raises(OSError, match=r"step-000000007.*cannot be written \(.*No space left on device.*step-000000006"):
        folder.write(checkpoint(7, arrays))
    assert len(list(folder.folder.iterdir())) == 2
    np.testing.assert_array_equal(folder.latest().arrays[0], arrays[0])
