"""Videos and disks that are not as one would wish: stored as they should be, or named; and nothing is half written."""

import ctypes
import errno
import os
import sys

import numpy as np
import pytest
import strange_videos
import tensorflow as tf
from conftest import frame_numbers

from kerasfast.data.clips import ClipSpec
from kerasfast.data.errors import DataError
from kerasfast.data.folder import read_folder
from kerasfast.data.records import parts
from kerasfast.data.records.build import build_records
from kerasfast.data.records.read import check_records, read_manifest

CLIP = ClipSpec(8, 1, 24.0)
EVEN = list(range(30))
# Ten frames at 12 a second, then twenty at 30 a second, in 60ths.
CHANGING = [5 * k for k in range(10)] + [50 + 2 * k for k in range(20)]


def build(found, out, **options):
    return build_records(found, found.videos, found.labels, out, clip=CLIP, **{"short_side": 48, "clips": 3} | options)


def stored(out, manifest):
    """Frames of each record with the id of its video: (id, first frame, frames)."""
    for path in manifest.round_files(out)[0]:
        for record in tf.data.TFRecordDataset(path):
            example = tf.train.SequenceExample.FromString(record.numpy())
            files = [f.bytes_list.value[0] for f in example.feature_lists.feature_list["image/encoded"].feature]
            context = example.context.feature
            assert len({tf.io.decode_jpeg(file).shape[:2] for file in files}) == 1
            frames = np.stack([tf.io.decode_jpeg(file).numpy() for file in files])
            assert list(frames.shape[1:3]) == [context[f"image/{s}"].int64_list.value[0] for s in ("height", "width")]
            name = context["video/id"].bytes_list.value[0].decode()
            yield name, context["clip/start_frame"].int64_list.value[0], frames


@pytest.fixture(scope="module")
def odd_folder(tmp_path_factory):
    """A folder of two classes whose videos are odd, each in its own way, and the frames to expect of each at 24 fps."""
    root = tmp_path_factory.mktemp("Ordner mit Lücke")
    first, second = root / "Tür auf & zu", root / "跳绳 100%d"
    first.mkdir()
    second.mkdir()
    videos = {
        "odd [97x73].mp4": {"ticks": EVEN, "size": (97, 73), "pix_fmt": "yuv444p"},
        "ten bit.mp4": {"ticks": EVEN, "pix_fmt": "yuv420p10le"},
        "ten bit: hevc.mkv": {"ticks": EVEN, "pix_fmt": "yuv420p10le", "codec": "libx265"},
        "one frame.mp4": {"ticks": [0]},
        "phone'.mp4": {"ticks": EVEN, "rotation": 90},
        "changing rate.mp4": {"ticks": CHANGING, "ticks_a_second": 60},
    }
    expected = {}
    for number, (name, options) in enumerate(videos.items()):
        folder = (first, second)[number % 2]
        strange_videos.write(folder / name, **options)
        rate = options.get("ticks_a_second", 24)
        # The last frame of the changing video is shown for two ticks: it ends after 90 of 60 a second.
        length = 36 if rate == 60 else len(options["ticks"])
        expected[f"{folder.name}/{name}"] = strange_videos.nearest(options["ticks"], rate, 24, length)
    return root, expected


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_video_is_stored_as_it_should_be(odd_folder, tmp_path, split):
    root, expected = odd_folder
    manifest = build(read_folder(root), tmp_path, split=split)
    assert manifest.skipped == ()
    assert {video["id"]: video["frames"] for video in manifest.videos} == {
        name: len(numbers) for name, numbers in expected.items()
    }
    shapes = {}
    for name, first, frames in stored(tmp_path, manifest):
        shown = frame_numbers(np.rot90(frames, -1, axes=(1, 2)) if "phone" in name else frames)
        wanted = 2 * np.array(expected[name][first : first + len(frames)])
        assert np.abs(shown - wanted).max() <= 1, name
        shapes[name.split("/")[1]] = frames.shape[1:3]
    assert shapes == {
        "odd [97x73].mp4": (48, 63),
        "ten bit.mp4": (48, 64),
        "ten bit: hevc.mkv": (48, 64),
        "one frame.mp4": (48, 64),
        "phone'.mp4": (64, 48),
        "changing rate.mp4": (48, 64),
    }
    assert check_records(tmp_path) == [manifest]


def test_a_video_that_changes_its_size(tmp_path):
    (tmp_path / "in" / "a").mkdir(parents=True)
    path = tmp_path / "in" / "a" / "x.mp4"
    strange_videos.write_two_sizes(path, (64, 48), (96, 72))
    strange_videos.write(tmp_path / "in" / "a" / "y.mp4", EVEN)
    manifest = build(read_folder(tmp_path / "in"), tmp_path / "one", short_side=36)
    assert {frames.shape[1:3] for _, _, frames in stored(tmp_path / "one", manifest)} == {(36, 48)}
    strange_videos.write_two_sizes(path, (64, 48), (72, 72))
    with pytest.raises(DataError, match=r"x\.mp4: frame \d+ has 36x36 pixels, those before it 48x36"):
        build(read_folder(tmp_path / "in"), tmp_path / "two", short_side=36)
    manifest = build(read_folder(tmp_path / "in"), tmp_path / "two", short_side=36, skip_bad=True)
    assert path.name in manifest.skipped[0]["reason"]


def test_the_list_of_what_was_left_out_is_exact(odd_folder, tmp_path):
    found = read_folder(odd_folder[0])
    bad = {row.id: tmp_path / f"{number}.mp4" for number, row in enumerate(found.rows[:4])}
    contents = [b"", b"no video", next(iter(found.videos.values())).read_bytes()[:700]]
    for path, content in zip(bad.values(), contents, strict=False):
        path.write_bytes(content)  # the fourth does not exist
    manifest = build_records(
        found, found.videos | bad, found.labels, tmp_path / "out", clip=CLIP, split="test", short_side=48, skip_bad=True
    )
    assert [video["id"] for video in manifest.skipped] == list(bad)
    reasons = ["is empty", "not a video file", "truncated", "no such file"]
    for video, path, reason in zip(manifest.skipped, bad.values(), reasons, strict=True):
        assert video["reason"].startswith(f"{path}: ")
        assert reason in video["reason"]
    assert [video["id"] for video in manifest.videos] == [row.id for row in found.rows[4:]]
    assert {name for name, _, _ in stored(tmp_path / "out", manifest)} == {row.id for row in found.rows[4:]}


def whole(out, manifest):
    """Whether a folder holds the records of a manifest and nothing else."""
    names = {shard.name for shard in manifest.shards} | {f"manifest-{manifest.split}.json"}
    return {path.name for path in out.iterdir()} == names and check_records(out) == [manifest]


@pytest.mark.parametrize("name", ["train-round01-00001-of-00002.tfrecord.partial", "manifest-train.json.partial"])
def test_a_full_disk(odd_folder, tmp_path, name):
    """What is written to /dev/full meets a full disk."""
    found = read_folder(odd_folder[0])
    out = tmp_path / "out"
    out.mkdir()
    (out / name).symlink_to("/dev/full")
    options = {"rounds": 2, "part_videos": 3, "workers": 1}
    with pytest.raises(OSError, match=r"out: the records cannot be written \(.*No space left on device.*goes on from"):
        build(found, out, **options)
    assert not list(out.glob("*.partial"))
    with pytest.raises(DataError, match="has not ended"):
        read_manifest(out, "train")
    kept = {path.name: path.stat().st_mtime_ns for path in out.glob("*.tfrecord")}
    assert len(kept) == (2 if "tfrecord" in name else 4)
    manifest = build(found, out, **options)
    assert whole(out, manifest)
    assert {name: (out / name).stat().st_mtime_ns for name in kept} == kept


def test_a_disk_that_fills_up(odd_folder, small_disk, tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "_SPOOL_BYTES", 1)  # the records of a video wait on the disk too
    found = read_folder(odd_folder[0])
    filler = small_disk / "filler"
    filler.write_bytes(bytes(200 << 10))
    out = small_disk / "out"
    with pytest.raises(OSError, match=r"out: the records cannot be written \(.*No space left on device"):
        build(found, out, part_videos=1, workers=2)
    assert not list(out.glob("*.partial"))
    assert not list(out.glob("manifest*"))
    filler.unlink()
    manifest = build(found, out, part_videos=1, workers=2)
    assert whole(out, manifest)
    assert manifest.shards == build(found, tmp_path / "other", part_videos=1).shards


@pytest.fixture
def bound_by_permissions():
    """Lets permissions bind this thread, which they do not where it is root's."""
    if os.geteuid():
        yield
        return
    if sys.platform != "linux":
        pytest.skip("root may write everywhere")
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3, this thread
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; then their upper halves
    libc.capget(header, sets)
    before, sets[0] = sets[0], sets[0] & ~(1 << 1)  # CAP_DAC_OVERRIDE
    if libc.capset(header, sets):
        pytest.skip(f"capset: {os.strerror(ctypes.get_errno())}")
    yield
    sets[0] = before
    libc.capset(header, sets)


def test_a_read_only_folder(odd_folder, tmp_path, bound_by_permissions):
    found = read_folder(odd_folder[0])
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    try:
        for out in (folder, folder / "new"):
            with pytest.raises(
                OSError, match=rf"{out.name}: the records cannot be written \(.*Permission denied"
            ) as raised:
                build(found, out)
            assert raised.value.__cause__.errno == errno.EACCES
        assert list(folder.iterdir()) == []
    finally:
        folder.chmod(0o755)
    assert whole(folder, build(found, folder, rounds=1))


def test_records_in_a_read_only_folder_are_taken_as_they_are(odd_folder, tmp_path, bound_by_permissions):
    found = read_folder(odd_folder[0])
    manifest = build(found, tmp_path, rounds=1)
    tmp_path.chmod(0o555)
    try:
        assert build(found, tmp_path, rounds=1) == manifest
    finally:
        tmp_path.chmod(0o755)
