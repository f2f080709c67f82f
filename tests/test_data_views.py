"""Views of a video without TensorFlow are those that the graphs of testing make."""

import numpy as np
import pytest
import strange_videos

from kerasfast.data.clips import ClipSpec
from kerasfast.data.errors import DataError
from kerasfast.data.pipeline.transforms import crop_position
from kerasfast.data.video import read_video
from kerasfast.data.video_writer import write_video
from kerasfast.data.views import crops_of, readable_length, scaled_clips


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def grey_waves(count, height, width):
    y, x = np.mgrid[:height, :width] / 9
    moving = np.sin(x + y / 2 + np.arange(count)[:, None, None] / 5)
    return np.repeat(np.uint8(moving * 100 + 128)[..., None], 3, axis=-1)


@pytest.mark.parametrize("sides", [(16, 16), (16, 31), (16, 32), (33, 16), (20, 24), (25, 21), (19, 19)])
def test_crops_are_those_of_the_graph(sides):
    frames = noise(2, *sides, 3)
    found = crops_of(frames, 3, 16)
    assert found.shape == (3, 2, 16, 16, 3)
    for position in range(3):
        np.testing.assert_array_equal(found[position], crop_position(frames, position, 16))
    np.testing.assert_array_equal(crops_of(frames, 1, 16), found[1:2])


def test_crops_are_one_or_three():
    with pytest.raises(ValueError, match=r"crops must be 1 or 3\. Received: crops=2"):
        crops_of(noise(2, 16, 16, 3), 2, 16)


def test_frames_at_hand_are_a_video_at_the_rate_of_the_clip():
    frames, clip = noise(40, 20, 30, 3), ClipSpec(4, 3, 24)
    found = list(scaled_clips(frames, clip, 3, 20))
    assert len(found) == 3
    for start, clip_frames in zip((0, 15, 30), found, strict=True):  # 40 - (3 * 3 + 1) = 30
        np.testing.assert_array_equal(clip_frames, frames[start : start + 10 : 3])
    (short,) = scaled_clips(frames[:2], clip, 1, 20)
    np.testing.assert_array_equal(short, frames[[0, 1, 1, 1]])
    (whole,) = scaled_clips(frames, clip, 3, 20, whole=True)
    np.testing.assert_array_equal(whole, frames[[5, 15, 24, 34]])  # middles of (0, 10, 20, 29, 39)


def test_frames_at_hand_are_scaled_as_those_of_a_file(tmp_path):
    write_video(tmp_path / "a.mp4", grey_waves(12, 48, 64), 24)
    stored = read_video(tmp_path / "a.mp4")
    clip = ClipSpec(4, 2, 24)
    for short_side in (32, 96):
        (of_file,), (of_array,) = (scaled_clips(source, clip, 1, short_side) for source in (tmp_path / "a.mp4", stored))
        assert of_file.shape == of_array.shape == (4, short_side, short_side * 4 // 3, 3)

        difference = of_file.astype(int) - of_array
        # A file is scaled before its colours become RGB, an array after; each step of libswscale rounds down.
        assert np.abs(difference).max() <= 4


@pytest.mark.parametrize(
    "frames", [np.zeros((4, 8, 8, 3), "float32"), np.zeros((8, 8, 3), "uint8"), np.zeros((0, 8, 8, 3), "uint8")]
)
def test_other_arrays_are_refused(frames):
    with pytest.raises(ValueError, match=r"must be uint8 \(N, H, W, 3\).*Received: "):
        list(scaled_clips(frames, ClipSpec(4, 2), 1, 8))


def test_a_video_whose_end_cannot_be_decoded(tmp_path):
    write_video(tmp_path / "whole.mp4", grey_waves(72, 48, 64), 24)
    fast = strange_videos.remux(tmp_path / "whole.mp4", tmp_path / "fast.mp4", movflags="faststart")
    broken, clip = strange_videos.cut(fast, tmp_path / "broken.mp4", 0.7), ClipSpec(4, 3, 24)
    assert readable_length(fast, 24) == (72, None)
    length, error = readable_length(broken, 24)
    assert isinstance(error, DataError) and 16 < length < 72
    with pytest.raises(DataError, match="truncated"):
        list(scaled_clips(broken, clip, 3, 48))
    frames = read_video(fast, fps=24, short_side=48)[:length]
    for number in (3, 1):
        found = list(scaled_clips(broken, clip, number, 48, length=length))
        for clip_frames, expected in zip(found, scaled_clips(frames, clip, number, 48), strict=True):
            np.testing.assert_array_equal(clip_frames, expected)
    (view,) = scaled_clips(broken, clip, 1, 48, whole=True, length=length)
    np.testing.assert_array_equal(view, next(scaled_clips(frames, clip, 1, 48, whole=True)))
    with pytest.raises(DataError, match="no such file"):
        readable_length(tmp_path / "none.mp4", 24)
