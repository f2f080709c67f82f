"""Many-view evaluation against the same sums written out."""

import json

import numpy as np
import pytest
import train_records

from kerasfast.data import pipeline  # pytest would take an imported testing_views for a test
from kerasfast.models.classifier import build
from kerasfast.train.evaluate import evaluate, score_videos
from kerasfast.train.metrics import mean_average_precision

VIDEOS, CLIPS, CROPS = 7, 3, 3


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return train_records.make(tmp_path_factory.mktemp("evaluate"), "test", VIDEOS, clips=CLIPS)


@pytest.fixture(scope="module")
def model():
    import keras

    keras.utils.set_random_seed(0)
    return build("slow_nano", heads=train_records.HEADS)


@pytest.fixture(scope="module")
def scores(model, records):
    return score_videos(model, records, clips=CLIPS, crops=CROPS, batch_size=4)


@pytest.mark.parametrize("merge", ["max", "mean"])
def test_scores_are_the_merged_views_of_each_video(model, records, merge):
    single = {}
    views = pipeline.testing_views(
        records, model.clip, CLIPS, CROPS, crop_size=64, short_side=64, split="test", batch_size=1
    )
    for frames, video, view in views:
        single[int(video[0]), int(view[0])] = model.predict(frames, verbose=0)["action"][0]
    assert len(single) == VIDEOS * CLIPS * CROPS
    merged = getattr(np, merge)(
        [[single[video, view] for view in range(CLIPS * CROPS)] for video in range(VIDEOS)], axis=1
    )
    found = score_videos(model, records, clips=CLIPS, crops=CROPS, merge=merge, batch_size=5)
    np.testing.assert_allclose(found["action"], merged, rtol=1e-4)
    assert found["verb"].shape == (VIDEOS, 2)


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
    protocol = {"clips": 3, "crops": 3, "merge": "max", "videos": VIDEOS, "views": 9, "split": "test"}
    assert protocol.items() <= metrics["protocol"].items()
    assert set(metrics["versions"]) >= {"kerasfast", "keras", "tensorflow"} and metrics["seconds"] > 0
    total = VIDEOS * CLIPS * CROPS
    assert calls[-1] == (total, total) and calls[0] == (4, total)


def test_given_scores_are_not_computed_again(model, records, scores):
    metrics = evaluate(model, records, clips=CLIPS, crops=CROPS, scores=scores, progress=lambda *done: 1 / 0)
    swapped = {head: 1 - values for head, values in scores.items()}
    other = evaluate(model, records, clips=CLIPS, crops=CROPS, scores=swapped)
    assert metrics["heads"]["action"]["map"] != other["heads"]["action"]["map"]


def test_a_model_that_ignores_its_input_is_refused(records):
    constant = build("slow_nano", heads=train_records.HEADS)
    head = constant.get_layer("head_action")
    head.set_weights([np.zeros_like(w) for w in head.get_weights()])
    with pytest.raises(ValueError, match=r"Head 'action': scores must depend on the row. Received: 7 identical"):
        evaluate(constant, records, clips=1, crops=1)


def test_a_model_with_broken_weights_is_refused(records):
    broken = build("slow_nano", heads=train_records.HEADS)
    head = broken.get_layer("head_verb")
    head.set_weights([np.full_like(w, np.nan) for w in head.get_weights()])
    with pytest.raises(ValueError, match=r"NaN from head 'verb' for view 0 of video 0"):
        score_videos(broken, records, clips=1, crops=1)


def test_heads_that_do_not_fit_the_records_are_refused(records):
    other = build("slow_nano", heads={"action": 40})
    with pytest.raises(ValueError, match=r"Head 'action' of the model has 40 classes; the records in .* 3 classes"):
        evaluate(other, records)
