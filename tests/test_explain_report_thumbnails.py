"""Moving pictures of mistakes, of real records."""

import base64
import io

import numpy as np
import pytest
import train_records
from PIL import Image

from kerasfast.data.errors import DataError
from kerasfast.explain.report.thumbnails import FRAMES, encode, thumbnails

IDS = [f"test{i:02d}" for i in range(3)]


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return train_records.make(tmp_path_factory.mktemp("thumbnails"), "test", 3, clips=2)


def opened(address):
    head, _, code = address.partition(",")
    assert head == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(code)))


def heights(picture):
    """Where the square of `train_records.video` is in each frame."""
    found = []
    for i in range(picture.n_frames):
        picture.seek(i)
        frame = np.asarray(picture.convert("RGB")).astype(int)
        bright = frame.max(axis=2) - frame.min(axis=2) > 120
        found.append(np.flatnonzero(bright.any(axis=1)).mean())
    return found


def test_a_thumbnail_moves_as_its_video_does(records):
    found = thumbnails(records, "test", IDS, [1, 0, 1], 10**6)
    assert list(found) == [0, 1]
    for video, thumbnail in found.items():
        moving, still = opened(thumbnail.moving), opened(thumbnail.still)
        assert (moving.n_frames, still.n_frames) == (FRAMES, 1)
        assert moving.size == still.size == (thumbnail.width, thumbnail.height) == (72, 64)
        assert moving.info["loop"] == 0
        tops = np.array(heights(moving))
        assert (np.diff(tops) < 0).all() if video == 0 else (np.diff(tops) > 0).all()  # the first rises, in rows
    assert found[0].bytes == len(found[0].moving) + len(found[0].still)


@pytest.mark.parametrize(("limit", "frames_left"), [(400_000, 12), (60_000, 12), (30_000, 6), (8_000, 1)])
def test_a_thumbnail_keeps_to_its_bytes(limit, frames_left):
    random = np.random.default_rng(0)
    frames = [Image.fromarray(random.integers(0, 256, (72, 96, 3), dtype=np.uint8)) for _ in range(12)]
    thumbnail = encode(frames, limit)
    assert thumbnail.bytes <= limit
    assert opened(thumbnail.moving).n_frames == frames_left


def test_records_of_other_videos_are_refused(records):
    with pytest.raises(ValueError, match=r"holds other videos than those that were scored"):
        thumbnails(records, "test", ["a", "b", "c"], [0], 10**6)
    with pytest.raises(DataError, match=r"manifest-val\.json: no such file"):
        thumbnails(records, "val", IDS, [0], 10**6)


def test_damaged_records_are_named(records, tmp_path):
    for file in records.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    shard = next(tmp_path.glob("*.tfrecord"))
    data = bytearray(shard.read_bytes())
    data[200] ^= 255
    shard.write_bytes(data)
    with pytest.raises(DataError, match=shard.name):
        thumbnails(tmp_path, "test", IDS, [0, 1, 2], 10**6)
