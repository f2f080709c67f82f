"""Records by path and by address: stores on `ram://`, which is in every TensorFlow, and `s3://` in tests/io."""

import subprocess
import sys
import types
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from cli_case import refuses, run

from kerasfast.data.checks.records import diagnose_records
from kerasfast.data.errors import DataError
from kerasfast.data.folder_records import from_folder
from kerasfast.data.pipeline import testing
from kerasfast.data.pipeline.testing import video_labels
from kerasfast.data.pipeline.training import training_clips
from kerasfast.data.records import store
from kerasfast.data.records.build import build_records
from kerasfast.data.records.folder import RecordFolder, is_address
from kerasfast.data.records.read import check_records, read_manifest, splits_in

ADVICE = r"pip install 'kerasfast\[io\]' brings both; or copy the records .*: aws s3 sync s3://b/r FOLDER\."
READERS = {
    "read_manifest": lambda records, clip: read_manifest(records, "train"),
    "check_records": lambda records, clip: check_records(records),
    "diagnose_records": lambda records, clip: diagnose_records(records),
    "splits_in": lambda records, clip: splits_in(records),
    "training_clips": lambda records, clip: training_clips(records, clip, 2, crop_size=32, short_side=(32, 40)),
    "testing_views": lambda records, clip: testing.testing_views(records, clip),
    "video_labels": lambda records, clip: video_labels(records),
}
needs_no_s3 = pytest.mark.skipif(find_spec("tensorflow_io") is not None, reason="TensorFlow reads s3:// here")


@pytest.fixture
def in_store(records_folder, tmp_path):
    """The records in TensorFlow's file system in memory."""
    root = f"ram://{tmp_path.name}/records"
    for path in records_folder.iterdir():
        with tf.io.gfile.GFile(f"{root}/{path.name}", "wb") as file:
            file.write(path.read_bytes())
    return root


def test_a_folder_and_a_store_look_alike(records_folder, in_store):
    here, there = RecordFolder(records_folder), RecordFolder(in_store + "/")
    assert (here.is_remote, there.is_remote) == (False, True)
    assert (str(here), str(there)) == (str(records_folder), in_store)
    name = "manifest-train.json"
    assert (here.path(name), there.path(name)) == (str(records_folder / name), f"{in_store}/{name}")
    assert here.exists()
    assert there.exists()
    for pattern in ("*", "manifest-*.json", "train-round00-*", "none-*"):
        assert here.names(pattern) == there.names(pattern)
    for name in here.names("*"):
        assert here.size(name) == there.size(name) == (records_folder / name).stat().st_size
        with here.open(name) as one, there.open(name) as other:
            assert one.read(100) + one.read() == other.read(100) + other.read()


def test_what_is_not_there(tmp_path):
    for folder in (RecordFolder(tmp_path / "none"), RecordFolder("ram://nowhere/none")):
        assert not folder.exists()
        assert folder.names("*") == []
        assert folder.size("a") is None
    absent = RecordFolder("ram://nowhere/none").open("a")
    with pytest.raises(DataError, match=r"^ram://nowhere/none/a: cannot be read \(NotFoundError: "), absent as file:
        file.read()


def test_readers_take_addresses(records_folder, in_store, tiny_clip):
    manifest = read_manifest(in_store, "train")
    assert manifest == read_manifest(records_folder, "train")
    assert check_records(in_store) == check_records(records_folder)
    assert diagnose_records(in_store).to_dict() == diagnose_records(records_folder).to_dict()
    for head, labels in video_labels(records_folder).items():
        np.testing.assert_array_equal(video_labels(in_store)[head], labels)
    batches = [
        list(training_clips(folder, tiny_clip, 2, crop_size=32, short_side=(32, 40)).as_numpy_iterator())
        for folder in (records_folder, in_store)
    ]
    assert len(batches[0]) == 2
    tf.nest.map_structure(np.testing.assert_array_equal, *batches)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-1], "truncated"),
        (lambda content: content[:-20] + bytes([content[-20] ^ 1]) + content[-19:], "differs from its manifest"),
        (None, "no such file, but the manifest lists it"),
    ],
)
def test_damage_in_a_store_is_named(records_folder, in_store, damage, message):
    name = "test-00001-of-00002.tfrecord"
    assert (records_folder / name).exists()
    tf.io.gfile.remove(f"{in_store}/{name}")
    if damage is not None:
        with tf.io.gfile.GFile(f"{in_store}/{name}", "wb") as file:
            file.write(damage((records_folder / name).read_bytes()))
    with pytest.raises(DataError, match=rf"{name}.*{message}"):
        check_records(in_store)


@needs_no_s3
@pytest.mark.parametrize("reader", READERS)
def test_readers_say_what_s3_takes(reader, tiny_clip):
    with pytest.raises(DataError, match=rf"^s3://b/r: TensorFlow {tf.__version__} on Python 3.*{ADVICE}"):
        READERS[reader]("s3://b/r", tiny_clip)


@needs_no_s3
def test_s3_beside_a_foreign_tensorflow_io(monkeypatch):
    """On another TensorFlow than 2.17, tensorflow-io warns of undefined symbols and goes on without s3://."""
    said = "unable to load libtensorflow_io_plugins.so: undefined symbol"

    def load(name):
        warnings.warn(said, UserWarning, stacklevel=1)
        return types.ModuleType(name)

    monkeypatch.setattr(store.importlib, "import_module", load)
    monkeypatch.setattr(store, "_skip_native_destructors", lambda: None)
    with pytest.raises(DataError, match=rf"cannot read s3:// \({said}\)\. .*{ADVICE}"):
        RecordFolder("s3://b/r")


@needs_no_s3
@pytest.mark.parametrize(
    "arguments",
    [
        ("records", "check", "s3://b/r"),
        ("evaluate", "slowfast_nano.miniature", "--records", "s3://b/r"),
        ("train", "miniature_slowfast_nano", "--records", "s3://b/r", "--out", "run"),
    ],
)
def test_commands_say_what_s3_takes(monkeypatch, capfd, tmp_path, arguments):
    monkeypatch.chdir(tmp_path)
    message = refuses(monkeypatch, capfd, *arguments)
    assert message.startswith("error: s3://b/r: TensorFlow ")
    assert "pip install 'kerasfast[io]'" in message
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_takes_an_address(monkeypatch, capfd, in_store):
    code, out, err = run(monkeypatch, capfd, "records", "check", in_store)
    assert code == 0, err
    assert "Checked 2 splits" in out
    message = refuses(monkeypatch, capfd, "records", "check", in_store, "other.csv")
    assert f"An address is that of a folder of records; give it alone. Received: {in_store}, other.csv." in message


@pytest.mark.parametrize("scheme", ["foo", "ftp", "hdfs"])
def test_unknown_addresses(scheme):
    with pytest.raises(DataError, match=rf"^{scheme}://x/y: .* cannot read {scheme}://.*Give a folder, or an address"):
        RecordFolder(f"{scheme}://x/y")


@pytest.mark.parametrize("address", ["gs://", "gs:///records", "s3://"])
def test_an_address_without_a_bucket(address):
    with pytest.raises(DataError, match=r"names no bucket\. Give an address such as (gs|s3)://BUCKET/FOLDER\."):
        RecordFolder(address)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (tf.errors.NotFoundError, r"^gs://b/r: there is no bucket 'b'\. Correct the address; the credentials"),
        (tf.errors.PermissionDeniedError, r"access is denied \(PermissionDeniedError: 403\).*gcloud auth"),
        (tf.errors.UnauthenticatedError, r"access is denied \(UnauthenticatedError: 403\)"),
        (tf.errors.FailedPreconditionError, r"^gs://b/r.*: cannot be read \(FailedPreconditionError: 403\)"),
    ],
)
def test_a_bucket_that_cannot_be_read(monkeypatch, error, message):
    """What is raised for an address of Google's store is guessed: nothing here can try one."""

    def stat(address):
        raise error(None, None, "403")

    monkeypatch.setattr(tf.io.gfile, "stat", stat)
    folder = RecordFolder("gs://b/r")
    for look in (folder.exists, lambda: folder.size("a"), lambda: folder.names("*")):
        with pytest.raises(DataError, match=message):
            look()


def test_paths_are_no_addresses():
    assert is_address("s3://bucket/records")
    assert not is_address("records")
    assert not is_address(Path("s3://bucket/records"))
    with pytest.raises(DataError, match=r"an address was made a Path.* Give it as text: 's3://bucket/records'\."):
        read_manifest(Path("s3://bucket/records"), "train")


@pytest.mark.parametrize("out", ["s3://b/r", Path("s3://b/r")])
def test_records_are_built_here(monkeypatch, capfd, tmp_path, tiny_clip, out):
    monkeypatch.chdir(tmp_path)
    message = r"^s3://b/r: records are built in a folder of this machine.*: aws s3 sync FOLDER s3://b/r\.$"
    with pytest.raises(DataError, match=message):
        build_records((), {}, None, out, clip=tiny_clip)
    with pytest.raises(DataError, match=message):
        from_folder(tmp_path, tiny_clip, out)
    Path("list.csv").write_text("path,label\n")
    assert "records are built in" in refuses(monkeypatch, capfd, "records", "build", "list.csv", "--out", "s3://b/r")
    with pytest.raises(DataError, match="gcloud storage rsync -r FOLDER gs://b"):
        build_records((), {}, None, "gs://b", clip=tiny_clip)
    assert [path.name for path in tmp_path.iterdir()] == ["list.csv"]


def test_the_exit_code_stands():
    """What is done for tensorflow-io leaves exit code and output of a process as they are."""
    code = (
        "import atexit, ctypes, sys\n"
        "from kerasfast.data.records.store import _skip_native_destructors\n"
        "_skip_native_destructors()\n"
        "atexit.register(print, 'python ends')\n"
        "ctypes.CDLL(None).printf(b'C buffers\\n')\n"
        "sys.exit(3)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stderr) == (3, "")
    assert sorted(ended.stdout.splitlines()) == ["C buffers", "python ends"]
