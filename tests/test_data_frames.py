import numpy as np
import pytest
import tensorflow as tf
from conftest import frame_numbers, tiny_frame

from kerasfast.data.annotations import Segment, VideoRow, find_frames
from kerasfast.data.clips import ClipSpec, resample_indices
from kerasfast.data.errors import DataError
from kerasfast.data.frames import OpenFrames, jpeg_size
from kerasfast.data.labels import LabelSpace
from kerasfast.data.records.build import build_records
from kerasfast.data.records.read import check_records
from kerasfast.data.sources import fingerprint, open_source
from kerasfast.data.video import OpenVideo

LABELS = LabelSpace({"action": ("sit",)})
CLIP = ClipSpec(8, 2, 24.0)


def jpeg(index, width=64, height=48, **options):
    return tf.io.encode_jpeg(tiny_frame(index, width, height), quality=90, **options).numpy()


def archive(folder, frames, width=64, height=48, first=1):
    """A folder of frames as in the archive of Charades."""
    folder.mkdir(parents=True)
    for index in range(frames):
        (folder / f"{folder.name}-{index + first:06d}.jpg").write_bytes(jpeg(index, width, height))
    return folder


def build(folder, out, **options):
    """Records of one video that is a folder of frames."""
    rows = [VideoRow(folder.name, "", None, (Segment(0, 0.0, 1.0),), 0)]
    return build_records(rows, {folder.name: folder}, LABELS, out, clip=CLIP, split="test", clips=3, **options)


def stored(out, manifest):
    """JPEG files of each record, and the numbers of their frames."""
    for record in tf.data.TFRecordDataset(manifest.round_files(out)[0]):
        example = tf.train.SequenceExample.FromString(record.numpy())
        files = [f.bytes_list.value[0] for f in example.feature_lists.feature_list["image/encoded"].feature]
        yield files, frame_numbers(np.stack([tf.io.decode_jpeg(file).numpy() for file in files])).tolist()


@pytest.fixture(scope="module")
def frames60(tmp_path_factory):
    return archive(tmp_path_factory.mktemp("archive") / "46GP8", 60)


def test_frames_come_in_order_at_their_rate(frames60):
    with OpenFrames(frames60) as video:
        found = list(video.frames())
    assert [index for index, _ in found] == list(range(60))
    assert frame_numbers(np.stack([frame for _, frame in found])).tolist() == list(range(60))
    assert (video.length, video.size) == (60, (48, 64))
    assert found[0][1].dtype == np.uint8
    assert found[0][1][:6, :8, 0].mean() > 200  # red comes first
    assert found[0][1][:6, :8, 1:].mean() < 60


@pytest.mark.parametrize(("archive_fps", "fps"), [(24, 24), (24, 30), (24, 12), (30, 24), (24, 7), (10, 29.97)])
def test_other_rates_are_resampled_as_those_of_videos(frames60, archive_fps, fps):
    with OpenFrames(frames60, archive_fps) as video:
        assert video.announced_length(fps) == len(resample_indices(archive_fps, 60, fps))
        found = frame_numbers(np.stack([frame for _, frame in video.frames(fps)]))
    assert found.tolist() == resample_indices(archive_fps, 60, fps).tolist()


def test_frames_are_scaled_as_those_of_videos(tmp_path):
    with OpenFrames(archive(tmp_path / "a", 3, 85, 64)) as video:
        assert [frame.shape for _, frame in video.frames(short_side=48)] == [(48, 63, 3)] * 3
        assert video.size == (48, 63)
    with OpenFrames(tmp_path / "a") as video:
        assert next(video.frames(short_side=128, enlarge=False))[1].shape == (64, 85, 3)


def test_frames_that_need_no_scaling_are_kept(frames60, tmp_path):
    files = [path.read_bytes() for path in sorted(frames60.iterdir())]
    with OpenFrames(frames60, keep_jpeg=True) as video:
        assert list(video.frames(24, 48)) == list(enumerate(files))
    manifest = build(frames60, tmp_path / "kept", short_side=48, quality=10)
    for kept, numbers in stored(tmp_path / "kept", manifest):
        assert kept == [files[number] for number in numbers]
    assert manifest.videos[0]["frames"] == 60
    # Smaller frames keep their size, and so their bytes.
    assert [kept for kept, _ in stored(tmp_path / "kept", manifest)] == [
        kept for kept, _ in stored(tmp_path / "big", build(frames60, tmp_path / "big", short_side=256))
    ]
    scaled = build(frames60, tmp_path / "scaled", short_side=32)
    for made, numbers in stored(tmp_path / "scaled", scaled):
        assert {jpeg_size(file) for file in made} == {(32, 42)}
        assert numbers == list(range(numbers[0], numbers[0] + 15, 2))


def test_only_wanted_frames_are_read(tmp_path):
    folder = archive(tmp_path / "v", 60)
    (folder / "v-000002.jpg").write_bytes(b"")  # frame 1; the clips hold frames 0, 2, ... from three starts
    manifest = build(folder, tmp_path / "out", short_side=48)
    assert [numbers[0] for _, numbers in stored(tmp_path / "out", manifest)] == [0, 22, 45]


def test_grey_and_progressive_pictures(tmp_path):
    folder = archive(tmp_path / "v", 2)
    grey = tf.io.encode_jpeg(tiny_frame(0, 64, 48)[..., :1], format="grayscale").numpy()
    (folder / "v-000001.jpg").write_bytes(grey)
    (folder / "v-000002.jpg").write_bytes(jpeg(1, progressive=True))
    with OpenFrames(folder) as video:
        found = np.stack([frame for _, frame in video.frames()])
    assert found.shape == (2, 48, 64, 3)
    assert frame_numbers(found).tolist() == [0, 1]


def test_names_and_numbers(tmp_path):
    folder = archive(tmp_path / "ü 1 %d", 3, first=0)
    (folder / ".hidden-9.jpg").touch()
    (folder / "Thumbs.db").touch()
    (folder / "cover.jpg").touch()
    (folder / "ü 1 %d-000002.jpg").rename(folder / "ü 1 %d-2.JPEG")
    with OpenFrames(folder) as video:
        assert frame_numbers(np.stack([frame for _, frame in video.frames()])).tolist() == [0, 1, 2]


def test_missing_frames_are_damage(tmp_path):
    folder = archive(tmp_path / "v", 20)
    for number in (1, 7, 8):
        (folder / f"v-{number:06d}.jpg").unlink()
    with pytest.raises(DataError, match=r"v: 3 frames before number 20 are missing, the first is number 1\. Unpack"):
        OpenFrames(folder)
    (folder / "v-000001.jpg").write_bytes(jpeg(0))
    (folder / "v-20261231235959.jpg").write_bytes(jpeg(0))
    with pytest.raises(
        DataError, match=r"frames before number 20,261,231,235,959 are missing, the first is number 7\."
    ):
        OpenFrames(folder)
    assert fingerprint(folder, 24) == ["v", "damaged", 24]


def test_folders_that_are_no_video(tmp_path):
    with pytest.raises(DataError, match=r"none: no such folder"):
        OpenFrames(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"holds no frame such as empty-000001\.jpg"):
        OpenFrames(tmp_path / "empty")
    folder = archive(tmp_path / "a", 2)
    (folder / "a-2.jpg").touch()
    with pytest.raises(DataError, match=r"frame 2 is there twice, a-000002\.jpg and a-2\.jpg"):
        OpenFrames(folder)
    (folder / "a-2.jpg").rename(folder / "b-3.jpg")
    with pytest.raises(DataError, match=r"holds frames of 2 videos \(a-, b-\)"):
        OpenFrames(folder)


def broken(name, content):
    if name == "truncated":
        return content[: len(content) * 2 // 3]
    if name == "a hole at the end":
        return content[: len(content) * 2 // 3].ljust(len(content), b"\0")
    return {"empty": b"", "text": b"no picture " * 20, "header alone": content[:20] + b"\xff\xd9"}[name]


@pytest.mark.parametrize("short_side", [48, 32])  # kept as they are, and decoded
@pytest.mark.parametrize("name", ["truncated", "a hole at the end", "empty", "text", "header alone"])
def test_a_broken_frame_is_named(tmp_path, name, short_side):
    folder = archive(tmp_path / "v", 30)
    path = folder / "v-000009.jpg"
    path.write_bytes(broken(name, path.read_bytes()))
    with pytest.raises(
        DataError, match=r"v/v-000009\.jpg: cannot be read as a JPEG frame \(.*Unpack the archive again"
    ):
        build(folder, tmp_path / "out", short_side=short_side)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".build-test"]
    other = archive(tmp_path / "w", 30)
    rows = [VideoRow(name, "", None, (Segment(0, 0.0, 1.0),), 0) for name in ("v", "w")]
    manifest = build_records(
        rows, {"v": folder, "w": other}, LABELS, tmp_path / "both", clip=CLIP, split="test", skip_bad=True
    )
    assert [video["id"] for video in manifest.videos] == ["w"]
    assert [(video["id"], "v-000009.jpg" in video["reason"]) for video in manifest.skipped] == [("v", True)]
    assert check_records(tmp_path / "both") == [manifest]


def test_a_picture_that_lacks_its_middle_shows_when_it_is_decoded(tmp_path):
    folder = archive(tmp_path / "v", 20)
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    content = tf.io.encode_jpeg(noise).numpy()
    (folder / "v-000009.jpg").write_bytes(content[: len(content) // 2] + content[-2:])
    with pytest.raises(DataError, match=r"v-000009\.jpg: cannot be read as a JPEG frame"):
        build(folder, tmp_path / "out", short_side=32)


def test_frames_of_two_sizes(tmp_path):
    folder = archive(tmp_path / "v", 20)
    (folder / "v-000011.jpg").write_bytes(jpeg(10, 48, 48))
    with pytest.raises(DataError, match=r"v: frame 10 has 48x48 pixels, those before it 64x48"):
        build(folder, tmp_path / "out", short_side=48)


def test_find_frames(tmp_path):
    archive(tmp_path / "A", 1)
    rows = [VideoRow(name, "", 2.0, (), 2) for name in "AB"]
    assert find_frames(rows[:1], tmp_path) == {"A": tmp_path / "A"}
    with pytest.raises(DataError, match=r"1 of 2 annotated videos have no file here \(B\). Expected names such as B;"):
        find_frames(rows, tmp_path)
    assert find_frames(rows, tmp_path, skip_missing=True)["B"] == tmp_path / "B"
    with pytest.raises(DataError, match="no such folder"):
        find_frames(rows, tmp_path / "none")


def test_sources_are_told_apart_by_their_path(frames60, charades_folder):
    with open_source(frames60) as frames, open_source(charades_folder / "videos" / "a1.mp4") as video:
        assert (type(frames), type(video)) == (OpenFrames, OpenVideo)
        assert frames.announced_length(24) == 60
        assert video.announced_length(24) == 48


def test_the_fingerprint_tells_versions_apart(tmp_path):
    folder = archive(tmp_path / "v", 5)
    before = fingerprint(folder, 24)
    assert before == fingerprint(folder, 24)
    assert before != fingerprint(folder, 25)
    (folder / "v-000005.jpg").write_bytes(jpeg(0, 80, 60))
    assert before != fingerprint(folder, 24)
    (folder / "v-000005.jpg").unlink()
    assert before != fingerprint(folder, 24)


def test_the_rate_of_frames_is_positive(frames60, tmp_path):
    with pytest.raises(ValueError, match=r"frames_fps must be positive. Received: frames_fps=0"):
        build(frames60, tmp_path, frames_fps=0)


def test_size_by_the_header():
    for options in ({}, {"progressive": True}, {"xmp_metadata": "x" * 3000}):
        content = jpeg(0, 70, 50, **options)
        assert jpeg_size(content) == (50, 70)
        assert jpeg_size(content[:2] + b"\xff" + content[2:]) == (50, 70)  # a fill byte
        for end in range(0, content.index(b"\xff\xda") - 100, 7):
            if b"\xff\xc0" not in content[:end] and b"\xff\xc2" not in content[:end]:
                with pytest.raises(ValueError, match="not a JPEG file"):
                    jpeg_size(content[:end])
    with pytest.raises(ValueError, match="not a JPEG file"):
        jpeg_size(b"GIF89a")
