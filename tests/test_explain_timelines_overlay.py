"""A timeline drawn on to its video."""

import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
import strange_videos
from timeline_case import LABELS, small_timeline, softmax_timeline

from kerasfast.data.errors import DataError
from kerasfast.data.video import probe, read_video
from kerasfast.data.video_writer import write_video
from kerasfast.explain.timelines.overlay import _TICK, _cut, _font, _Panels, _shares, write_overlay
from kerasfast.explain.timelines.timeline import Segment


def grey_video(path, width=96, height=72, seconds=4.0, fps=24):
    frames = (np.full((height, width, 3), 60 + index, np.uint8) for index in range(round(seconds * fps)))
    write_video(path, frames, fps)
    return path


def one_head(scores, **fields):
    """A timeline of one head with these (windows, classes) scores, over 4 s."""
    scores = np.array(scores, np.float32)
    windows = len(scores)
    edges = np.linspace(0, 4, windows + 1)
    values = {
        "starts": edges[:-1],
        "ends": edges[1:],
        "scores": {"action": scores},
        "thresholds": {"action": np.full(scores.shape[1], 0.5)},
        "labels": {"action": [f"class {index}" for index in range(scores.shape[1])]},
        "segments": (),
        "truth": (),
    }
    return small_timeline(**values | fields)


def blue_shares(frame):
    """For each row of bars from top to bottom, the share of its track that is blue, in frames 640 pixels wide."""
    frame = frame.astype(int)
    blue = (frame[..., 2] > frame[..., 0] + 70) & (frame[..., 2] > 110)
    rows = np.flatnonzero(blue.mean(axis=1) > 0.005)
    groups = [group for group in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1) if len(group) > 5]
    left, right = 11, 640 - 11 - 36  # margins of 0.8 and figures of 2.6 times 14 pixels
    return [(np.flatnonzero(blue[group[3]]).max() + 1 - left) / (right - left) for group in groups]


def test_it_shows_the_scores_of_each_window(tmp_path):
    """Bars as long as the scores, highest first, of the window whose middle is the nearest to the frame."""
    timeline = one_head([[0.9, 0.6, 0.1], [0.55, 0.8, 0.7], [0.1, 0.2, 0.3], [0.2, 1.0, 0.1]])
    video = grey_video(tmp_path / "in.mp4")
    calls = []
    path = write_overlay(timeline, video, tmp_path / "out.mp4", progress=lambda *counts: calls.append(counts))
    assert path == tmp_path / "out.mp4"
    info = probe(path)
    assert (info.width, info.height, info.fps, info.frames) == (640, 480, 24, 96)
    assert calls == [(count, 96) for count in range(1, 97)]
    frames = read_video(path)
    expected = {12: [0.9, 0.6], 36: [0.8, 0.7, 0.55], 60: [], 84: [1.0]}  # grey below the threshold
    for index, scores in expected.items():
        assert blue_shares(frames[index]) == pytest.approx(scores, abs=0.03), index
    # It changes with the window and not between.
    panels = frames[:, 400:].astype(int)
    changes = np.abs(np.diff(panels, axis=0)).mean(axis=(1, 2, 3))
    assert sorted(np.argsort(changes)[-3:] + 1) == [24, 48, 72]
    # The picture above is the video's.
    np.testing.assert_allclose(frames[50, :300].mean(), 60 + 50, atol=3)


def test_a_softmax_head_has_the_bars_of_its_answers(tmp_path):
    """Blue is what was decided: one class of a window however low its score, none where it is "no action"."""
    path = write_overlay(softmax_timeline(), grey_video(tmp_path / "in.mp4"), tmp_path / "out.mp4")
    frames = read_video(path).astype(int)
    for index, scores in {12: [0.7], 36: [0.4], 60: [0.8], 84: []}.items():
        assert blue_shares(frames[index]) == pytest.approx(scores, abs=0.03), index


def test_only_a_threshold_has_a_tick():
    for timeline, expected in ((softmax_timeline(), False), (small_timeline(), True)):
        panel = _Panels(timeline, 3, 640, 480).draw(0)
        assert (panel.colour == np.array(_TICK) * 255).all(axis=-1).any() == expected


def test_annotated_classes_have_a_dot(tmp_path):
    truth = (Segment("action", 1, "class 1", 2.0, 4.0),)
    timeline = one_head([[0.9, 0.6], [0.9, 0.6]], truth=truth)
    frames = read_video(write_overlay(timeline, grey_video(tmp_path / "in.mp4"), tmp_path / "out.mp4")).astype(int)
    green = ((frames[..., 1] > frames[..., 0] + 50) & (frames[..., 1] > frames[..., 2] + 20)).sum(axis=(1, 2))
    assert green[20] < 5 and green[70] > 20


def test_upright_in_proportion_and_even(tmp_path):
    """As the file says: rotation, oblong pixels; odd sizes lose a line; large videos keep their size."""
    ticks = list(range(24))
    cases = {
        "odd.mkv": ({"size": (97, 71), "pix_fmt": "yuv444p"}, (654, 480)),
        "turned.mp4": ({"size": (96, 72), "rotation": 90}, (480, 640)),
        "oblong.mp4": ({"size": (96, 96), "aspect": Fraction(4, 3)}, (640, 480)),
        "flat.mp4": ({"size": (96, 96), "aspect": Fraction(3, 4)}, (480, 640)),
        "turned_oblong.mp4": ({"size": (96, 96), "aspect": Fraction(4, 3), "rotation": 90}, (480, 640)),
        "large.mp4": ({"size": (640, 500)}, (640, 500)),
    }
    for name, (options, size) in cases.items():
        video = strange_videos.write(tmp_path / name, ticks, **options)
        path = write_overlay(small_timeline(), video, tmp_path / f"{name}.out.mp4")
        info = probe(path)
        assert (info.width, info.height, info.rotation) == (*size, 0), name
        assert info.pixel_aspect == 1 and info.frames == 24
        red = read_video(path)[10, :20, :20].astype(int)
        turned = options.get("rotation")  # the patch of the top left goes to the bottom left, under the panel
        assert (red[..., 0] - red[..., 1] > 100).all() == (not turned), name


def test_a_variable_rate_keeps_its_time(tmp_path):
    """Frames in the first and the last of four seconds: what is seen at the end is drawn at the end."""
    ticks = [*range(24), *range(72, 96)]
    video = strange_videos.write(tmp_path / "in.mp4", ticks)
    timeline = one_head([[0.9], [0.1], [0.1], [0.7]])
    path = write_overlay(timeline, video, tmp_path / "out.mp4")
    info = probe(path)
    assert info.duration_seconds == pytest.approx(4, abs=0.15)
    frames = read_video(path)
    for share, scores in {0.1: [0.9], 0.5: [], 0.9: [0.7]}.items():
        assert blue_shares(frames[round(share * len(frames))]) == pytest.approx(scores, abs=0.04)


def test_a_corrupt_tail_ends_the_overlay(tmp_path):
    video = grey_video(tmp_path / "in.mkv")
    whole = video.read_bytes()
    video.write_bytes(whole[: len(whole) * 2 // 3])
    path = write_overlay(small_timeline(), video, tmp_path / "out.mp4")
    assert 20 < len(read_video(path)) < 90


def test_labels_of_any_kind(tmp_path):
    """Nothing crashes, and long names are cut within their column."""
    names = [
        "很长的名字",
        "متن فارسی",
        "emoji 👩‍🍳",
        "two\nlines\ttab",
        "nul\0 \ud800 \u202eevil",
        "",
        "W" * 5000,
        "Łódź ✓",
    ]
    scores = np.tile(np.linspace(0.9, 0.2, len(names), dtype=np.float32), (7, 1))
    heads = {f"head {number} " + "x" * 300 * number: scores for number in range(7)}
    timeline = small_timeline(
        scores=heads, labels=dict.fromkeys(heads, names),
        thresholds=dict.fromkeys(heads, np.full(len(names), np.inf)), segments=(), truth=(),
    )  # fmt: skip
    video = grey_video(tmp_path / "in.mp4", seconds=0.5)
    frames = read_video(write_overlay(timeline, video, tmp_path / "out.mp4", top=50))
    # Seven heads: still no more than half of the picture is covered, and something is.
    np.testing.assert_allclose(frames[5, :225].mean(), 65, atol=3)
    assert frames[5, 240:].std() > 10


def test_a_video_without_thresholds_and_labels(tmp_path):
    timeline = one_head([[0.9, 0.4]], thresholds={}, labels={})
    frames = read_video(
        write_overlay(timeline, grey_video(tmp_path / "in.mp4", seconds=1), tmp_path / "out.mp4", top=9)
    )
    assert blue_shares(frames[5]) == []


def test_memory_does_not_grow_with_the_video(tmp_path):
    peaks = []
    for seconds in (1, 6):
        video = grey_video(tmp_path / f"in{seconds}.mp4", seconds=seconds)
        tracemalloc.start()
        write_overlay(small_timeline(), video, tmp_path / f"out{seconds}.mp4")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 3 * 640 * 480 * 3  # not by more than a few frames of the 120


def test_cutting():
    font = _font("DejaVuSans.ttf", 14)
    assert _cut("short", font, 200) == "short"
    cut = _cut("a label of many words that go on and on", font, 120)
    assert cut.endswith("…") and 80 < font.getlength(cut) <= 120
    assert _cut("anything", font, 0) == _cut("anything", font, -5) == ""


def test_shares():
    assert _shares([100, 200], 320, 90) == [110, 210]
    assert _shares([300, 100], 250, 100) == [150, 100]
    assert _shares([400], 250, 100) == [250]


def test_what_cannot_be_drawn_is_refused(tmp_path):
    video, out = grey_video(tmp_path / "in.mp4", seconds=0.5), tmp_path / "out.mp4"
    nothing = {head: np.zeros((0, len(names)), np.float32) for head, names in LABELS.items()}
    with pytest.raises(ValueError, match="at least one class of one head"):
        write_overlay(small_timeline(), video, out, top=0)
    with pytest.raises(ValueError, match="at least one window"):
        write_overlay(small_timeline(starts=np.zeros(0), ends=np.zeros(0), scores=nothing), video, out)
    with pytest.raises(DataError, match=r"none\.mp4"):
        write_overlay(small_timeline(), tmp_path / "none.mp4", out)
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(DataError, match=r"text\.mp4"):
        write_overlay(small_timeline(), tmp_path / "text.mp4", out)
    assert not list(tmp_path.glob("out*"))
