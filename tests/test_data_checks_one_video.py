"""What a look at a video file finds, with and without decoding it."""

from fractions import Fraction

import av
import numpy as np
import pytest
from conftest import SHARED, TINY_VIDEOS, tiny_frame
from strange_videos import cut, damage, remux, write

from kerasfast.data.checks.one_video import examine
from kerasfast.data.errors import DataError, TruncatedVideoError
from kerasfast.data.video import read_video
from kerasfast.data.video_writer import write_video


@pytest.fixture(scope="module")
def videos(charades_folder):
    return charades_folder / "videos"


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("name", sorted(TINY_VIDEOS))
def test_an_even_video(videos, name, full):
    width, height, count, fps = TINY_VIDEOS[name]
    facts = examine(videos / f"{name}.mp4", full)
    assert (facts.info.width, facts.info.height) == (width, height)
    assert (facts.info.rotation, facts.info.bits, facts.info.pixel_aspect) == (0, 8, 1)
    assert facts.frames == count
    assert facts.seconds == pytest.approx(count / fps)
    assert (facts.slowest_fps, facts.fastest_fps) == (pytest.approx(fps), pytest.approx(fps))
    assert facts.drift < 0.01
    assert not facts.variable_rate
    assert facts.lost == 0


@pytest.mark.parametrize("ending", ["mkv", "avi", "mov"])
def test_other_containers(tmp_path, ending):
    # B-frames, whose order in the file is not that of their times; and times of whole milliseconds in a mkv.
    path = tmp_path / f"b.{ending}"
    write_video(path, (tiny_frame(index, 64, 48) for index in range(60)), 30, preset="medium")
    facts = examine(path)
    assert facts.frames == 60
    assert facts.seconds == pytest.approx(2, abs=0.01)
    assert not facts.variable_rate


def test_a_rate_that_changes_shows_by_the_times(tmp_path):
    # 24 frames at 24 fps, then 24 at 12: the header's average is 16.
    ticks = [*range(24), *range(24, 72, 2)]
    facts = examine(write(tmp_path / "v.mp4", ticks))
    assert facts.variable_rate
    assert facts.slowest_fps == pytest.approx(12)
    assert facts.fastest_fps == pytest.approx(24)
    assert facts.seconds == pytest.approx(3, abs=0.1)
    # Frame 24 comes at tick 24; at the even rate of 70 ticks in 47 intervals it would at 35.7, 7.9 intervals later.
    assert facts.drift == pytest.approx((24 * 70 / 47 - 24) / (70 / 47), abs=0.1)


def test_jitter_and_a_dropped_frame_are_no_changing_rate(tmp_path):
    jitter = np.random.default_rng(0).integers(-8, 9, 48)
    ticks = (np.arange(48) * 40 + jitter - jitter[0]).tolist()
    assert not examine(write(tmp_path / "jitter.mp4", ticks, ticks_a_second=960)).variable_rate
    dropped = [tick for tick in range(48) if tick != 20]
    assert not examine(write(tmp_path / "dropped.mp4", dropped)).variable_rate
    pause = [*range(24), *range(30, 54)]
    assert examine(write(tmp_path / "pause.mp4", pause)).variable_rate


def test_what_the_first_frame_tells(tmp_path):
    turned = examine(write(tmp_path / "turned.mp4", range(5), rotation=90)).info
    assert (turned.rotation, turned.width, turned.height) == (90, 48, 64)
    deep = examine(write(tmp_path / "deep.mp4", range(5), pix_fmt="yuv420p10le")).info
    assert deep.bits == 10
    odd = examine(write(tmp_path / "odd.mkv", range(5), size=(63, 47), pix_fmt="bgr0", codec="ffv1")).info
    assert (odd.width, odd.height, odd.bits) == (63, 47, 8)
    wide = examine(write(tmp_path / "wide.mp4", range(5), aspect=Fraction(4, 3))).info
    assert wide.pixel_aspect == pytest.approx(4 / 3)


def test_one_frame(tmp_path):
    facts = examine(write(tmp_path / "one.mp4", [0]))
    assert facts.frames == 1
    assert facts.seconds == pytest.approx(1 / 24)
    assert not facts.variable_rate


def test_a_trimmed_video(videos, tmp_path):
    # A phone trims without encoding again: an edit list hides the frames before the cut.
    path = remux(videos / "g7.mp4", tmp_path / "trimmed.mp4", hidden=20 * 512)
    for full in (False, True):
        facts = examine(path, full)
        assert (facts.frames, facts.lost) == (40, 0)
        assert facts.seconds == pytest.approx(40 / 24)
    assert len(read_video(path)) == 40


@pytest.mark.parametrize("full", [False, True])
def test_a_file_that_is_cut_short(videos, tmp_path, full):
    with pytest.raises(DataError, match=r"no_index\.mp4: cannot be opened"):
        examine(cut(videos / "g7.mp4", tmp_path / "no_index.mp4", 0.8), full)
    whole = remux(videos / "g7.mp4", tmp_path / "index_first.mp4", movflags="faststart")
    assert examine(whole, full).frames == 60
    with pytest.raises(TruncatedVideoError, match=r"tail\.mp4: .*truncated"):
        examine(cut(whole, tmp_path / "tail.mp4", 0.7), full=False)
    mkv = remux(videos / "g7.mp4", tmp_path / "whole.mkv")
    with pytest.raises(TruncatedVideoError, match=r"ends after \d+ frames of the 60"):
        examine(cut(mkv, tmp_path / "tail.mkv", 0.7), full)


def test_damage_inside_shows_when_it_is_decoded(videos, tmp_path):
    path = damage(videos / "g7.mp4", tmp_path / "damaged.mp4")
    assert examine(path).frames == 60
    with pytest.raises(DataError, match=r"damaged\.mp4"):
        examine(path, full=True)


def test_frames_that_decode_to_nothing_are_counted(tmp_path):
    # A recording that begins between two key frames: the decoder leaves out what it cannot show, without a word.
    path = tmp_path / "lost.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"g": "2", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        pictures = [av.VideoFrame.from_ndarray(tiny_frame(index, 64, 48), "rgb24") for index in range(60)]
        packets = [packet for picture in [*pictures, None] for packet in stream.encode(picture)]
        for packet in packets[1:]:
            container.mux(packet)
    assert examine(path).lost == 0
    facts = examine(path, full=True)
    assert (facts.frames, facts.lost) == (59, 1)


def test_files_that_are_no_video(tmp_path):
    (tmp_path / "text.mp4").write_text("no video " * 100)
    with pytest.raises(DataError, match="not a video file"):
        examine(tmp_path / "text.mp4")
    with pytest.raises(DataError, match="no such file"):
        examine(tmp_path / "none.mp4")


@pytest.mark.skipif(not (SHARED / "videos").is_dir(), reason="the real clips are not here")
@pytest.mark.parametrize("name", ["demo.mp4", "test.mp4", "test_video_structuralize.mp4", "test.avi", "part_0.mp4"])
def test_real_clips(name):
    facts = examine(SHARED / "videos" / name, full=True)
    assert facts.lost == 0
    assert not facts.variable_rate
    assert facts.seconds == pytest.approx(facts.info.duration_seconds, abs=0.1)
