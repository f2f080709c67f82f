"""Scores of a single file agree with scores through records."""

from types import SimpleNamespace

import numpy as np
import pytest

import kerasfast as kf
from kerasfast.data.video import read_video
from kerasfast.data.video_writer import write_video
from kerasfast.train.predict import predict_timeline, predict_video


@pytest.fixture(scope="module")
def model():
    return kf.build("slow_nano", heads={"verb": 4, "action": kf.Head(5, "softmax")})


@pytest.fixture
def video(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "clip.mp4"
    write_video(path, rng.integers(0, 256, (60, 64, 96, 3), dtype=np.uint8), 24)
    return path


def test_one_view_is_the_model_on_the_middle_of_the_video(model, video):
    frames = read_video(video, fps=24)
    start = (60 - model.clip.span) // 2
    clip = frames[start : start + model.clip.span : model.clip.stride, :, 16:80]
    expected = model.predict(clip[None], verbose=0)
    scores = predict_video(model, video, clips=1, crops=1)
    for head in expected:
        np.testing.assert_allclose(scores[head], expected[head][0], rtol=1e-5, atol=1e-6)


def test_views_are_merged_by_max_for_sigmoid_and_mean_for_softmax(model, video):
    frames = read_video(video, fps=24)
    starts = (0, round((60 - model.clip.span) / 2), 60 - model.clip.span)
    views = [
        frames[start : start + model.clip.span : model.clip.stride, :, left : left + 64]
        for start in starts
        for left in (0, 16, 32)
    ]
    each = model.predict(np.stack(views), verbose=0)
    scores = predict_video(model, video, clips=3, crops=3)
    np.testing.assert_allclose(scores["verb"], each["verb"].max(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(scores["action"], each["action"].mean(0), rtol=1e-5, atol=1e-6)
    scores = predict_video(model, video, clips=3, crops=3, merge={"verb": "mean"})
    np.testing.assert_allclose(scores["verb"], each["verb"].mean(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(scores["action"], each["action"].mean(0), rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="merge must be 'max' or 'mean'"):
        predict_video(model, video, merge="median")


def test_views_of_another_size(model, video):
    """Scaled to that side, as `score_videos` does, and not cut out of larger ones."""
    seen = []

    def predict(frames):
        seen.append(frames)
        return {head: np.zeros((len(frames), row.classes)) for head, row in model.heads.items()}

    spy = SimpleNamespace(
        clip=model.clip, variant=model.variant, sampling=model.sampling, heads=model.heads, predict_on_batch=predict
    )
    predict_video(spy, video, clips=1, crops=1, crop_size=32)
    assert seen[0].shape[1:] == (model.clip.frames, 32, 32, 3)
    full = read_video(video, fps=24, short_side=32)
    start = (60 - model.clip.span) // 2
    left = (full.shape[2] - 32) // 2
    expected = full[start : start + model.clip.span : model.clip.stride, :, left : left + 32]
    np.testing.assert_array_equal(seen[0][0], expected)


def test_a_short_video_repeats_its_last_frame(model, tmp_path):
    path = tmp_path / "short.mp4"
    write_video(path, np.random.default_rng(1).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8), 24)
    frames = read_video(path)[[0, 2, 2, 2]]
    expected = model.predict(frames[None], verbose=0)
    scores = predict_video(model, path, clips=2, crops=1)
    np.testing.assert_allclose(scores["verb"], expected["verb"][0], rtol=1e-5, atol=1e-6)


def test_crops_are_one_or_three(model, video):
    with pytest.raises(ValueError, match=r"crops must be 1 or 3\. Received: crops=2"):
        predict_video(model, video, crops=2)


def test_a_timeline_scores_clip_after_clip(model, video):
    frames = read_video(video, fps=24)
    span, stride = model.clip.span, model.clip.stride
    starts = [start for start in range(0, 60, 6) if start + span <= 60]
    found = list(predict_timeline(model, video, every=0.26))  # 6.24 frames
    clips = np.stack([frames[start : start + span : stride, :, 16:80] for start in starts])
    expected = model.predict(clips, verbose=0)
    assert [timed.start_seconds for timed in found[: len(starts)]] == [start / 24 for start in starts]
    for head in expected:
        scores = np.stack([timed.scores[head] for timed in found[: len(starts)]])
        np.testing.assert_allclose(scores, expected[head], rtol=1e-5, atol=1e-6)
    assert len(found) - len(starts) == (starts[-1] + span < 60)
    assert found[-1].end_seconds == pytest.approx(60 / 24)


def test_a_timeline_merges_crops(model, video):
    frames = read_video(video, fps=24)
    clip = frames[: model.clip.span : model.clip.stride]
    each = model.predict(np.stack([clip[:, :, left : left + 64] for left in (0, 16, 32)]), verbose=0)
    first = next(predict_timeline(model, video, crops=3))
    np.testing.assert_allclose(first.scores["verb"], each["verb"].max(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(first.scores["action"], each["action"].mean(0), rtol=1e-5, atol=1e-6)


def test_a_timeline_of_a_source_without_end(model):
    timeline = predict_timeline(model, "testsrc=size=96x64:rate=24", every=0.5, format="lavfi")
    assert [next(timeline).start_seconds for _ in range(4)] == [0.0, 0.5, 1.0, 1.5]
    timeline.close()


def test_a_timeline_needs_a_model_of_clips(model, video, monkeypatch):
    monkeypatch.setattr(model, "sampling", "video")
    with pytest.raises(ValueError, match=r"a model that sees clips\. Received: slow_nano"):
        predict_timeline(model, video)


@pytest.mark.parametrize("options", [{"every": 0.0}, {"every": -1.0}, {"every": float("nan")}, {"crops": 2}])
def test_a_timeline_refuses(model, video, options):
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=rf"{name} must be .* Received: (every=)?(crops=)?{value}"):
        predict_timeline(model, video, **options)
