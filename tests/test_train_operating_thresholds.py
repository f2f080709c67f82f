"""Thresholds against every threshold there is."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from kerasfast.train.operating.thresholds import fit_thresholds, macro_f1


def f1_of(labels, decisions):
    return 2 * np.sum(labels & decisions) / (np.sum(labels) + np.sum(decisions))


def long_tail(rows, seed, classes=40):
    """Labels of a 20 : 1 long tail, and probabilities that rare classes have low."""
    generator = np.random.default_rng(seed)
    prior = np.geomspace(0.15, 0.0075, classes)
    labels = (generator.random((rows, classes)) < prior).astype(int)
    evidence = 2 * (labels * 2 + generator.normal(size=labels.shape)) - 2
    return labels, 1 / (1 + np.exp(-(np.log(prior / (1 - prior)) + evidence)))


@pytest.mark.parametrize("decimals", [1, 2, 17])
def test_f1_is_the_highest_of_all_thresholds(decimals):
    generator = np.random.default_rng(decimals)
    for _ in range(20):
        rows = int(generator.integers(1, 12))
        labels = generator.integers(0, 2, (rows, 3))
        labels[0] = 1
        scores = generator.random((rows, 3)).round(decimals)  # few decimals, many ties
        found = fit_thresholds(labels, scores, min_positives=1)
        for c in range(3):
            best = max(f1_of(labels[:, c], scores[:, c] >= t) for t in scores[:, c])
            assert f1_of(labels[:, c], scores[:, c] >= found.values[c]) == best
        best = max(f1_of(labels, scores >= t) for t in scores.ravel())
        assert f1_of(labels, scores >= found.pooled) == best


def test_a_threshold_is_the_middle_between_two_scores():
    labels, scores = np.array([[1], [1], [0], [0]]), np.array([[0.9], [0.6], [0.2], [0.1]])
    assert fit_thresholds(labels, scores, min_positives=1).values == pytest.approx([0.4])
    assert fit_thresholds(labels[:2], scores[:2], min_positives=1).values == pytest.approx([0.3])  # down to 0


def test_neighbouring_floats_are_told_apart():
    lower = 0.3
    upper = np.nextafter(lower, 1)
    found = fit_thresholds(np.array([[0], [1]]), np.array([[lower], [upper]]), min_positives=1).values[0]
    assert lower < found <= upper


def test_few_positives_get_the_break_even_threshold():
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])[:, None]
    labels = np.array([0, 0, 0, 0, 1, 1])[:, None]  # F1 is highest where all pass
    assert (scores >= fit_thresholds(labels, scores, min_positives=2).values).sum() == 6
    found = fit_thresholds(labels, scores, min_positives=3)
    assert (scores >= found.values).sum() == 2
    assert found.break_even == (0,)


def test_a_class_without_positives_has_the_pooled_threshold():
    labels, scores = long_tail(300, 0)
    labels[:, [3, 7]] = 0
    found = fit_thresholds(labels, scores)
    assert set(found.without_positives) == set(np.flatnonzero(labels.sum(axis=0) == 0)) >= {3, 7}
    positives = labels.sum(axis=0)
    assert found.break_even == tuple(np.flatnonzero((positives > 0) & (positives < 10)))
    assert (found.values[[3, 7]] == found.pooled).all()


def test_break_even_thresholds_serve_rare_classes_better():
    """The reason for `min_positives`, on rows that nothing was fitted to."""
    rare, gains = np.arange(27, 40), []
    for seed in range(10):
        fresh = long_tail(2000, 100 + seed)
        fitted, guarded = (fit_thresholds(*long_tail(200, seed), min_positives=n).values for n in (1, 10))
        macro = [macro_f1(fresh[0][:, rare], fresh[1][:, rare] >= values[rare]) for values in (fitted, guarded)]
        gains.append(macro[1] - macro[0])
    assert np.mean(gains) > 0.01


def test_fitted_thresholds_mend_the_recall_that_one_half_lacks():
    fitted = fit_thresholds(*long_tail(400, 0)).values
    labels, scores = long_tail(400, 1)
    assert macro_f1(labels, scores >= fitted) > macro_f1(labels, scores >= 0.5) + 0.03


def test_macro_f1_is_over_classes_with_positives():
    labels = np.array([[1, 0, 1], [0, 0, 1]])
    decisions = np.array([[1, 1, 0], [0, 1, 0]], bool)
    assert macro_f1(labels, decisions) == 0.5
    assert macro_f1(labels[:, :1], decisions[:, :1]) == 1
    labels, scores = long_tail(300, 0)
    labels[0] = 1
    assert macro_f1(labels, scores > 0.2) == pytest.approx(
        f1_score(labels, scores > 0.2, average="macro", zero_division=0)
    )


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        (np.ones((2, 3)), np.ones((2, 4)), r"Received: labels \(2, 3\), scores \(2, 4\)"),
        (np.ones(2), np.ones(2), r"must both be \(rows, classes\)"),
        (np.ones((0, 3)), np.ones((0, 3)), "at least one row to fit to"),
        (np.zeros((2, 3)), np.ones((2, 3)), r"labels of shape \(2, 3\) that are all 0"),
        (np.full((1, 1), 7), np.ones((1, 1)), "labels must be 0 or 1. Received: 7"),
        (np.ones((1, 2)), np.array([[0.5, np.nan]]), "Received: nan at row 0, class 1"),
        (np.ones((1, 1)), np.array([[3.2]]), "Received: 3.2 at row 0, class 0 .*not logits"),
    ],
)
def test_bad_input_is_one_sentence(labels, scores, message):
    with pytest.raises(ValueError, match=message):
        fit_thresholds(labels, scores)


def test_min_positives_is_a_number_of_positives():
    with pytest.raises(ValueError, match=r"min_positives must be at least 1\. Received: min_positives=0"):
        fit_thresholds(np.ones((1, 1)), np.ones((1, 1)), min_positives=0)
