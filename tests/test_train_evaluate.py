"""Many-view evaluation against the same sums written out."""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import train_records

from kerasfast.data.errors import DataError
from kerasfast.data.pipeline import testing as pipeline  # pytest would take an imported testing_views for a test
from kerasfast.models.classifier import build
from kerasfast.train.evaluate import evaluate, score_videos
from kerasfast.train.metrics import mean_average_precision

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
    expected = mean_average_precision(pipeline.video_labels(records, "test")["action"], scores["action"])
    row = metrics["heads"]["action"]
    assert (row["map"], row["chance"], row["prevalence"]) == (expected.map, expected.chance, expected.prevalence)
    assert row["ap"] == dict(zip(train_records.LABELS.heads["action"], expected.ap, strict=True))
    assert metrics["overall_map"] == pytest.approx(np.mean([r["map"] for r in metrics["heads"].values()]))
    assert metrics["subsets"]["red"]["map"] == expected.subset([0, 1]).map
    assert metrics["subsets"]["red"]["classes"] == ["rise red", "fall red"]
    protocol = {"clips": CLIPS, "crops": 3, "merge": "max", "videos": VIDEOS, "views": 6, "split": "test"}
    assert protocol.items() <= metrics["protocol"].items()
    assert set(metrics["versions"]) >= {"kerasfast", "keras", "tensorflow"} and metrics["seconds"] > 0
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
