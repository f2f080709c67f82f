"""Accuracy of single-label heads."""

import numpy as np
import pytest
from sklearn.metrics import top_k_accuracy_score

from kerasfast.train.scoring.single_label import single_label


def test_accuracies_of_many_classes():
    generator = np.random.default_rng(0)
    true = generator.integers(0, 7, 90)  # class 7 has no row
    labels = np.eye(8)[true]
    scores = generator.random((90, 8)) + 0.4 * labels
    found = single_label(labels, scores)
    for k, value in ((1, found.top1), (5, found.topk)):
        assert value == pytest.approx(top_k_accuracy_score(true, scores, k=k, labels=range(8)))
    assert found.k == 5 and found.confusion.sum() == 90
    assert np.trace(found.confusion) / 90 == found.top1 == found.correct.mean()
    for c in range(7):
        assert found.class_accuracy[c] == (scores[true == c].argmax(axis=1) == c).mean()
    assert np.isnan(found.class_accuracy[7])
    assert found.confusion[2, 5] == ((true == 2) & (scores.argmax(axis=1) == 5)).sum()


def test_top_k_ends_with_the_classes():
    found = single_label(np.eye(3), np.array([[1, 2, 3.0], [1, 2, 3], [1, 2, 3]]))
    assert (found.top1, found.topk, found.k) == (1 / 3, 1, 3)


def test_equal_scores_are_no_hit_for_every_class():
    found = single_label(np.eye(4), np.full((4, 4), 0.25))
    assert found.top1 == 0.25 and found.confusion[:, 0].sum() == 4


@pytest.mark.parametrize("row, held", [((0, 0, 0), 0), ((1, 1, 0), 2)])
def test_a_row_has_one_class(row, held):
    labels = np.eye(3)
    labels[1] = row
    with pytest.raises(ValueError, match=rf"exactly one class in every row. Received: {held} in row 1"):
        single_label(labels, np.random.default_rng(0).random((3, 3)))
    with pytest.raises(ValueError, match="must both be"):
        single_label(np.eye(3), np.zeros((2, 3)))
