"""`kerasfast.predict` on files, broken files and sources that vanish, and what it holds in memory meanwhile."""

import os
import subprocess
import threading
import time
import tracemalloc
import weakref
from types import SimpleNamespace

import av
import numpy as np
import pytest
import strange_videos
from conftest import frame_numbers, tiny_frame
from file_server import Answer, serve

import kerasfast as kf
from kerasfast.data import pictures
from kerasfast.data.clips import ClipSpec
from kerasfast.data.errors import DataError
from kerasfast.data.video import read_video
from kerasfast.data.video_writer import write_video
from kerasfast.explain.predict import predict
from kerasfast.explain.timelines.watch import Watch
from kerasfast.models.heads import Head
from kerasfast.train.operating.points import HeadPoint, OperatingPoints
from kerasfast.train.predict import predict_video

CLIP = ClipSpec(8, 2, 24.0)  # 15 frames, 0.625 s
SECONDS = CLIP.seconds


def model_of(answer, size=48, clip=CLIP, **heads):
    """What predict needs of a model; `answer` maps a batch of clips to scores by head."""
    heads = heads or {"verb": Head(3, labels=("dark", "grey", "bright"))}
    row = SimpleNamespace(test_crop_size=size)
    return SimpleNamespace(
        name="spy", clip=clip, variant=row, sampling="clips", heads=heads, predict_on_batch=lambda b: answer(b)
    )


def by_brightness(batch):
    """Of the grey that `tiny_frame` gives the first frame: dark below 25 frames, grey below 50, else bright."""
    number = frame_numbers(batch[:, 0])
    return {"verb": np.stack([number < 25, (number >= 25) & (number < 50), number >= 50], axis=1).astype(np.float32)}


def spans(timeline):
    return [(one.label, one.start_seconds, one.end_seconds) for one in timeline.segments]


@pytest.fixture
def long_video(tmp_path):
    path = tmp_path / "long.mp4"
    write_video(path, (tiny_frame(index, 64, 48) for index in range(75)), 24, crf=10)
    return path


@pytest.fixture
def pipe(tmp_path):
    """A function that starts a process which writes a file, or its first part, into a named pipe."""
    started = []

    def feed(path, size=1 << 30):
        name = tmp_path / f"pipe{len(started)}"
        os.mkfifo(name)
        started.append(subprocess.Popen(["sh", "-c", f"head -c {size} '{path}' > '{name}'"]))
        return name

    yield feed
    for process in started:
        process.kill()
        process.wait()


def test_a_video_becomes_a_timeline(long_video):
    (timeline,) = predict(long_video, model_of(by_brightness))
    assert timeline.source == str(long_video) and timeline.model == "spy"
    np.testing.assert_allclose(timeline.starts, np.arange(5) * SECONDS)
    np.testing.assert_allclose(timeline.ends, np.arange(1, 6) * SECONDS)
    assert timeline.scores["verb"].dtype == np.float32 and timeline.scores["verb"].shape == (5, 3)
    assert timeline.labels == {"verb": ("dark", "grey", "bright")}
    assert timeline.thresholds["verb"].tolist() == [0.5] * 3
    # Windows begin at frames 0, 15, 30, 45 and 60.
    assert spans(timeline) == [("dark", 0, 2 * SECONDS), ("grey", 2 * SECONDS, 4 * SECONDS), ("bright", 2.5, 3.125)]
    assert timeline.ended is None and timeline.notes == () and timeline.truth == ()


def test_overlapping_windows(long_video):
    (timeline,) = predict(long_video, model_of(by_brightness), every=0.25)
    np.testing.assert_allclose(timeline.starts, np.arange(len(timeline.starts)) * 0.25)
    assert [row[0] for row in spans(timeline)] == ["dark", "grey", "bright"]
    assert spans(timeline)[1] == ("grey", 1.25, 2 + SECONDS)  # windows that begin at frames 30 to 48


def test_crops_are_merged(long_video):
    seen = []

    def answer(batch):
        seen.append(batch.shape)
        return {"verb": np.eye(3, dtype=np.float32)[: len(batch)]}

    (timeline,) = predict(long_video, model_of(answer), crops=3)
    assert set(seen) == {(3, 8, 48, 48, 3)}
    assert timeline.scores["verb"].tolist() == [[1, 1, 1]] * 5


def test_a_real_model_and_the_public_name(long_video):
    (timeline,) = kf.predict(long_video)
    assert timeline.model.startswith("slowfast_nano")
    model = kf.load("slowfast_nano.miniature")
    span, stride = model.clip.span, model.clip.stride
    frames = read_video(long_video, fps=model.clip.fps, short_side=64)
    left = (frames.shape[2] - 64 + 1) // 2
    clip = frames[0:span:stride, :, left : left + 64]
    expected = model.predict(clip[None], verbose=0)
    assert list(timeline.scores) == list(expected)
    for head, scores in expected.items():
        np.testing.assert_allclose(timeline.scores[head][0], scores[0], rtol=1e-4, atol=1e-5)
    assert timeline.labels["verb"] == model.heads["verb"].labels


def test_a_model_of_whole_videos_gives_one_answer(long_video):
    """It cannot see windows; unless they are asked for, there are none."""
    model = model_of(lambda batch: {"verb": np.ones((len(batch), 3))})
    model.sampling = "video"
    seconds = []
    (timeline,) = predict(long_video, model, progress=seconds.append)
    assert timeline.starts.tolist() == [0] and seconds == [timeline.duration_seconds]
    assert timeline.notes == ("One answer about the whole video: 1 clips x 3 crops.",)
    with pytest.raises(ValueError, match=r"Use predict_video, or kerasfast\.predict without every"):
        next(predict(long_video, model, every=1))


def test_views_and_windows_exclude_each_other(long_video):
    for option in ({"every": 1}, {"crops": 3}):
        with pytest.raises(ValueError, match=r"Give one\."):
            predict(long_video, model_of(None), views=(2, 3), **option)


def test_the_whole_video_by_views(long_video):
    model = kf.build("slow_nano", heads={"verb": 3, "action": kf.Head(2, "softmax")})
    (timeline,) = predict(long_video, model, views=(2, 3), threshold={"verb": 0.0})
    expected = predict_video(model, long_video, clips=2, crops=3)
    for head, scores in expected.items():
        np.testing.assert_allclose(timeline.scores[head], scores[None], rtol=1e-6)
    assert timeline.starts.tolist() == [0] and timeline.duration_seconds == pytest.approx(75 / 24)
    assert [one.index for one in timeline.segments] == [0, 1, 2, int(expected["action"].argmax())]
    assert timeline.notes == ("One answer about the whole video: 2 clips x 3 crops.",)


def test_several_sources_come_in_order(long_video, charades_folder):
    found = list(predict([long_video, charades_folder / "videos"], model_of(by_brightness)))
    names = [timeline.source.rpartition("/")[2] for timeline in found]
    assert names == ["long.mp4", *(f"{name}.mp4" for name in ("a1", "b2", "c3", "d4", "e5", "f6", "g7", "h8"))]
    assert found[6].duration_seconds == 0.5  # f6 is shorter than a window


def test_sources_are_looked_for_at_once(long_video):
    with pytest.raises(DataError, match=r"none\.mp4: no such file"):
        predict([long_video, "none.mp4"], model_of(by_brightness))


def test_a_file_without_pictures_of_its_own(tmp_path, long_video):
    sound = tmp_path / "sound.mp4"
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(DataError, match=r"sound\.mp4: holds no video stream \(it holds audio\)"):
        list(predict(sound, model_of(by_brightness)))
    (tmp_path / "text.mp4").write_text("no video " * 50)
    with pytest.raises(DataError, match=r"text\.mp4: cannot be opened as a video"):
        list(predict(tmp_path / "text.mp4", model_of(by_brightness)))


# Thresholds


def points(**heads):
    return OperatingPoints(heads, "", {"clips": 10, "crops": 3}, {})


def test_operating_points_decide_and_are_named(long_video):
    scores = lambda batch: {"verb": np.array([[0.3, 0.6, 0.9]], np.float32).repeat(len(batch), 0)}  # noqa: E731
    fitted = points(verb=HeadPoint("sigmoid", (0.25, 0.7, 0.95)))
    (timeline,) = predict(long_video, model_of(scores), points=fitted)
    assert {one.label for one in timeline.segments} == {"dark"}
    assert timeline.thresholds["verb"].tolist() == [0.25, 0.7, 0.95]
    (note,) = timeline.notes
    assert "fitted to whole videos of 10 clips x 3 crops" in note
    (timeline,) = predict(long_video, model_of(scores), points=fitted, threshold=0.5)
    assert {one.label for one in timeline.segments} == {"grey", "bright"} and timeline.notes == ()
    (timeline,) = predict(long_video, model_of(scores), views=(10, 3), points=fitted)
    assert {one.label for one in timeline.segments} == {"dark"} and len(timeline.notes) == 1
    (timeline,) = predict(long_video, model_of(scores), views=(2, 1), points=fitted)
    assert timeline.notes[1] == "The operating points were fitted on 10 clips x 3 crops a video."
    with pytest.raises(ValueError, match="a run has its own"):
        predict(long_video, points=fitted)


def test_scores_that_are_no_numbers(long_video):
    nan = model_of(lambda batch: {"verb": np.full((len(batch), 3), np.nan, np.float32)})
    with pytest.raises(ValueError, match=r"NaN from head 'verb' of spy at 0\.0 seconds"):
        list(predict(long_video, nan))
    with pytest.raises(ValueError, match=r"Received: NaN from head 'verb' of spy\. Its weights have diverged"):
        list(predict(long_video, nan, views=(2, 1)))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"every": 0}, "every must be a number of seconds above 0"),
        ({"crops": 2}, "crops must be 1 or 3"),
        ({"threshold": 2}, "threshold must be a score"),
        ({"views": (10, 2)}, "crops must be 1 or 3"),
        ({"views": (0, 3)}, "clips must be at least 1"),
        ({"views": (10, 3), "every": 1}, "Give one"),
    ],
)
def test_arguments_out_of_range(long_video, options, text):
    with pytest.raises(ValueError, match=text):
        list(predict(long_video, model_of(by_brightness), **options))


# Times and orientation


def test_variable_frame_rate(tmp_path):
    """The first 20 frames take a tenth of a second each, the others a fortieth."""
    ticks = [*range(0, 80, 4), *range(80, 120)]
    path = strange_videos.write(tmp_path / "vfr.mp4", ticks, ticks_a_second=40)
    seen = []
    spy = model_of(lambda batch: (seen.append(batch[0]), by_brightness(batch))[1])
    (timeline,) = predict(path, spy, every=0.5)
    assert timeline.duration_seconds == pytest.approx(3.0, abs=1 / 24)
    # Where the last window goes beyond the end, the last frame of the file repeats.
    shown_at = strange_videos.nearest(ticks, 40, 24, 72) + [len(ticks) - 1] * CLIP.span
    for start, frames in zip(timeline.starts, seen, strict=True):
        first = round(start * 24)
        expected = [shown_at[first + 2 * k] * 2 % 78 for k in range(8)]
        assert np.abs(frame_numbers(frames) - expected).max() <= 1


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotation(tmp_path, rotation):
    """The red patch of `tiny_frame`, at the top left of the stored picture, is where a player shows it."""
    path = strange_videos.write(tmp_path / "turned.mp4", list(range(20)), size=(96, 96), rotation=rotation)
    seen = []
    spy = model_of(lambda batch: (seen.append(batch[0]), by_brightness(batch))[1], size=96)
    list(predict(path, spy))
    red = seen[0][0].astype(int)
    corners = {"top left": red[4, 4], "bottom left": red[-5, 4], "bottom right": red[-5, -5], "top right": red[4, -5]}
    found = [name for name, (r, g, _) in corners.items() if r - g > 80]
    assert found == [{90: "bottom left", 180: "bottom right", 270: "top right"}[rotation]]


# What breaks off


def truncated(path, target, share):
    """The first part of a video whose header comes first, so that it still opens."""
    fast = strange_videos.remux(path, target.with_name("fast.mp4"), movflags="faststart")
    return strange_videos.cut(fast, target, share)


def test_what_decodes_of_a_truncated_file(long_video, tmp_path):
    broken = truncated(long_video, tmp_path / "broken.mp4", 0.7)
    with pytest.raises(DataError, match="truncated") as refused:
        read_video(broken)
    (timeline,) = predict(broken, model_of(by_brightness))
    assert 1 < timeline.duration_seconds < 3
    assert timeline.ended == f"Broke off after {timeline.duration_seconds:.1f} seconds. {refused.value}"
    (whole,) = predict(long_video, model_of(by_brightness))
    complete = int((timeline.ends - timeline.starts > SECONDS - 1e-6).sum())
    assert complete >= 1
    np.testing.assert_array_equal(timeline.scores["verb"][:complete], whole.scores["verb"][:complete])
    # The last frames fill no window and are looked at all the same.
    assert len(timeline.starts) == complete + 1


def test_what_decodes_by_views(long_video, tmp_path):
    broken = truncated(long_video, tmp_path / "broken.mp4", 0.7)
    seen = []
    spy = model_of(lambda batch: (seen.append(batch), by_brightness(batch))[1])
    (timeline,) = predict(broken, spy, views=(4, 1))
    assert "truncated" in timeline.ended and 1 < timeline.duration_seconds < 3
    last = round(timeline.duration_seconds * 24) - 1
    assert frame_numbers(seen[-1][0])[-1] == pytest.approx(last, abs=1)
    assert len(timeline.scores["verb"]) == 1 and len(seen) == 4


def test_a_file_that_is_damaged_in_the_middle(charades_folder, tmp_path):
    broken = strange_videos.damage(charades_folder / "videos" / "g7.mp4", tmp_path / "damaged.mp4")
    (timeline,) = predict(broken, model_of(by_brightness))
    assert "damaged.mp4" in timeline.ended and timeline.ended.startswith("Broke off after")
    assert 0 < timeline.duration_seconds < 60 / 24


def broadcast(path, frames=75):
    """A transport stream, which can be read from a pipe, and from any point on."""
    with av.open(str(path), "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=24, options={"g": "10", "bf": "0", "crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(tiny_frame(index % 78, 64, 48), "rgb24")))
        container.mux(stream.encode())
    return path


def test_a_live_source_that_vanishes(tmp_path, pipe):
    content = broadcast(tmp_path / "camera.ts")
    (timeline,) = predict(pipe(content), model_of(by_brightness), live=True)
    assert len(timeline.starts) >= 1
    assert timeline.ended == f"The live source gave nothing more after {timeline.duration_seconds:.1f} seconds."
    (timeline,) = predict(pipe(content), model_of(by_brightness))  # a pipe that ends is no accident
    assert timeline.ended is None and timeline.duration_seconds == pytest.approx(75 / 24)


def test_a_pipe_that_breaks_off_in_a_file(tmp_path, pipe, long_video):
    fragments = strange_videos.remux(
        long_video, tmp_path / "f.mp4", movflags="frag_keyframe+empty_moov+default_base_moof"
    )
    (timeline,) = predict(pipe(fragments, int(fragments.stat().st_size * 0.6)), model_of(by_brightness))
    assert 0 < timeline.duration_seconds < 75 / 24
    assert timeline.ended.startswith("Broke off after") and "pipe0" in timeline.ended


def test_an_address_that_drops_the_connection(tmp_path, long_video):
    fast = strange_videos.remux(long_video, tmp_path / "fast.mp4", movflags="faststart")
    with serve() as server:
        server.files["/camera.mp4"] = fast.read_bytes()
        (timeline,) = predict(server.url("/camera.mp4"), model_of(by_brightness))
        assert timeline.ended is None and timeline.duration_seconds == pytest.approx(75 / 24)
        server.usual = Answer(
            cut=len(server.files["/camera.mp4"]) * 7 // 10, reset=True, headers={"Accept-Ranges": None}
        )
        (timeline,) = predict(server.url("/camera.mp4"), model_of(by_brightness))
    assert 0 < timeline.duration_seconds < 75 / 24
    assert timeline.ended.startswith("Broke off after") and "/camera.mp4" in timeline.ended


def test_an_address_that_falls_silent(tmp_path):
    hold = threading.Event()
    with serve() as server:
        # As live streams are: of no length and without ranges, or FFmpeg would look at its end first.
        live = {"ignore_range": True, "headers": {"Content-Length": None}}
        server.files["/live.ts"] = broadcast(tmp_path / "live.ts", 300).read_bytes()
        server.usual = Answer(cut=len(server.files["/live.ts"]) * 9 // 10, hold=hold, **live)
        try:
            (timeline,) = predict(server.url("/live.ts"), model_of(by_brightness), timeout=3.0)
        finally:
            hold.set()
    assert timeline.ended.startswith("Broke off after") and len(timeline.starts) >= 1


def test_a_pipe_that_falls_silent(tmp_path):
    """Its writer is there and writes no more: what was seen until then counts."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    script = f"exec 3> '{pipe}'; cat '{broadcast(tmp_path / 'a.ts', 150)}' >&3; exec sleep 120"
    writer = subprocess.Popen(["sh", "-c", script])
    try:
        (timeline,) = predict(pipe, model_of(by_brightness), timeout=4.0)
    finally:
        writer.kill()
        writer.wait()
    assert len(timeline.starts) >= 1
    assert timeline.ended.startswith("Broke off after") and "pipe: gave nothing for 4 s." in timeline.ended


def test_damaged_frames_of_a_stream_are_counted(tmp_path, pipe):
    path = tmp_path / "damaged.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=24, options={"qscale": "2"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        frames = [av.VideoFrame.from_ndarray(tiny_frame(index, 64, 48), "rgb24") for index in range(60)]
        packets = [packet for frame in [*frames, None] for packet in stream.encode(frame)]
        noise = av.Packet(bytes(200))
        noise.pts, noise.dts, noise.time_base = packets[32].pts, packets[32].dts, packets[32].time_base
        noise.stream = stream
        for packet in [*packets[:32], noise, *packets[33:]]:
            container.mux(packet)
    (timeline,) = predict(pipe(path), model_of(by_brightness))
    assert timeline.ended is None and timeline.notes == ("1 damaged frame was left out.",)


def test_windows_that_a_live_source_skips(tmp_path, pipe, monkeypatch):
    watch = Watch(pipe(broadcast(tmp_path / "camera.ts")), model_of(by_brightness), live=True, every=0.25)
    rows = iter(watch)
    next(rows)
    for thread in threading.enumerate():
        if thread.name == "stream":
            thread.join(30)
    rest = list(rows)
    assert watch.skipped == rest[-1].index - watch.windows + 1 > 0
    assert f"{watch.skipped} window" in watch.timeline().notes[0]


def test_a_watch_may_be_left_at_any_time(long_video):
    watch = Watch(long_video, model_of(by_brightness))
    assert len(watch.timeline().starts) == 0 and watch.timeline().segments == ()
    rows = iter(watch)
    next(rows), next(rows)
    watch.close()
    watch.interrupt()
    timeline = watch.timeline()
    assert len(timeline.starts) == 2 and spans(timeline) == [("dark", 0, 2 * SECONDS)]
    assert timeline.ended == f"Interrupted after {2 * SECONDS:.1f} seconds."


def test_a_watch_that_keeps_nothing(long_video):
    watch = Watch(long_video, model_of(by_brightness), keep=False)
    assert [window.index for window in watch] == [0, 1, 2, 3, 4]
    assert watch.windows == 5 and watch._rows == []


# Decoding while the model works, and memory


class Picture(np.ndarray):
    """A decoded picture that can be counted while it lives."""

    __hash__ = object.__hash__
    __eq__ = object.__eq__


class Decoded:
    """Counts the pictures that were decoded, and those that somebody still holds."""

    def __init__(self, monkeypatch):
        self.total, self.alive = 0, weakref.WeakSet()
        scaled = pictures.PictureSource._scaled

        def decoding(source, *arguments):
            picture = scaled(source, *arguments).view(Picture)
            self.total += 1
            self.alive.add(picture)
            return picture

        monkeypatch.setattr(pictures.PictureSource, "_scaled", decoding)


def test_the_next_window_is_decoded_while_the_model_works_and_none_after_it(long_video, monkeypatch):
    decoded, at_call = Decoded(monkeypatch), []

    def slow(batch):
        wanted = min(CLIP.frames * (len(at_call) + 2), 5 * CLIP.frames)
        for _ in range(500):  # a model that waits for the decoder would wait for ever without a thread for it
            if decoded.total >= wanted:
                break
            time.sleep(0.01)
        time.sleep(0.05)  # time to run further ahead, if anything let it
        at_call.append((decoded.total, len(decoded.alive)))
        return by_brightness(batch)

    list(predict(long_video, model_of(slow)))
    assert [total for total, _ in at_call] == [16, 24, 32, 40, 40]
    # Beside the copy that the model has, the next window alone; the decoder keeps its last picture.
    assert max(alive for _, alive in at_call) <= CLIP.frames + 1


@pytest.mark.parametrize("every", [None, 0.25])
def test_two_windows_are_held_however_long_the_video(tmp_path, every, monkeypatch):
    clip, size = ClipSpec(8, 2, 24.0), 128
    window = clip.frames * size * size * 3
    peaks = {}
    for frames in (60, 600):
        path = tmp_path / f"{frames}.mp4"
        picture = tiny_frame(7, 160, 160)
        write_video(path, (picture for _ in range(frames)), 24, crf=30, preset="ultrafast")

        def slow(batch):
            time.sleep(0.02)  # the next window is whole before this one is scored
            return {"verb": np.zeros((len(batch), 3), np.float32)}

        watch = Watch(path, model_of(slow, size, clip), every=every)
        tracemalloc.start()
        for _ in watch:
            pass
        peaks[frames] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert watch.windows >= frames / 15 - 1
    print(f"every={every}: at most {peaks[60] / window:.2f} and {peaks[600] / window:.2f} windows")
    # Two windows, the crop of one that the model gets, and a picture on its way.
    assert peaks[600] < 3.3 * window
    assert peaks[600] < peaks[60] + 0.1 * window
