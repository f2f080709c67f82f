"""Precision, recall and F1 at thresholds, against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from kerasfast.train.scoring.decisions import agreement, decide


def problem(rows=200, classes=9):
    generator = np.random.default_rng(0)
    labels = (generator.random((rows, classes)) < 0.2).astype(int)
    return labels, generator.random((rows, classes)) * 0.6 + 0.4 * labels


def test_they_are_those_of_scikit_learn():
    labels, scores = problem()
    thresholds = np.linspace(0.3, 0.9, 9)
    decided = decide(scores, thresholds)
    found = agreement(labels, decided)
    expected = precision_recall_fscore_support(labels, decided, average=None)
    np.testing.assert_allclose([found.precision, found.recall, found.f1], expected[:3])
    for averages, name in ((found.macro, "macro"), (found.micro, "micro")):
        expected = precision_recall_fscore_support(labels, decided, average=name)
        np.testing.assert_allclose([averages.precision, averages.recall, averages.f1], expected[:3])


def test_a_class_without_positives_is_in_no_average():
    labels, scores = problem()
    labels[:, 4] = 0
    found = agreement(labels, decide(scores))
    kept = [c for c in range(9) if c != 4]
    alone = agreement(labels[:, kept], decide(scores[:, kept]))
    assert found.skipped == (4,) and np.isnan([found.precision[4], found.recall[4], found.f1[4]]).all()
    assert (found.macro, found.micro) == (alone.macro, alone.micro)


def test_a_class_that_is_never_named_counts_as_0_and_is_listed():
    labels, scores = problem()
    thresholds = np.full(9, 0.5)
    thresholds[2] = np.inf
    found = agreement(labels, decide(scores, thresholds))
    assert found.silent == (2,) and found.skipped == ()
    assert (found.precision[2], found.recall[2], found.f1[2]) == (0, 0, 0)
    assert found.macro.f1 == pytest.approx(found.f1.mean())


def test_one_class_is_scored_by_its_positives_alone():
    """scikit-learn would take the single column for a binary problem and average over its zeros."""
    labels, decided = np.array([[1], [0], [0], [1]]), np.array([[True], [True], [False], [False]])
    found = agreement(labels, decided)
    assert (found.macro.precision, found.macro.recall, found.macro.f1) == (0.5, 0.5, 0.5)


def test_a_score_that_reaches_its_threshold_is_a_yes():
    assert decide(np.array([[0.5, 0.4999]])).tolist() == [[True, False]]


def test_unusable_arguments_are_refused():
    labels, scores = problem()
    with pytest.raises(ValueError, match=r"one number, or 9 for the 9 classes, and not NaN. Received: shape \(8,\)"):
        decide(scores, np.zeros(8))
    with pytest.raises(ValueError, match="Received: nan"):
        decide(scores, float("nan"))
    with pytest.raises(ValueError, match=r"\(200, 9\) and \(199, 9\)"):
        agreement(labels, decide(scores[1:]))
    with pytest.raises(ValueError, match="at least one positive row"):
        agreement(labels * 0, decide(scores))
