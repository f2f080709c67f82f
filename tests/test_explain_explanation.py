"""The clip that is explained, its class and its scores."""

import numpy as np
import pytest

import kerasfast as kf
from kerasfast.data.errors import DataError
from kerasfast.data.miniature.generate import encode
from kerasfast.data.miniature.render import render
from kerasfast.data.miniature.scripts import write_scripts
from kerasfast.data.video import read_video
from kerasfast.data.video_writer import write_video
from kerasfast.explain import explain_clip, explain_video
from kerasfast.train.predict import predict_video


@pytest.fixture(scope="module")
def model():
    return kf.load("slowfast_nano.miniature")


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """A miniature video with two actions, and its script."""
    script = write_scripts("test", 20, 2)[3]
    path = tmp_path_factory.mktemp("video") / "two.mp4"
    encode(path, render(script, 2))
    return path, script


def test_the_clip_at_a_time_is_what_the_model_sees_there(model, video):
    path, _ = video
    found = explain_video(model, path, "verb", "Lift", at=0.5)
    scaled = read_video(path, fps=24, short_side=64)[12:44]
    left = (scaled.shape[2] - 64 + 1) // 2
    np.testing.assert_array_equal(found.frames, scaled[:, :, left : left + 64])
    np.testing.assert_allclose(found.times, (12 + np.arange(32)) / 24)
    expected = model.predict(found.frames[None], verbose=0)
    for head, scores in expected.items():
        np.testing.assert_allclose(found.scores[head], scores[0], atol=1e-5)
    assert (found.head, found.index, found.label, found.source) == ("verb", 2, "lift", "two.mp4")
    assert found.score == pytest.approx(expected["verb"][0, 2], abs=1e-5)
    assert found.title == f'verb "lift" {found.score:.2f}'
    assert {path: maps.shape for path, maps in found.maps.items()} == {"slow": (32, 64, 64), "fast": (32, 64, 64)}


def test_without_a_time_and_a_class_the_best_clip_speaks_for_the_best_class(model, video):
    path, _ = video
    views = predict_video(model, path, clips=10, crops=1)["action"]  # the maximum over the same ten clips
    found = explain_video(model, path)
    assert found.head == "action"
    assert found.index == views.argmax()
    assert found.score == pytest.approx(views.max(), abs=1e-5)
    other = (found.index + 1) % 40
    assert explain_video(model, path, cls=other).score == pytest.approx(views[other], abs=1e-5)


def test_a_clip_at_the_end_repeats_the_last_frame(model, video):
    path, script = video
    found = explain_video(model, path, "object", "star", at=(script.frames - 4) / 24)
    assert len(np.unique(found.times)) <= 4
    np.testing.assert_array_equal(found.frames[-1], found.frames[4])


def test_a_time_outside_of_the_video_is_refused(model, video):
    path, script = video
    for at in (-1, script.frames / 24 + 1, float("nan")):
        with pytest.raises(ValueError, match=rf"at must lie within .*two.mp4, which lasts {script.frames / 24:.2f}"):
            explain_video(model, path, at=at)


def test_a_truncated_video_is_explained_before_its_end(model, video, tmp_path):
    """Frames behind the clip are not asked for."""
    frames = read_video(video[0])
    whole = tmp_path / "whole.mkv"
    write_video(whole, np.tile(frames, (4, 1, 1, 1)), 24)
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert explain_video(model, cut, at=0.5).frames.shape == (32, 64, 64, 3)
    with pytest.raises(DataError, match=r"cut\.mkv"):
        explain_video(model, cut)


def test_frames_at_hand(model):
    frames = np.random.default_rng(0).uniform(0, 255, (32, 96, 64, 3))
    found = explain_clip(model, frames, "object", "disc")
    assert found.frames.dtype == np.uint8 and found.frames.shape == frames.shape
    assert found.maps["slow"].shape == (32, 96, 64)
    np.testing.assert_allclose(found.times, np.arange(32) / 24)
    with pytest.raises(ValueError, match="which has 16 frames"):
        explain_clip(model, frames[:16], "object", "disc")


def test_a_model_of_whole_videos_has_one_view(video):
    whole = kf.build("slow_nano", heads={"action": 5})
    whole.sampling = "video"
    found = explain_video(whole, video[0])
    assert len(found.frames) == 4
    assert found.times[-1] - found.times[0] > 2  # seconds, where a clip of it spans one
    with pytest.raises(ValueError, match=r"one view\. Received: at=1"):
        explain_video(whole, video[0], at=1)


def test_mistakes_are_told_before_the_video_is_read(model):
    with pytest.raises(ValueError, match="Did you mean 'Opening a star'"):
        explain_video(model, "missing.mp4", "action", "Opening a stair")
    with pytest.raises(ValueError, match="Did you mean 'verb'"):
        explain_video(model, "missing.mp4", "verbs")
    with pytest.raises(ValueError, match="method must be one of"):
        explain_video(model, "missing.mp4", method="lime")
    with pytest.raises(DataError, match=r"missing\.mp4"):
        explain_video(model, "missing.mp4")
