"""Many-view evaluation against the same sums written out."""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import train_records

from kerasfast.data.errors import DataError
from kerasfast.data.pipeline import testing as pipeline  # pytest would take an imported testing_views for a test
from kerasfast.models.classifier import build
from kerasfast.train.evaluate import evaluate, score_videos
from kerasfast.train.metrics import mean_average_precision
from kerasfast.train.scoring.scored_videos import ScoredVideos
from kerasfast.train.scoring.submission import read_classify

VIDEOS, CLIPS, CROPS = 5, 2, 3


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return train_records.make(tmp_path_factory.mktemp("evaluate"), "test", VIDEOS, clips=CLIPS)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return build("slow_nano", heads=train_records.HEADS)


@pytest.fixture(scope="module")
def scores(model, records):
    return score_videos(model, records, clips=CLIPS, crops=CROPS, batch_size=4)


def test_scores_are_the_merged_views_of_each_video(model, records, scores):
    single = np.zeros((VIDEOS, CLIPS * CROPS, 3))
    views = pipeline.testing_views(
        records, model.clip, CLIPS, CROPS, crop_size=64, short_side=64, split="test", batch_size=1
    )
    for frames, video, view in views:
        single[int(video[0]), int(view[0])] = model.predict_on_batch(frames)["action"][0]
    np.testing.assert_allclose(scores["action"], single.max(axis=1), rtol=1e-4)
    mean = score_videos(model, records, clips=CLIPS, crops=CROPS, merge="mean", batch_size=4)
    np.testing.assert_allclose(mean["action"], single.mean(axis=1), rtol=1e-4)
    assert mean["verb"].shape == (VIDEOS, 2)


def test_the_result_is_what_metrics_json_holds(model, records, scores, tmp_path):
    calls = []
    path = tmp_path / "run" / "metrics.json"
    metrics = evaluate(
        model,
        records,
        clips=CLIPS,
        crops=CROPS,
        batch_size=4,
        subsets={"red": [0, 1]},
        out=path,
        progress=lambda *done: calls.append(done),
    )
    assert json.loads(path.read_text()) == metrics
    behind = ScoredVideos.load(path.with_suffix(".npz"))
    np.testing.assert_allclose(behind.scores["action"], scores["action"], rtol=1e-6)
    assert mean_average_precision(behind.labels["verb"], behind.scores["verb"]).map == metrics["heads"]["verb"]["map"]
    assert behind.classes == train_records.LABELS.heads and behind.ids[:2] == ("test00", "test01")
    assert behind.implied == train_records.LABELS.implied
    expected = mean_average_precision(pipeline.video_labels(records, "test")["action"], scores["action"])
    row = metrics["heads"]["action"]
    assert (row["map"], row["chance"], row["prevalence"]) == (expected.map, expected.chance, expected.prevalence)
    assert row["ap"] == dict(zip(train_records.LABELS.heads["action"], expected.ap, strict=True))
    assert metrics["overall_map"] == pytest.approx(np.mean([r["map"] for r in metrics["heads"].values()]))
    assert metrics["subsets"]["red"]["map"] == expected.subset([0, 1]).map
    assert metrics["subsets"]["red"]["classes"] == ["rise red", "fall red"]
    protocol = {"clips": CLIPS, "crops": 3, "merge": "max", "videos": VIDEOS, "views": 6, "split": "test"}
    assert protocol.items() <= metrics["protocol"].items()
    assert metrics["protocol"]["name"] == "custom"
    assert row["weighted_map"] == expected.weighted_map
    low, high = metrics["overall_interval"]["low"], metrics["overall_interval"]["high"]
    assert 0 < low < high <= 1
    assert set(metrics["versions"]) >= {"kerasfast", "keras", "tensorflow"} and metrics["seconds"] > 0
    assert metrics["forecast_seconds"] > 0 and metrics["scoring_seconds"] <= metrics["seconds"]
    total = VIDEOS * CLIPS * CROPS
    assert calls[-1] == (total, total) and calls[0] == (4, total)


def test_given_scores_are_not_computed_again(model, records, scores):
    metrics = evaluate(model, records, clips=CLIPS, crops=CROPS, scores=scores, progress=lambda *done: 1 / 0)
    swapped = {head: 1 - values for head, values in scores.items()}
    other = evaluate(model, records, clips=CLIPS, crops=CROPS, scores=swapped)
    assert metrics["heads"]["action"]["map"] != other["heads"]["action"]["map"]


@pytest.fixture
def head_of(model):
    """Sets all weights of a head, and puts the old ones back at the end."""
    old = {}

    def fill(name, value):
        layer = model.get_layer(f"head_{name}")
        old[name] = layer.get_weights()
        layer.set_weights([np.full_like(weight, value) for weight in old[name]])

    yield fill
    for name, weights in old.items():
        model.get_layer(f"head_{name}").set_weights(weights)


def test_a_model_that_ignores_its_input_is_refused(model, records, head_of):
    head_of("action", 0.0)
    with pytest.raises(ValueError, match=r"Head 'action': scores must depend on the row. Received: 5 identical"):
        evaluate(model, records, clips=1, crops=1, batch_size=4)


def test_a_model_with_broken_weights_is_refused(model, records, head_of):
    head_of("verb", np.nan)
    with pytest.raises(ValueError, match=r"NaN from head 'verb' for view 0 of video 0"):
        score_videos(model, records, clips=1, crops=1, batch_size=4)


def test_heads_that_do_not_fit_the_records_are_refused(records):
    other = build("slow_nano", heads={"action": 40})
    with pytest.raises(ValueError, match=r"Head 'action' of the model has 40 classes; the records in .* 3 classes"):
        evaluate(other, records)


def test_only_the_chosen_heads_have_to_fit(records):
    keras.utils.set_random_seed(0)
    other = build("slow_nano", heads={"verb": 2, "action": 40})
    metrics = evaluate(other, records, clips=1, crops=1, batch_size=4, heads=["verb"])
    assert list(metrics["heads"]) == ["verb"]
    with pytest.raises(ValueError, match=r"heads must be among verb, action. Received: vreb"):
        evaluate(other, records, heads=["vreb"])


def test_scores_with_a_missing_or_doubled_row_are_refused(model, records, scores):
    for rows, problem in ((range(4), "1 missing"), ((0, 1, 2, 3, 4, 4), "1 doubled")):
        given = {head: values[list(rows)] for head, values in scores.items()}
        with pytest.raises(ValueError, match=rf"one row for each of the 5 videos.* Received: .*{problem}"):
            evaluate(model, records, scores=given)


def test_the_same_clip_for_all_views_is_refused(model, records, monkeypatch):
    """A pipeline that shows the first clip of a video in place of each of its clips."""

    def first_clip(*arguments, **options):
        views = whole(*arguments, **options)  # a batch holds the views of one video
        return views.map(lambda frames, video, view: (tf.tile(frames[:CROPS], [CLIPS, 1, 1, 1, 1]), video, view))

    whole = pipeline.testing_views
    monkeypatch.setattr(pipeline, "testing_views", first_clip)
    with pytest.raises(ValueError, match="same scores for all clips of 5 of the 5 videos"):
        evaluate(model, records, clips=CLIPS, crops=CROPS, batch_size=CLIPS * CROPS)


def test_the_time_is_forecast_before_the_first_view(model, records):
    events = []
    score_videos(
        model,
        records,
        clips=1,
        crops=3,
        batch_size=4,
        announce=lambda forecast: events.append((forecast.views, forecast.videos)),
        progress=lambda *done: events.append(done),
    )
    assert events == [(3, VIDEOS), (4, 15), (8, 15), (12, 15), (15, 15)]


def test_a_split_without_a_label_is_refused_before_it_is_scored(model, records, tmp_path):
    copy = Path(shutil.copytree(records, tmp_path / "records"))
    manifest = json.loads((copy / "manifest-test.json").read_text())
    manifest["class_counts"]["object"] = [0, 0]
    (copy / "manifest-test.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match="split 'test': none of its 5 videos has a label of head 'object'"):
        evaluate(model, copy, progress=lambda *done: 1 / 0)
    manifest["videos"] = []
    (copy / "manifest-test.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match="split 'test': holds no video, so that nothing can be scored"):
        evaluate(model, copy)


def test_thresholds_and_tables(model, records, scores, tmp_path):
    limits = np.quantile(scores["action"], 0.4, axis=0)
    metrics = evaluate(
        model, records, scores=scores, thresholds={"action": limits}, resamples=0, files=tmp_path, protocol="quick"
    )
    decided, labels = scores["action"] >= limits, pipeline.video_labels(records, "test")["action"] > 0
    assert metrics["heads"]["action"]["micro"]["recall"] == (decided & labels).sum() / labels.sum()
    assert "interval" not in metrics["heads"]["action"] and metrics["forecast_seconds"] is None
    assert (tmp_path / "classes-verb.csv").is_file()
    ids = [video["id"] for video in json.loads((Path(records) / "manifest-test.json").read_text())["videos"]]
    np.testing.assert_array_equal(read_classify(tmp_path / "classify-action.txt", ids, 3), scores["action"])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"thresholds": {"action": [0.5]}}, r"Head 'action': thresholds must be one number"),
        ({"thresholds": {"acton": 0.5}}, r"thresholds are for the heads"),
        ({"subsets": {"late": [99]}}, r"Subset 'late' must be indices of action classes"),
    ],
)
def test_what_is_wrong_shows_before_anything_is_scored(model, records, monkeypatch, wrong, message):
    monkeypatch.setattr("kerasfast.train.evaluate.score_videos", lambda *_, **__: pytest.fail("scored"))
    with pytest.raises(ValueError, match=message):
        evaluate(model, records, **wrong)


def test_a_flipped_bit_is_found_when_it_is_read(model, records, tmp_path):
    copy = Path(shutil.copytree(records, tmp_path / "records"))
    shard = sorted(copy.glob("test-*.tfrecord"))[0]
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DataError, match=rf"{shard.name}: its content differs from its manifest"):
        evaluate(model, copy, clips=CLIPS, crops=1, batch_size=4)


def test_weights_of_whole_videos_see_frames_of_all_of_it(model, records, tmp_path, monkeypatch):
    monkeypatch.setattr(model, "sampling", "video")
    with pytest.raises(DataError, match="holds test clips; strategy='uniform' takes frames of whole videos"):
        score_videos(model, records, clips=1, crops=1)
    whole = train_records.make(tmp_path, "test", 3, layout="train", rounds=1, stride=1)
    found = score_videos(model, whole, clips=2, crops=1, crop_size=64)
    views = pipeline.testing_views(whole, model.clip, 2, 1, crop_size=64, short_side=64, strategy="uniform")
    frames = np.concatenate([batch[0] for batch in views])
    expected = model.predict(frames, verbose=0)
    for head in expected:
        np.testing.assert_allclose(found[head], expected[head].reshape(3, 2, -1).max(axis=1), rtol=1e-4, atol=1e-6)
