"""Precision over recall."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from kerasfast.train.scoring.curves import precision_recall


def test_a_curve_by_hand():
    found = precision_recall(np.array([1, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.1]))
    points = {(round(float(r), 3), round(float(p), 3)) for r, p in zip(found.recall, found.precision, strict=True)}
    assert {(0.5, 1.0), (0.5, 0.5), (1.0, 0.667)} <= points
    assert found.average == pytest.approx((1 + 2 / 3) / 2) and found.prevalence == 0.5


def test_a_thinned_curve_lies_on_the_whole_one():
    random = np.random.default_rng(0)
    labels = random.random((200, 30)) < 0.1
    scores = random.random((200, 30)) + 0.5 * labels
    thin, whole = precision_recall(labels, scores, points=50), precision_recall(labels, scores, points=10**6)
    assert len(thin.recall) <= 50 < len(whole.recall)
    assert set(zip(thin.recall, thin.precision, strict=True)) <= set(zip(whole.recall, whole.precision, strict=True))
    assert (np.diff(thin.recall) >= 0).all() and thin.recall[-1] == 1 and thin.recall[0] == 0
    assert np.diff(thin.recall).max() < 0.05
    assert thin.average == whole.average == average_precision_score(labels.ravel(), scores.ravel())


@pytest.mark.parametrize("labels", [np.zeros(3), np.ones(4)])
def test_what_has_no_curve_is_refused(labels):
    with pytest.raises(ValueError, match="of one shape, and a positive"):
        precision_recall(labels, np.array([0.1, 0.2, 0.3]))
