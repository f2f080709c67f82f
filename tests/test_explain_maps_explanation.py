"""The clip that is explained, its class and its scores."""

import numpy as np
import pytest
import strange_videos

import kerasfast as kf
from kerasfast.data.errors import DataError
from kerasfast.data.miniature.generate import encode
from kerasfast.data.miniature.render import render
from kerasfast.data.miniature.scripts import write_scripts
from kerasfast.data.video import probe, read_video
from kerasfast.data.video_writer import write_video
from kerasfast.data.views import readable_length, scaled_clips
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


@pytest.fixture(scope="module")
def truncated(video, tmp_path_factory):
    """Four times the video in an mp4 with its index first, and the first half of that file."""
    folder = tmp_path_factory.mktemp("truncated")
    write_video(folder / "whole.mp4", np.tile(read_video(video[0]), (4, 1, 1, 1)), 24)
    fast = strange_videos.remux(folder / "whole.mp4", folder / "fast.mp4", movflags="faststart")
    return strange_videos.cut(fast, folder / "cut.mp4", 0.5)


def test_a_truncated_video_is_explained_up_to_its_end(model, truncated):
    length, _ = readable_length(truncated, 24)
    assert 64 < length < probe(truncated).duration_seconds * 24 - 64
    found = explain_video(model, truncated)
    assert found.times.max() <= length / 24
    assert found.ended.startswith(f"Broke off after {length / 24:.1f} seconds. ") and "cut.mp4" in found.ended
    views = np.stack(list(scaled_clips(truncated, model.clip, 10, 64, length=length)))
    left = (views.shape[3] - 64 + 1) // 2
    scores = model.predict(views[:, :, :, left : left + 64], verbose=0)["action"]
    assert found.index == scores.max(axis=0).argmax()
    assert found.score == pytest.approx(scores.max(), abs=1e-5)


def test_frames_behind_the_clip_are_not_asked_for(model, truncated):
    found = explain_video(model, truncated, at=0.5)
    assert found.times[0] == 0.5 and found.ended is None
    length, _ = readable_length(truncated, 24)
    late = explain_video(model, truncated, at=(length - 4) / 24)
    assert len(np.unique(late.times)) <= 4 and late.ended.startswith("Broke off after")
    with pytest.raises(ValueError, match=r"before the end of what can be decoded\. Received: at=.* Broke off after"):
        explain_video(model, truncated, at=(length + 24) / 24)


def test_a_video_of_which_nothing_can_be_decoded_is_refused(model, truncated, tmp_path):
    nothing = tmp_path / "nothing.mp4"
    content = truncated.read_bytes()
    nothing.write_bytes(content[: content.index(b"mdat") + 4])
    with pytest.raises(DataError, match=r"nothing\.mp4"):
        explain_video(model, nothing)


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
