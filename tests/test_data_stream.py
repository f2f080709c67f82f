"""Sliding windows over files, pipes, HTTP and a virtual device that delivers in real time."""

import os
import subprocess
import sys
import threading
import time

import av
import numpy as np
import pytest
import strange_videos
from conftest import frame_numbers, tiny_frame
from file_server import Answer, serve

import kerasfast as kf
from kerasfast.data import live_video
from kerasfast.data.clips import ClipSpec, clip_indices
from kerasfast.data.errors import DataError
from kerasfast.data.pipeline.transforms import crop_position
from kerasfast.data.stream import stream
from kerasfast.data.video import read_video
from kerasfast.data.video_writer import write_video

CLIP = ClipSpec(8, 2, 24.0)
FRAMES = 70


@pytest.fixture(scope="module")
def broadcast(tmp_path_factory):
    """An MPEG transport stream of `FRAMES` numbered frames, which can be read from a pipe."""
    path = tmp_path_factory.mktemp("broadcast") / "long.ts"
    with av.open(str(path), "w", format="mpegts") as container:
        video = container.add_stream("libx264", rate=24, options={"g": "10", "bf": "0", "crf": "10"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for index in range(FRAMES):
            container.mux(video.encode(av.VideoFrame.from_ndarray(tiny_frame(index, 64, 48), "rgb24")))
        container.mux(video.encode())
    return path


@pytest.fixture
def pipe(tmp_path):
    """A function that starts a process which writes a file into a named pipe; returns the pipe."""
    started = []

    def feed(path):
        name = tmp_path / f"pipe{len(started)}"
        os.mkfifo(name)
        started.append(subprocess.Popen(["sh", "-c", f"cat '{path}' > '{name}'"]))
        return name

    yield feed
    for process in started:
        process.kill()
        process.wait()


def numbers(windows):
    return [frame_numbers(window.frames).tolist() for window in windows]


def reader_threads():
    return [thread for thread in threading.enumerate() if thread.name == "stream"]


@pytest.mark.parametrize("step", [1, 5, 8, 15, 40])
def test_windows_slide_over_a_file(charades_folder, step):
    windows = list(stream(charades_folder / "videos" / "b2.mp4", CLIP, step=step, crop_size=72))
    whole = [start for start in range(0, 72, step) if start + CLIP.span <= 72]
    starts = whole if whole[-1] + CLIP.span == 72 or whole[-1] + step >= 72 else [*whole, whole[-1] + step]
    assert numbers(windows) == [clip_indices(start, CLIP, 72).tolist() for start in starts]
    assert [window.index for window in windows] == list(range(len(starts)))
    assert [window.start_seconds for window in windows] == [start / 24 for start in starts]
    assert [window.end_seconds for window in windows] == [min(start + CLIP.span, 72) / 24 for start in starts]
    assert {(window.frames.shape, window.frames.dtype.name) for window in windows} == {((8, 72, 72, 3), "uint8")}


def test_windows_lie_side_by_side_by_default(charades_folder):
    starts = [window.start_seconds * 24 for window in stream(charades_folder / "videos" / "b2.mp4", CLIP, crop_size=48)]
    assert starts == [0, 15, 30, 45, 60]


def test_what_fills_no_window_is_padded_or_dropped(charades_folder):
    path = charades_folder / "videos" / "b2.mp4"
    padded = list(stream(path, CLIP, step=12, crop_size=48))
    assert numbers(padded)[-1] == [60, 62, 64, 66, 68, 70, 71, 71]
    assert [window.repeated for window in padded] == [0, 0, 0, 0, 0, 2]
    assert padded[-1].end_seconds == 3.0
    dropped = list(stream(path, CLIP, step=12, crop_size=48, last="drop"))
    assert numbers(dropped) == numbers(padded)[:-1]
    (short,) = stream(charades_folder / "videos" / "f6.mp4", CLIP, crop_size=48)
    assert numbers([short]) == [[0, 2, 4, 6, 8, 10, 11, 11]]
    assert list(stream(charades_folder / "videos" / "f6.mp4", CLIP, crop_size=48, last="drop")) == []


@pytest.mark.parametrize("name", ["c3", "e5"])
def test_other_rates_are_resampled(charades_folder, name):
    path = charades_folder / "videos" / f"{name}.mp4"
    at_24 = frame_numbers(read_video(path, fps=24))
    for window in stream(path, CLIP, step=7, crop_size=48, last="drop"):
        start = round(window.start_seconds * 24)
        assert frame_numbers(window.frames).tolist() == at_24[start : start + CLIP.span : 2].tolist()


def test_the_crop_is_that_of_evaluation(charades_folder):
    for name, side, crop in (("b2", 50, 41), ("d4", 67, 40), ("a1", 31, 31)):
        path = charades_folder / "videos" / f"{name}.mp4"
        (first, *_) = stream(path, CLIP, short_side=side, crop_size=crop)
        scaled = read_video(path, fps=24, short_side=side)[clip_indices(0, CLIP, 100)]
        np.testing.assert_array_equal(first.frames, crop_position(scaled, 1, crop))
        (whole, *_) = stream(path, CLIP, short_side=side, crop_size=None)
        np.testing.assert_array_equal(whole.frames, scaled)


def test_overlapping_windows_share_frames(charades_folder, monkeypatch):
    calls = []
    frames = live_video.StreamedVideo.frames

    def spy(self, *arguments):
        for index, picture in frames(self, *arguments):
            calls.append(index)
            yield index, picture

    monkeypatch.setattr(live_video.StreamedVideo, "frames", spy)
    windows = list(stream(charades_folder / "videos" / "b2.mp4", CLIP, step=2, crop_size=48, last="drop"))
    assert len(windows) == 29
    assert calls == list(range(0, 72, 2))  # each once, and none that no window samples


def test_the_public_name():
    assert kf.data.video.stream is stream


@pytest.mark.parametrize("step", [1, 12, 40])
def test_a_window_decoded_ahead_is_the_same(charades_folder, step):
    path = charades_folder / "videos" / "b2.mp4"
    plain, ahead = (list(stream(path, CLIP, step=step, crop_size=48, ahead=a)) for a in (False, True))
    assert numbers(ahead) == numbers(plain)
    assert [(w.index, w.start_seconds, w.end_seconds, w.repeated) for w in ahead] == [
        (w.index, w.start_seconds, w.end_seconds, w.repeated) for w in plain
    ]


def test_what_was_decoded_comes_before_the_error(charades_folder, tmp_path):
    fast = strange_videos.remux(charades_folder / "videos" / "b2.mp4", tmp_path / "fast.mp4", movflags="faststart")
    broken = strange_videos.cut(fast, tmp_path / "broken.mp4", 0.7)
    for options in ({}, {"ahead": True}, {"last": "drop"}):
        windows = stream(broken, CLIP, step=12, crop_size=48, **options)
        seen = []
        with pytest.raises(DataError, match="truncated"):
            for window in windows:
                seen.append(window)  # a list would be lost with the error
        assert seen, options
        whole = list(stream(fast, CLIP, step=12, crop_size=48))
        full = [window for window in seen if not window.repeated]
        assert numbers(full) == numbers(whole)[: len(full)]
        assert len(seen) - len(full) == ("last" not in options)


def test_a_pipe_gives_every_window(pipe, broadcast):
    windows = list(stream(pipe(broadcast), CLIP, step=16, crop_size=48))
    assert numbers(windows) == [clip_indices(start, CLIP, FRAMES).tolist() for start in (0, 16, 32, 48, 64)]
    assert [window.damaged for window in windows] == [0] * 5


def test_a_live_source_skips_what_is_old(pipe, broadcast):
    windows = stream(pipe(broadcast), CLIP, step=4, crop_size=48, live=True, last="drop")
    first = next(windows)
    for thread in reader_threads():
        thread.join(30)  # the source has delivered everything while the caller was busy
    rest = list(windows)
    assert [window.index for window in rest] == [13]
    assert numbers([first, *rest]) == [
        clip_indices(4 * window.index, CLIP, FRAMES).tolist() for window in (first, *rest)
    ]


def test_a_live_source_in_real_time_waits_for_frames():
    device = "testsrc=duration=2:size=96x64:rate=24,realtime"
    began = time.monotonic()
    windows = list(stream(device, CLIP, step=24, crop_size=64, format="lavfi", live=True))
    # Frames that a caller faster than the source gets early would not have been taken yet.
    assert time.monotonic() - began > windows[-1].start_seconds
    assert windows[0].index == 0
    assert windows[-1].end_seconds == (24 + CLIP.span) / 24


@pytest.mark.parametrize("options", [{"live": True}, {"ahead": True}])
def test_a_reader_ends_when_the_caller_does(options):
    windows = stream("testsrc=size=96x64:rate=24,realtime", CLIP, crop_size=64, format="lavfi", **options)
    next(windows)
    threads = reader_threads()
    assert threads
    windows.close()
    for thread in threads:
        thread.join(30)
    assert not reader_threads()


def test_damage_in_a_live_source_is_left_out_and_counted(pipe, tmp_path):
    path = tmp_path / "damaged.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("mjpeg", rate=24, options={"qscale": "2"})  # what many webcams deliver
        video.width, video.height, video.pix_fmt = 64, 48, "yuvj420p"
        pictures = [av.VideoFrame.from_ndarray(tiny_frame(index, 64, 48), "rgb24") for index in range(FRAMES)]
        packets = [packet for picture in [*pictures, None] for packet in video.encode(picture)]
        noise = av.Packet(bytes(200))
        noise.pts, noise.dts, noise.time_base = packets[32].pts, packets[32].dts, packets[32].time_base
        noise.stream = video
        for packet in [*packets[:32], noise, *packets[33:]]:
            container.mux(packet)
    with pytest.raises(DataError, match=r"damaged\.mkv: cannot be decoded after \d+ frames"):
        list(stream(path, CLIP, crop_size=48))
    windows = list(stream(pipe(path), CLIP, crop_size=48))
    assert [window.damaged for window in windows] == [0, 0, 1, 1, 1]
    assert numbers(windows)[0] == list(range(0, 15, 2))
    assert numbers(windows)[2] == [30, 31, 34, 36, 38, 40, 42, 44]  # the neighbour in place of frame 32
    assert windows[-1].end_seconds == pytest.approx(FRAMES / 24)


def test_a_live_source_may_change_its_size(pipe, tmp_path):
    path = strange_videos.write_two_sizes(tmp_path / "two.h264", (64, 48), (72, 72))
    with pytest.raises(DataError, match=r"72x72 pixels, those before it 64x48"):
        list(stream(path, CLIP, short_side=None, crop_size=None))
    windows = list(stream(pipe(path), CLIP, step=4, crop_size=48, last="drop"))
    assert {window.frames.shape for window in windows} == {(8, 48, 48, 3)}
    with pytest.raises(DataError, match=r"the size of the frames changes\. Give a crop_size"):
        list(stream(pipe(path), CLIP, step=4, crop_size=None))


def test_a_broadcast_joined_in_the_middle(pipe, broadcast, tmp_path):
    content = broadcast.read_bytes()
    (tmp_path / "joined.ts").write_bytes(content[len(content) // 3 // 188 * 188 :])
    windows = list(stream(pipe(tmp_path / "joined.ts"), CLIP, crop_size=48, last="drop"))
    first = frame_numbers(windows[0].frames)
    assert first[0] % 10 == 0  # a key frame
    assert first.tolist() == list(range(first[0], first[0] + 15, 2))


def test_http(charades_folder, broadcast):
    with serve() as server:
        server.files["/b2.mp4"] = (charades_folder / "videos" / "b2.mp4").read_bytes()
        windows = list(stream(server.url("/b2.mp4"), CLIP, step=12, crop_size=48))
        assert numbers(windows)[1] == list(range(12, 27, 2))
        with pytest.raises(DataError, match=r"http://.*/none\.mp4: cannot be opened as a video .*Check the address"):
            stream(server.url("/none.mp4"), CLIP)


def test_a_source_that_falls_silent(broadcast):
    hold = threading.Event()
    with serve() as server:
        server.files["/live.ts"] = broadcast.read_bytes()
        server.usual = Answer(cut=len(server.files["/live.ts"]) * 9 // 10, hold=hold)
        try:
            windows = stream(server.url("/live.ts"), CLIP, crop_size=48, timeout=0.5)
            with pytest.raises(DataError, match=r"live\.ts: (broke off after|cannot be opened)"):
                list(windows)
        finally:
            hold.set()


@pytest.mark.parametrize("live", [True, False])
def test_a_pipe_that_stays_open_and_falls_silent(broadcast, tmp_path, live):
    unused, pipe = tmp_path / "unused", tmp_path / "pipe"
    for name in (unused, pipe):
        os.mkfifo(name)
    with pytest.raises(DataError, match=r"unused: gave nothing for 0\.5 s\."):
        stream(unused, CLIP, timeout=0.5)  # without a writer
    writer = subprocess.Popen(["sh", "-c", f"exec 3> '{pipe}'; cat '{broadcast}' >&3; exec sleep 120"])
    try:
        windows = stream(pipe, CLIP, step=4, crop_size=48, live=live, timeout=3)
        assert next(windows).frames.shape == (8, 48, 48, 3)
        with pytest.raises(DataError, match=r"pipe: gave nothing for 3 s\. Is its writer"):
            list(windows)
    finally:
        writer.kill()
        writer.wait()


def test_a_slow_caller_is_not_taken_for_a_silent_source(pipe, broadcast):
    windows = stream(pipe(broadcast), CLIP, step=16, crop_size=48, timeout=1)
    found = []
    for window in windows:
        found.append(window.index)
        if len(found) == 1:
            time.sleep(1.5)
    assert found == list(range(len(found))) and len(found) >= 4


def test_a_live_source_that_breaks_off_raises_in_the_caller(tmp_path, charades_folder, pipe):
    path = tmp_path / "text.mp4"
    path.write_text("no video " * 100)
    with pytest.raises(DataError, match="cannot be opened as a video"):
        stream(pipe(path), CLIP)
    content = (charades_folder / "videos" / "g7.mp4").read_bytes()
    damaged = bytearray(content)
    middle = (content.index(b"mdat") + content.index(b"moov")) // 2
    damaged[middle : middle + 60] = bytes(byte ^ 0x5A for byte in damaged[middle : middle + 60])
    (tmp_path / "damaged.mp4").write_bytes(damaged)
    with pytest.raises(DataError, match=r"damaged\.mp4"):
        list(stream(tmp_path / "damaged.mp4", CLIP, crop_size=48, live=True))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="cameras have numbers on Linux alone")
def test_a_camera_that_is_not_there():
    for source in (987, "/dev/video987"):
        with pytest.raises(DataError, match=r"/dev/video987: cannot be opened .*Is the camera there"):
            stream(source, CLIP)


def test_a_camera_by_number_elsewhere(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(ValueError, match=r"a number on Linux alone\. Received: 0\..*avfoundation"):
        stream(0, CLIP)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match=r"none\.mp4: no such file"):
        stream(tmp_path / "none.mp4", CLIP)
    with pytest.raises(DataError, match="is a folder"):
        stream(tmp_path, CLIP)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"step": 0}, "step must be at least 1 frame. Received: step=0"),
        ({"crop_size": 0}, "crop_size must be at least 1"),
        ({"last": "keep"}, "last must be 'pad' or 'drop'. Received: last='keep'"),
        ({"short_side": 40, "crop_size": 41}, "crop_size=41, short_side=40"),
        ({"crop_size": None, "short_side": 0}, "short_side=0"),
    ],
)
def test_arguments_out_of_range(charades_folder, options, text):
    with pytest.raises(ValueError, match=text):
        stream(charades_folder / "videos" / "b2.mp4", CLIP, **options)


LONG_VIDEO = """
import sys
from kerasfast.data.clips import ClipSpec
from kerasfast.data.stream import stream

windows = sum(1 for _ in stream(sys.argv[1], ClipSpec(32, 2, 24.0), step=24, crop_size=224))
# Not ru_maxrss: that of a child begins with what its parent, here all of pytest, held when it was started.
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(windows, peak // 1024)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8).repeat(4, 0).repeat(4, 1)
    peaks = {}
    for seconds in (20, 600):
        path = tmp_path / f"{seconds}.mp4"
        frames = (np.roll(noise, 3 * index, axis=1) for index in range(seconds * 24))
        write_video(path, frames, 24, crf=28, preset="ultrafast")
        result = subprocess.run([sys.executable, "-c", LONG_VIDEO, path], capture_output=True, text=True, check=True)
        windows, peaks[seconds] = map(int, result.stdout.split())
        print(f"{seconds} s: {windows} windows, {peaks[seconds]} MiB at most")
        assert windows == seconds - 1  # 63 frames, of which 24 are new
    assert peaks[600] < peaks[20] + 16
