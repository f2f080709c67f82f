"""Records in a bucket, on a real S3 server on loopback: `make test-io`, which brings tensorflow-io and the server."""

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import pytest
from cli_case import refuses, run
from file_server import free_port

import kerasfast as kf
from kerasfast.data.checks.records import diagnose_records
from kerasfast.data.errors import DataError
from kerasfast.data.records.folder import RecordFolder
from kerasfast.data.records.read import check_records, read_manifest

pytestmark = [
    pytest.mark.io,
    # TensorFlow 2.17 holds protobuf below 5, which does what Python 3.12 deprecates.
    pytest.mark.filterwarnings("ignore:Type google.*tp_new:DeprecationWarning"),
]

BUCKET = "kerasfast-records"
RECORDS = f"s3://{BUCKET}/charades/tiny"
CLIPS = {"batch_size": 2, "crop_size": 64, "short_side": (64, 67), "seed": 3}


@pytest.fixture(scope="module", autouse=True)
def settings():
    """A server that holds nothing, and the environment that leads tensorflow-io to it and nowhere else."""
    pytest.importorskip("tensorflow_io", reason="reading s3:// needs tensorflow-io: make test-io")
    port = free_port()
    values = {
        "S3_ENDPOINT": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        # Amazon's library asks 169.254.169.254 otherwise, and boto3 reads the user's own settings.
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "no_proxy": "127.0.0.1",
    }
    with pytest.MonkeyPatch.context() as patch, running_moto(port):
        for name, value in values.items():
            patch.setenv(name, value)
        patch.delenv("AWS_PROFILE", raising=False)
        yield values


@contextmanager
def running_moto(port, **environment):
    """A running server, as a process of its own: one in here would wait for the interpreter that waits for it."""
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(
        command, env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            for _ in range(600):
                assert process.poll() is None, "the server ended"
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            yield
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def client(settings):
    import boto3

    client = boto3.client("s3", endpoint_url=settings["S3_ENDPOINT"], region_name="us-east-1")
    client.create_bucket(Bucket=BUCKET)
    return client


@pytest.fixture(scope="module")
def upload(client):
    """A function that puts a folder into the bucket."""

    def upload(folder, prefix):
        for path in folder.iterdir():
            client.upload_file(str(path), BUCKET, f"{prefix}/{path.name}")
        return f"s3://{BUCKET}/{prefix}"

    return upload


@pytest.fixture(scope="module")
def records(upload, records_folder):
    """Address of the records of `records_folder`."""
    return upload(records_folder, "charades/tiny")


@pytest.fixture
def damaged(records_folder, upload, client, tmp_path):
    """A function that changes one shard in a copy of the records: (address of the copy, of the shard)."""

    def damaged(change):
        address = upload(records_folder, tmp_path.name)
        name = read_manifest(records_folder, "train").shards[1].name
        content = change(bytearray((records_folder / name).read_bytes()))
        if content is None:
            client.delete_object(Bucket=BUCKET, Key=f"{tmp_path.name}/{name}")
        else:
            client.put_object(Bucket=BUCKET, Key=f"{tmp_path.name}/{name}", Body=bytes(content))
        return address, f"{address}/{name}"

    return damaged


def kerasfast(*arguments, **environment):
    """Exit code, standard output and error of the command, as a process of its own: tensorflow-io reads its settings
    once, and what it does at the end of a process is part of the test.
    """
    command = [sys.executable, "-m", "kerasfast.cli.main", *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=200, env=os.environ | environment)
    return ended.returncode, ended.stdout, ended.stderr


def flip_byte(content):
    content[len(content) // 2] ^= 1
    return content


def test_the_folder(records, records_folder):
    folder = RecordFolder(records)
    assert folder.exists()
    assert folder.names("*") == sorted(path.name for path in records_folder.iterdir())
    assert folder.names("manifest-*.json") == ["manifest-test.json", "manifest-train.json"]
    for path in records_folder.iterdir():
        assert folder.size(path.name) == path.stat().st_size
        with folder.open(path.name) as file:
            assert file.read() == path.read_bytes()
    parent = RecordFolder(f"s3://{BUCKET}/charades/")
    assert parent.names("*") == ["tiny"]
    assert parent.size("tiny") is None
    none = RecordFolder(f"s3://{BUCKET}/none")
    assert (none.exists(), none.names("*"), none.size("a")) == (False, [], None)
    assert RecordFolder(f"s3://{BUCKET}").exists()


def test_many_files_are_listed(client):
    """The server gives names by the hundred."""
    for number in range(120):
        client.put_object(Bucket=BUCKET, Key=f"many/part-{number:03d}.json", Body=b"")
    assert RecordFolder(f"s3://{BUCKET}/many").names("part-*") == [f"part-{number:03d}.json" for number in range(120)]


def test_manifest_and_checks(records, records_folder):
    for split in ("train", "test"):
        assert read_manifest(records, split) == read_manifest(records_folder, split)
    assert check_records(records) == check_records(records_folder)
    assert diagnose_records(records).to_dict() == diagnose_records(records_folder).to_dict()


def assert_equal(ours, theirs):
    import tensorflow as tf

    ours, theirs = (list(dataset.as_numpy_iterator()) for dataset in (ours, theirs))
    assert len(ours) == len(theirs) > 0
    for one, other in zip(ours, theirs, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, one, other)


def test_training_clips_are_those_of_the_folder(records, records_folder, tiny_clip):
    ours, theirs = (kf.data.training_clips(source, tiny_clip, **CLIPS) for source in (records, records_folder))
    for _ in range(2):  # each pass is an epoch, of other shards
        assert_equal(ours, theirs)


def test_testing_views_are_those_of_the_folder(records, records_folder, tiny_clip):
    options = {"clips": 2, "crops": 3, "crop_size": 32, "short_side": 32}
    assert_equal(*(kf.data.testing_views(source, tiny_clip, **options) for source in (records, records_folder)))
    ours, theirs = kf.data.video_labels(records), kf.data.video_labels(records_folder)
    assert ours.keys() == theirs.keys()
    for head in theirs:
        np.testing.assert_array_equal(ours[head], theirs[head])


@pytest.fixture(scope="module")
def model(records_folder, tiny_clip):
    import keras

    keras.utils.set_random_seed(0)
    heads = read_manifest(records_folder, "train").labels.head_fields()
    model = kf.load("slowfast_nano", weights=False, heads=heads, clip=tiny_clip)
    model.compile(optimizer=keras.optimizers.SGD(0.01), loss="binary_crossentropy", jit_compile=False)
    return model


def test_a_step_of_training(records, model, tiny_clip):
    before = [weight.numpy() for weight in model.trainable_variables]
    history = model.fit(
        kf.data.training_clips(records, tiny_clip, **CLIPS), epochs=1, steps_per_epoch=1, shuffle=False, verbose=0
    )
    assert np.isfinite(history.history["loss"]).all()
    assert any((weight.numpy() != old).any() for weight, old in zip(model.trainable_variables, before, strict=True))


def test_evaluation(records, records_folder, model):
    options = {"clips": 2, "crops": 1, "batch_size": 4}
    ours, theirs = (kf.evaluate(model, source, **options)["heads"] for source in (records, records_folder))
    assert ours == theirs


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: None, "no such file, but the manifest lists it"),
        (lambda content: content[:-9], "truncated"),
        (flip_byte, "its content differs from its manifest"),
    ],
    ids=["missing", "truncated", "flipped"],
)
def test_damage_is_named(damaged, tiny_clip, change, message):
    address, shard = damaged(change)
    with pytest.raises(DataError, match=f"{shard}: .*{message}"):
        check_records(address)
    report = diagnose_records(address, "train")
    assert [finding.code for finding in report.findings if finding.severity == "error"] == [
        "missing_shard" if "no such" in message else "damaged_shard"
    ]
    if message != "its content differs from its manifest":  # that shows as its record is read
        with pytest.raises(DataError, match=f"{shard}: .*{message}"):
            kf.data.training_clips(address, tiny_clip, **CLIPS)


def test_training_names_the_shard(damaged, tiny_clip):
    from kerasfast.data.pipeline.reading import named_damage

    address, shard = damaged(flip_byte)
    clips = kf.data.training_clips(address, tiny_clip, drop_remainder=False, **CLIPS)  # every video
    with pytest.raises(DataError, match=f"{shard}: "), named_damage(address, "train"):
        for _ in range(4):  # epochs, until the round of this shard
            list(clips)


def test_what_is_not_there(records, tiny_clip):
    with pytest.raises(DataError, match=r"manifest-train\.json: no such file\. Give the folder that"):
        read_manifest(f"s3://{BUCKET}/none", "train")
    with pytest.raises(DataError, match=r"manifest-val\.json: no such file\. The folder holds the splits test, train"):
        kf.data.training_clips(records, tiny_clip, split="val", **CLIPS)
    with pytest.raises(DataError, match=r"^s3://no-such-bucket/r: there is no bucket 'no-such-bucket' at S3_ENDPOINT="):
        kf.data.training_clips("s3://no-such-bucket/r", tiny_clip, **CLIPS)


def test_the_command_line(records):
    code, out, err = kerasfast("records", "check", records)
    assert (code, "Checked 2 splits" in out) == (0, True), err
    assert "pure virtual" not in err  # which tensorflow-io ends with otherwise, and exit code 134


def test_the_command_line_says_what_is_wrong(monkeypatch, capfd, damaged):
    address, shard = damaged(flip_byte)
    code, out, err = run(monkeypatch, capfd, "records", "check", address)
    assert (code, shard.rpartition("/")[2] in out) == (1, True), err
    message = refuses(monkeypatch, capfd, "records", "check", "s3://no-such-bucket/r")
    assert message.startswith("error: s3://no-such-bucket/r: there is no bucket 'no-such-bucket'")


def test_a_server_that_is_not_there(records):
    """Said within seconds."""
    begin = time.monotonic()
    code, _, err = kerasfast("records", "check", records, S3_ENDPOINT=f"http://127.0.0.1:{free_port()}")
    assert code == 2, err
    assert f"{records}: cannot be read at S3_ENDPOINT=http://127.0.0.1:" in err
    assert "Couldn't connect to server" in err
    assert "the settings are AWS_ACCESS_KEY_ID" in err
    assert time.monotonic() - begin < 60  # most of it is the start of TensorFlow


def test_a_key_that_is_not_known(records):
    port = free_port()
    with running_moto(port, INITIAL_NO_AUTH_ACTION_COUNT="0"):
        code, _, err = kerasfast("records", "check", records, S3_ENDPOINT=f"http://127.0.0.1:{port}")
    assert code == 2, err
    assert f"{records}: access is denied at S3_ENDPOINT=http://127.0.0.1:{port} (PermissionDeniedError: " in err
