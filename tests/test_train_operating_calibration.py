"""Calibration of scores that are wrong by a known amount."""

import json

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from kerasfast.train.metrics import mean_average_precision
from kerasfast.train.operating.calibration import calibration_from_dict, fit_calibration, reliability


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def too_sure(rows=4000, temperature=2.5, classes=4):
    """Labels drawn by probabilities, and those of logits `temperature` times as large."""
    generator = np.random.default_rng(0)
    logits = generator.normal(-1, 1.5, (rows, classes))
    return (generator.random(logits.shape) < sigmoid(logits)).astype(int), sigmoid(temperature * logits)


def too_sure_softmax(rows=6000, temperature=0.5, classes=5):
    generator = np.random.default_rng(1)
    logits = generator.normal(0, 2, (rows, classes))
    chosen = [generator.choice(classes, p=p) for p in softmax(logits)]
    return np.eye(classes, dtype=int)[chosen], softmax(temperature * logits)


def test_a_known_temperature_is_found():
    labels, scores = too_sure()
    found = fit_calibration(labels, scores)
    assert found.temperature == pytest.approx(2.5, rel=0.05)
    logits = np.log(scores / (1 - scores))
    # One coefficient and no constant: 1 / temperature, of the same likelihood.
    model = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-8).fit(logits.reshape(-1, 1), labels.ravel())
    assert found.temperature == pytest.approx(1 / model.coef_[0, 0], rel=1e-4)
    np.testing.assert_allclose(found(scores), sigmoid(logits / found.temperature), rtol=1e-9)


def test_a_known_temperature_of_a_softmax_head_is_found():
    labels, scores = too_sure_softmax()
    found = fit_calibration(labels, scores, activation="softmax")
    assert found.temperature == pytest.approx(0.5, rel=0.05)
    best = log_loss(labels, found(scores))
    for other in (0.97, 1.03):
        assert log_loss(labels, softmax(np.log(scores) / (found.temperature * other))) > best
    np.testing.assert_array_equal(found(scores).argmax(1), scores.argmax(1))
    # A row without a label says nothing of a choice.
    more = fit_calibration(np.r_[labels, np.zeros((9, 5), int)], np.r_[scores, scores[:9]], activation="softmax")
    assert more.temperature == pytest.approx(found.temperature)


def test_a_temperature_leaves_average_precision_alone():
    labels, scores = too_sure(300)
    found = fit_calibration(labels, scores)
    np.testing.assert_array_equal(np.argsort(found(scores), axis=0), np.argsort(scores, axis=0))
    assert mean_average_precision(labels, found(scores)).map == mean_average_precision(labels, scores).map


def test_scores_that_rounded_to_0_and_1_are_taken():
    labels, scores = np.array([[1], [0], [0], [1]]), np.array([[1.0], [0.0], [1.0], [0.0]])
    found = fit_calibration(labels, scores)
    assert found.temperature == pytest.approx(100)  # no use at all
    np.testing.assert_array_equal(found(scores), scores)
    assert fit_calibration(labels[:2], scores[:2]).temperature == pytest.approx(0.01)  # without fault


def test_isotonic_maps_are_those_of_scikit_learn():
    labels, scores = too_sure(400)
    labels[:, 3] = 0
    labels[:5, 3] = 1
    found = fit_calibration(labels, scores, "isotonic", min_positives=6)
    fresh = np.random.default_rng(5).random((50, 4))
    for c in range(3):
        own = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores[:, c], labels[:, c])
        np.testing.assert_allclose(found(fresh)[:, c], own.predict(fresh[:, c]), atol=1e-12)
    pooled = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores.ravel(), labels.ravel())
    np.testing.assert_allclose(found(fresh)[:, 3], pooled.predict(fresh[:, 3]), atol=1e-12)
    assert [own is None for own in found.classes] == [False, False, False, True]


def test_isotonic_rows_of_a_softmax_head_sum_to_one():
    labels, scores = too_sure_softmax(500)
    found = fit_calibration(labels, scores, "isotonic", activation="softmax")
    np.testing.assert_allclose(found(scores).sum(axis=1), 1)
    np.testing.assert_allclose(found(np.zeros((1, 5))).sum(axis=1), 1)


@pytest.mark.parametrize("method", ["temperature", "isotonic"])
def test_calibrated_probabilities_come_true_on_other_rows(method):
    labels, scores = too_sure(8000)
    found = fit_calibration(labels[:4000], scores[:4000], method)
    before = reliability(labels[4000:], scores[4000:]).error
    after = reliability(labels[4000:], found(scores[4000:])).error
    assert before > 0.08
    assert after < before / 4


@pytest.mark.parametrize("method", ["temperature", "isotonic"])
@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_json_keeps_every_digit(method, activation):
    labels, scores = too_sure(60) if activation == "sigmoid" else too_sure_softmax(60)
    found = fit_calibration(labels, scores, method, activation=activation, min_positives=20)
    again = calibration_from_dict(json.loads(json.dumps(found.to_dict())))
    assert again == found
    np.testing.assert_array_equal(again(scores), found(scores))
    np.testing.assert_array_equal(again(scores[0]), found(scores)[0])


def test_reliability_counts():
    labels = np.array([[1, 0], [0, 0], [1, 1]])
    scores = np.array([[0.95, 0.05], [0.55, 0.0], [1.0, 0.52]])
    found = reliability(labels, scores)
    assert found.count == (2, 0, 0, 0, 0, 2, 0, 0, 0, 2)
    assert found.correct == (0, 0, 0, 0, 0, 1, 0, 0, 0, 2)
    assert found.confidence[5] == pytest.approx(1.07)
    assert found.error == pytest.approx((0.05 + 0.07 + 0.05) / 6)


def test_reliability_of_a_softmax_head_is_that_of_its_best_class():
    labels = np.array([[1, 0], [1, 0], [0, 0]])
    scores = np.array([[0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    found = reliability(labels, scores, "softmax")
    assert sum(found.count) == 2  # a row without a label has no right answer
    assert found.error == pytest.approx((0.2 + 0.7) / 2)


def test_bad_input_is_one_sentence():
    with pytest.raises(ValueError, match=r"method must be one of .*'isotonic'.*Received: method='platt'"):
        fit_calibration(np.ones((1, 1)), np.ones((1, 1)), "platt")
    with pytest.raises(ValueError, match="scores must be probabilities"):
        fit_calibration(np.ones((1, 1)), np.full((1, 1), np.nan))
    with pytest.raises(ValueError, match="needs its pooled map"):
        calibration_from_dict({"method": "isotonic", "activation": "sigmoid", "pooled": None, "classes": []})
