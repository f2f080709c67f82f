from pathlib import Path

import av
import numpy as np
import pytest
import tensorflow as tf
from conftest import SHARED, TINY_VIDEOS, frame_numbers, tiny_frame
from strange_videos import cut, damage, remux

from kerasfast.data.clips import resample_indices
from kerasfast.data.errors import DataError
from kerasfast.data.pictures import JpegDecoder, encode_jpeg, scaled_size
from kerasfast.data.video import OpenVideo, frames, probe, read_video
from kerasfast.data.video_writer import write_video


@pytest.fixture(scope="module")
def videos(charades_folder):
    return charades_folder / "videos"


def message(path):
    """The message of the DataError that reading a video raises; it is one line and begins with the file."""
    with pytest.raises(DataError) as raised:
        read_video(path)
    text = str(raised.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text


@pytest.mark.parametrize("name", sorted(TINY_VIDEOS))
def test_every_frame_comes_once_in_order(videos, name):
    width, height, count, fps = TINY_VIDEOS[name]
    found = read_video(videos / f"{name}.mp4")
    assert found.shape == (count, height, width, 3)
    assert found.dtype == np.uint8
    assert frame_numbers(found).tolist() == list(range(count))
    info = probe(videos / f"{name}.mp4")
    assert (info.width, info.height, info.fps, info.frames) == (width, height, fps, count)
    assert info.duration_seconds == pytest.approx(count / fps)


def test_channels_are_red_green_blue(videos):
    corner = read_video(videos / "b2.mp4")[10, 2:6, 2:6].astype(float).mean(axis=(0, 1))
    assert corner[0] > 200
    assert corner[1:].max() < 60


@pytest.mark.parametrize(("name", "fps"), [("c3", 24), ("e5", 24), ("a1", 10), ("a1", 24), ("c3", 29.97)])
def test_frames_come_at_a_constant_rate(videos, name, fps):
    _, _, count, source = TINY_VIDEOS[name]
    found = frame_numbers(np.stack(list(frames(videos / f"{name}.mp4", fps=fps))))
    assert found.tolist() == resample_indices(source, count, fps).tolist()


def test_uneven_frame_times_are_honoured(tmp_path):
    path = tmp_path / "uneven.mp4"
    ticks = [0, 100, 150, 700, 1000]  # hundredths of a tenth of a second
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1000)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index, tick in enumerate(ticks):
            frame = av.VideoFrame.from_ndarray(tiny_frame(index * 5, 64, 48), "rgb24")
            frame.pts = tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    found = frame_numbers(np.stack(list(frames(path, fps=10)))) // 5
    # Outputs at 0, 100, 200, ... ms show the frames nearest to 0, 100, 150, 700, 1000 ms.
    assert found.tolist()[:10] == [0, 1, 2, 2, 2, 3, 3, 3, 3, 4]


def test_a_title_that_is_not_utf8_is_no_reason_to_refuse(videos, tmp_path):
    titled = remux(videos / "a1.mp4", tmp_path / "a.mp4", title="K?che")
    content = titled.read_bytes()
    assert content.count(b"K?che") == 1
    titled.write_bytes(content.replace(b"K?che", "K\u00fcche".encode("latin-1")))
    assert len(read_video(titled)) == TINY_VIDEOS["a1"][2]


def test_any_name_of_a_file(videos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a: b.mp4", "concat:x.mp4", "%03d.mp4", "Öl 油 [1]'?.mp4", "-.mp4"):
        Path(name).write_bytes((videos / "f6.mp4").read_bytes())
        assert len(read_video(name)) == TINY_VIDEOS["f6"][2]


def test_short_side_scales_and_rounds_down(videos):
    assert read_video(videos / "b2.mp4", short_side=50, max_frames=2).shape == (2, 50, 66, 3)
    assert read_video(videos / "d4.mp4", short_side=36, max_frames=1).shape == (1, 48, 36, 3)
    assert scaled_size(340, 256, 320) == (425, 320)
    assert scaled_size(340, 256, 320, enlarge=False) == (340, 256)
    assert scaled_size(340, 256, None) == (340, 256)


def test_only_wanted_frames_come_but_all_are_counted(videos):
    with OpenVideo(videos / "b2.mp4") as video:
        found = dict(video.frames(24, wanted={3, 40}.__contains__))
        assert sorted(found) == [3, 40]
        assert frame_numbers(found[40]) == 40
        assert video.length == 72
        assert video.size == (72, 96)


def test_a_repeated_frame_is_the_same_array(videos):
    first, second = list(frames(videos / "e5.mp4", fps=24))[:2]
    assert first is second


def test_rotation_of_the_file_is_honoured(tmp_path):
    path = tmp_path / "turned.mp4"
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:24, :32] = 255  # bright top left
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        if not hasattr(stream, "set_display_rotation"):
            pytest.skip("this PyAV cannot write a rotation")
        stream.set_display_rotation(90)  # counter-clockwise
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())
    found = read_video(path)
    assert found.shape == (3, 64, 48, 3)
    assert (probe(path).width, probe(path).height) == (48, 64)
    # A quarter turn to the left brings the top left corner to the bottom left.
    assert found[0, 40:, :20].mean() > 240
    assert found[0, :24, :].mean() < 15


def test_the_same_frames_give_the_same_bytes(tmp_path):
    pictures = [tiny_frame(index, 64, 48) for index in range(20)]
    for name in ("one.mp4", "two.mp4"):
        write_video(tmp_path / name, pictures, 24)
    assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "two.mp4").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.mp4", "two.mp4"]


@pytest.mark.parametrize(
    ("pictures", "name", "text"),
    [
        ([], "a.mp4", "at least one frame"),
        ([np.zeros((48, 63, 3), np.uint8)], "a.mp4", r"even.*\(48, 63, 3\)"),
        ([np.zeros((48, 64), np.uint8)], "a.mp4", r"\(H, W, 3\).*\(48, 64\)"),
        ([np.zeros((48, 64, 3), np.float32)], "a.mp4", "uint8.*float32"),
        ([np.zeros((48, 64, 3), np.uint8), np.zeros((48, 32, 3), np.uint8)], "a.mp4", r"\(48, 32, 3\)"),
        ([np.zeros((48, 64, 3), np.uint8)], "a.gif", "Received: 'a.gif'"),
    ],
)
def test_frames_that_cannot_be_written(tmp_path, pictures, name, text):
    with pytest.raises(ValueError, match=text):
        write_video(tmp_path / name, pictures, 24)
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_no_video(tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video " * 100)
    assert "no such file" in message(tmp_path / "missing.mp4")
    assert "is a folder" in message(tmp_path)
    assert "is empty" in message(tmp_path / "empty.mp4")
    assert "not a video file" in message(tmp_path / "text.mp4")


def test_a_truncated_mp4(videos, tmp_path):
    # The index of an mp4 usually stands at the end; where it stands in front, frames are missing instead.
    assert "truncated" in message(cut(videos / "g7.mp4", tmp_path / "no_index.mp4", 0.8))
    whole = remux(videos / "g7.mp4", tmp_path / "index_first.mp4", movflags="faststart")
    assert len(read_video(whole)) == 60
    text = message(cut(whole, tmp_path / "tail.mp4", 0.7))
    assert "truncated" in text or "damaged" in text


def test_an_avi_that_lacks_frames(tmp_path):
    path = tmp_path / "whole.avi"
    write_video(path, (tiny_frame(index, 64, 48) for index in range(60)), 24)
    assert frame_numbers(read_video(path)).tolist() == list(range(60))
    content = path.read_bytes()
    # Cut in front of a chunk of a frame: no frame is damaged, some are not there.
    chunk = content.index(b"movi")
    for _ in range(40):
        chunk = content.index(b"00dc", chunk + 1)
    (tmp_path / "tail.avi").write_bytes(content[:chunk])
    assert "frames of the 60 that its header announces: truncated" in message(tmp_path / "tail.avi")
    (tmp_path / "inside.avi").write_bytes(content[: chunk + 12])
    assert "truncated" in message(tmp_path / "inside.avi")


def test_frames_of_an_avi_come_at_a_constant_rate(tmp_path):
    # With B-frames the times of an AVI are out of order; frames count instead.
    write_video(tmp_path / "b.avi", (tiny_frame(index, 64, 48) for index in range(60)), 30, preset="medium")
    found = frame_numbers(np.stack(list(frames(tmp_path / "b.avi", fps=24))))
    assert found.tolist() == resample_indices(30, 60, 24).tolist()


@pytest.mark.parametrize("name", ["length_as_text.mkv", "no_length.h264"])
def test_containers_whose_header_gives_no_length(videos, tmp_path, name):
    path = remux(videos / "g7.mp4", tmp_path / name)
    with av.open(str(path)) as container:
        assert not container.streams.video[0].duration
        assert not container.streams.video[0].frames
    rate = 25 if name.endswith(".h264") else 24  # a bare stream has no clock either: FFmpeg takes 25
    info = probe(path)
    assert (info.frames, info.duration_seconds) == (60, pytest.approx(60 / rate))
    assert len(read_video(path)) == 60
    with OpenVideo(path) as video:
        assert video.announced_length(24) == len(list(video.frames(24))) == round(60 / rate * 24)


def test_a_truncated_matroska(videos, tmp_path):
    whole = remux(videos / "g7.mp4", tmp_path / "whole.mkv")
    assert "truncated" in message(cut(whole, tmp_path / "tail.mkv", 0.7))


def test_a_damaged_video(videos, tmp_path):
    damage(videos / "g7.mp4", tmp_path / "damaged.mp4")
    assert "Copy or download" in message(tmp_path / "damaged.mp4")


def test_sound_without_pictures(tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 16000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    assert "holds no video stream (it holds audio)" in message(path)
    with pytest.raises(DataError, match="holds no video stream"):
        probe(path)


@pytest.mark.parametrize(("name", "codec"), [("none.mp4", "libx264"), ("none.avi", "mpeg4")])
def test_a_stream_of_no_length(tmp_path, name, codec):
    path = tmp_path / name
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    assert "Copy or download" in message(path) or "Give a file with moving pictures" in message(path)


def test_short_side_is_positive(videos):
    with pytest.raises(ValueError, match=r"short_side must be positive. Received: short_side=0"):
        read_video(videos / "a1.mp4", short_side=0)


@pytest.mark.skipif(not (SHARED / "videos").is_dir(), reason="the real clips are not here")
@pytest.mark.parametrize(
    ("name", "size", "count", "at_24"),
    [
        ("demo.mp4", (256, 340), 280, 240),
        ("test.mp4", (256, 340), 300, 240),
        ("test_video_structuralize.mp4", (240, 426), 300, 240),
        ("demo_spatiotemporal_det.mp4", (256, 340), 57, 228),
        ("part_0.mp4", (256, 340), 32, 26),
        ("test.avi", (240, 320), 164, 157),
    ],
)
def test_real_clips(name, size, count, at_24):
    path = SHARED / "videos" / name
    assert probe(path).frames == count
    found = [frame.shape for frame in frames(path)]
    assert found == [(*size, 3)] * count
    assert sum(1 for _ in frames(path, fps=24, short_side=64)) == at_24


@pytest.mark.parametrize("size", [(64, 96), (61, 75), (1, 1)])
def test_jpeg_without_tensorflow(size):
    y, x = np.mgrid[: size[0], : size[1]] / 9
    picture = np.uint8(np.stack([np.sin(x + y * k / 2) for k in (1, 2, 3)], -1) * 100 + 128)
    file = encode_jpeg(picture)
    assert len(file) < 0.3 * picture.size + 1500
    decoders = {
        "libjpeg": lambda: tf.io.decode_jpeg(file, channels=3).numpy(),
        "FFmpeg": lambda: JpegDecoder()(file).to_ndarray(format="rgb24"),
    }
    for name, decode in decoders.items():
        difference = decode().astype(int) - picture
        assert difference.shape == picture.shape, name
        assert np.sqrt((difference**2).mean()) < 3 and np.abs(difference.mean((0, 1))).max() < 2.5, name
