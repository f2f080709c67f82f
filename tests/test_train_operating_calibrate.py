"""Operating points of a model on records."""

import dataclasses

import keras
import numpy as np
import pytest
import train_records

from kerasfast.data.pipeline.testing import video_labels
from kerasfast.models.classifier import build
from kerasfast.train.evaluate import score_videos
from kerasfast.train.operating import calibrate
from kerasfast.train.operating.calibrate import fit_head, fit_operating_points
from kerasfast.train.operating.points import weights_sha256
from kerasfast.train.operating.thresholds import fit_thresholds

VIEWS = {"clips": 2, "crops": 1}


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return train_records.make(tmp_path_factory.mktemp("calibrate"), "val", 4, clips=2)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return build("slow_nano", heads=train_records.HEADS)


@pytest.fixture(scope="module")
def scores(model, records):
    return score_videos(model, records, split="val", **VIEWS)


def drawn(rows=500, classes=6, sharpness=2.0):
    """Labels drawn by probabilities, and scores that are `sharpness` times too sure."""
    generator = np.random.default_rng(0)
    logits = generator.normal(-1.5, 1.5, (rows, classes))
    labels = (generator.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    return labels, 1 / (1 + np.exp(-sharpness * logits))


def test_points_are_fitted_to_the_scores_of_the_split(model, records, scores):
    calls = []
    points = fit_operating_points(model, records, **VIEWS, min_positives=1, progress=lambda *done: calls.append(done))
    assert calls[-1] == (8, 8)
    assert points == fit_operating_points(model, records, **VIEWS, min_positives=1, scores=scores)
    labels = video_labels(records, "val")
    for name, head in points.heads.items():
        assert head.thresholds == tuple(fit_thresholds(labels[name], scores[name], min_positives=1).values)
        assert head.labels == train_records.LABELS.heads[name]
        assert (head.validation["videos"], head.validation["without_label"]) == (4, 0)
    assert points.protocol == {"split": "val", "videos": 4, "clips": 2, "crops": 1, "merge": "max", "crop_size": 64}
    assert points.weights_sha256 == weights_sha256(model)
    assert "scikit-learn" in points.versions
    assert [len(answers) for answers in points.decide(scores).values()] == [4, 4, 4]


def test_only_the_chosen_heads_are_fitted(model, records, scores):
    points = fit_operating_points(model, records, **VIEWS, heads=["verb"], scores=scores, calibration=None)
    assert list(points.heads) == ["verb"] and points.heads["verb"].calibration is None


@pytest.mark.parametrize("calibration", ["temperature", "isotonic"])
def test_what_is_held_out_was_not_fitted_to(calibration):
    labels, scores = drawn()
    head = fit_head(labels, scores, calibration=calibration)
    before, after = head.reliability
    assert after.error < before.error / 2
    seen = head.probabilities(scores)
    assert sum(after.count) == labels.size
    # The map has seen these videos: an isotonic one is all but without error on them.
    in_sample = calibrate.reliability(labels, seen).error
    assert in_sample < after.error if calibration == "isotonic" else in_sample == pytest.approx(after.error, abs=0.01)
    found = head.validation
    assert found["macro_f1"] > found["macro_f1_at_half"]
    assert found["macro_f1"] >= found["macro_f1_held_out"]


def test_scores_that_say_nothing_have_no_better_threshold_on_other_videos():
    """Fitted thresholds look good on their own videos by luck; held-out folds show that."""
    generator = np.random.default_rng(0)
    labels, scores = generator.integers(0, 2, (60, 30)), generator.random((60, 30))
    found = fit_head(labels, scores, calibration=None, min_positives=1).validation
    assert found["macro_f1"] > 0.67 > found["macro_f1_held_out"]


def test_no_action_is_counted():
    labels, scores = drawn()
    labels[:100] = 0
    found = fit_head(labels, scores, no_action_below=0.999).validation
    assert found["without_label"] == 100 + (~labels[100:].any(axis=1)).sum()
    assert found["no_action"] > 400


def test_a_softmax_head_answers_with_its_highest_class():
    generator = np.random.default_rng(0)
    scores = generator.dirichlet(np.ones(4), 200)
    labels = np.eye(4)[[generator.choice(4, p=row) for row in scores]]
    head = fit_head(labels, scores, "softmax")
    assert head.thresholds == (0.0,) * 4
    np.testing.assert_array_equal(head.decide(scores).argmax(1), scores.argmax(1))
    assert head.calibration.temperature == pytest.approx(1, abs=0.2)


def test_an_empty_validation_set(model, records, monkeypatch):
    manifest = calibrate.read_manifest(records, "val")
    monkeypatch.setattr(calibrate, "read_manifest", lambda *_: dataclasses.replace(manifest, videos=()))
    with pytest.raises(ValueError, match=r"Split 'val' of .* has no videos to fit to"):
        fit_operating_points(model, records)


def test_bad_input_names_head_and_split(model, records, scores, monkeypatch):
    with pytest.raises(ValueError, match=r"Head 'action' of the model has 4 classes; the records in .* 3 classes"):
        fit_operating_points(build("slow_nano", heads={"action": 4}), records)
    with pytest.raises(ValueError, match=r"records-valid|valid\.json|'valid'"):
        fit_operating_points(model, records, split="valid")
    for wrong, message in (
        (np.zeros((4, 7)), r"Head 'verb' on split 'val' of .*: .* scores \(4, 7\)"),
        (np.full((4, 2), np.nan), "Head 'verb' .* scores must be probabilities. Received: nan"),
    ):
        with pytest.raises(ValueError, match=message):
            fit_operating_points(model, records, scores={**scores, "verb": wrong})
    with pytest.raises(ValueError, match=r"scores must be of every head\. Received: none of 'object'"):
        fit_operating_points(model, records, scores={"verb": scores["verb"]})


def test_videos_without_labels_are_nothing_to_fit_to():
    scores = np.random.default_rng(0).random((5, 2))
    labels = np.zeros((5, 2))
    with pytest.raises(ValueError, match="At least one row must have a label"):
        fit_head(labels, scores)
    labels[2] = 1
    with pytest.raises(ValueError, match=r"At least two videos must have a label\. Received: 1 of 5"):
        fit_head(labels, scores)
    labels[4, 0] = 1
    assert fit_head(labels, scores).validation["without_label"] == 3
