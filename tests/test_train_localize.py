"""Localisation reads a clip around each of 25 moments of a video file."""

import json

import keras
import numpy as np
import pytest

from kerasfast.data.annotations import VideoRow, find_videos, read_charades_csv
from kerasfast.data.clips import ClipSpec
from kerasfast.data.errors import DataError
from kerasfast.data.labels import read_charades_classes
from kerasfast.data.pipeline.transforms import crop_position
from kerasfast.data.video import read_video
from kerasfast.data.video_writer import write_video
from kerasfast.models.classifier import build
from kerasfast.models.variants import variant
from kerasfast.train import localize as module
from kerasfast.train.localize import centred_starts, localize, score_frames
from kerasfast.train.scoring.localization import frame_labels, localization_map
from kerasfast.train.scoring.submission import read_localize

CLIP = ClipSpec(4, 4, 24.0)


@pytest.fixture(scope="module")
def labels(charades_folder):
    return read_charades_classes(charades_folder)


@pytest.fixture(scope="module")
def model(labels):
    keras.utils.set_random_seed(0)
    return build(variant("slow_nano", clip=CLIP), heads=labels.sizes)


@pytest.fixture(scope="module")
def rows(charades_folder, labels):
    return read_charades_csv(charades_folder / "Tiny_v1_test.csv", labels).rows


@pytest.fixture(scope="module")
def videos(charades_folder, rows):
    return find_videos(rows, charades_folder / "videos")


@pytest.fixture(scope="module")
def scores(model, rows, videos):
    return score_frames(model, rows, videos)


def row_of(name, length_seconds):
    return VideoRow(name, "S", length_seconds, (), 0)


def pictures(path, indices):
    """The central crops of frames of a file that is decoded whole."""
    frames = read_video(path, fps=24, short_side=64)
    return np.stack([np.asarray(crop_position(frames[clip], 1, 64)) for clip in indices])


def test_clips_are_centred_and_clamped(model, charades_folder):
    row, path = row_of("b2", 3.0), charades_folder / "videos" / "b2.mp4"  # 72 frames
    batches = list(module._batches(model, row, path, 1, batch_size=10))
    assert [batch.shape for batch in batches] == [(10, 4, 64, 64, 3), (10, 4, 64, 64, 3), (5, 4, 64, 64, 3)]
    middles = np.round(np.arange(25) / 25 * 72).astype(int)
    indices = np.clip(middles[:, None] - CLIP.span // 2 + 4 * np.arange(4), 0, 71)
    np.testing.assert_array_equal(np.concatenate(batches), pictures(path, indices))
    np.testing.assert_array_equal(centred_starts(3.0, CLIP) + CLIP.span // 2, middles)


def test_a_file_that_is_shorter_than_listed_repeats_its_last_frame(model, charades_folder):
    row, path = row_of("f6", 1.0), charades_folder / "videos" / "f6.mp4"  # 12 frames, half a second
    (frames,) = module._batches(model, row, path, 1, batch_size=25)
    indices = np.clip(np.round(np.arange(25) / 25 * 24).astype(int)[:, None] - 6 + 4 * np.arange(4), 0, 11)
    np.testing.assert_array_equal(frames, pictures(path, indices))


def test_crops_are_merged_by_the_rule_of_the_head(model, videos, rows):
    row = rows[1]  # g7, 96 x 72
    views = np.concatenate(list(module._batches(model, row, videos[row.id], 3, batch_size=75)))
    expected = model.predict_on_batch(views)["action"].reshape(25, 3, -1).max(axis=1)
    found = score_frames(model, [row], videos, crops=3, batch_size=75, heads=["action"])
    np.testing.assert_allclose(found["action"][0], expected, rtol=1e-4)


def test_metrics_are_those_of_the_frames(model, rows, videos, labels, scores, tmp_path):
    said, calls = [], []
    metrics = localize(
        model,
        rows,
        videos,
        labels,
        out=tmp_path / "run" / "metrics.json",
        files=tmp_path / "files",
        progress=lambda *done: calls.append(done),
        announce=said.append,
    )
    assert json.loads((tmp_path / "run" / "metrics.json").read_text()) == metrics
    expected = localization_map(frame_labels(rows, labels)["action"], scores["action"])
    action = metrics["heads"]["action"]
    assert action["map"] == pytest.approx(expected.map) and action["chance"] == expected.chance
    assert metrics["protocol"]["name"] == "localize" and metrics["protocol"]["views"] == 25
    written = read_localize(tmp_path / "files" / "localize-action.txt", [row.id for row in rows], 5)
    np.testing.assert_allclose(written, scores["action"], rtol=1e-4)
    assert calls == [(1, 3), (2, 3), (3, 3)]
    assert (said[0].views, said[0].videos) == (25, 3) and metrics["forecast_seconds"] is not None


def test_given_scores_are_not_computed_again(model, rows, labels, scores):
    metrics = localize(model, rows, {}, labels, scores=scores, resamples=10)
    assert metrics["forecast_seconds"] is None and "interval" in metrics["heads"]["verb"]
    with pytest.raises(ValueError, match=r"shape \(3, 25, 3\). Received: shape \(2, 25, 3\): 1 missing"):
        localize(model, rows, {}, labels, scores={head: values[:2] for head, values in scores.items()})


def test_one_view_for_all_moments_is_found(model, rows, videos, monkeypatch):
    monkeypatch.setattr(module, "centred_starts", lambda *_: np.zeros(25, np.int64))
    with pytest.raises(ValueError, match="One view is shown again and again"):
        score_frames(model, rows, videos)


def test_a_still_video_passes(model, tmp_path):
    write_video(tmp_path / "still.mp4", [np.full((64, 64, 3), 90, np.uint8)] * 48, 24)
    score_frames(model, [row_of("still", 2.0)], {"still": tmp_path / "still.mp4"})


def test_unusable_arguments_are_refused(model, rows, videos, labels, tmp_path, monkeypatch):
    with pytest.raises(DataError, match="The annotations: holds no video"):
        localize(model, [], {}, labels)
    with pytest.raises(DataError, match="none of its 1 videos has a label of head 'verb'"):
        localize(model, [row_of("a", 3.0)], {}, labels)
    with pytest.raises(ValueError, match=r"Head 'action' of the model has 9 classes"):
        localize(build("slow_nano", heads={"action": 9}), rows, videos, labels)
    with pytest.raises(ValueError, match="crops must be 1 or 3"):
        score_frames(model, rows, videos, crops=2)
    with pytest.raises(DataError, match=r"none\.mp4"):
        score_frames(model, rows, {row.id: tmp_path / "none.mp4" for row in rows})
    monkeypatch.setattr(model, "sampling", "video")
    with pytest.raises(ValueError, match=r"a model that sees clips\. Received: slow_nano"):
        score_frames(model, rows, videos)


def test_broken_weights_are_refused(labels, rows, videos):
    broken = build(variant("slow_nano", clip=CLIP), heads={"verb": 3})
    layer = broken.get_layer("head_verb")
    layer.set_weights([np.full_like(weight, np.nan) for weight in layer.get_weights()])
    with pytest.raises(ValueError, match="NaN from head 'verb' for video 'e5'"):
        score_frames(broken, rows, videos)
