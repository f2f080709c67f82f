"""Which class is taken for which."""

import numpy as np
import pytest
from report_case import IMPLIED, scored_videos, single_label_videos
from sklearn.metrics import confusion_matrix

from kerasfast.explain.report.confusion import confusion, most_mixed, pair_grid, relations


def test_with_one_class_a_video_it_is_the_usual_matrix():
    scored = single_label_videos()
    labels, scores = scored.labels["action"], scored.scores["action"]
    expected = confusion_matrix(labels.argmax(axis=1), scores.argmax(axis=1))
    np.testing.assert_array_equal(confusion(labels, scores), expected)
    assert 0 < np.trace(expected) < expected.sum()


def test_missed_labels_are_shared_among_what_was_said_wrongly():
    """Video 0 has classes 0 and 1, its highest are 2 and 3; video 1 has class 0 and says it."""
    labels = np.array([[1, 1, 0, 0], [1, 0, 0, 0]])
    scores = np.array([[0.1, 0.2, 0.9, 0.8], [0.9, 0.1, 0.2, 0.3]])
    expected = [[1, 0, 0.5, 0.5], [0, 0, 0.5, 0.5], [0, 0, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(confusion(labels, scores), expected)


def test_rows_sum_to_the_labels_and_columns_to_what_was_said():
    scored = scored_videos()
    labels, scores = scored.labels["action"], scored.scores["action"]
    matrix = confusion(labels, scores)
    np.testing.assert_allclose(matrix.sum(axis=1), labels.sum(axis=0))
    said = np.zeros(labels.shape[1])
    for row, values in zip(labels, scores, strict=True):
        said[np.argsort(-values)[: row.sum()]] += 1
    np.testing.assert_allclose(matrix.sum(axis=0), said)


def test_most_mixed_pairs():
    matrix = np.array([[5.0, 3, 0.5], [1, 7, 0], [0, 2, 8]])
    found = [(one.true, one.said, one.count, round(one.share, 3)) for one in most_mixed(matrix)]
    assert found == [(0, 1, 3.0, round(3 / 8.5, 3)), (2, 1, 2.0, 0.2), (1, 0, 1.0, 0.125)]


def test_relations_sum_to_all_labels_and_chance_to_the_missed_ones():
    scored = scored_videos()
    matrix = confusion(scored.labels["action"], scored.scores["action"])
    found = relations(matrix, *map(np.array, IMPLIED.values()))
    assert found[0].name == "found" and found[0].share == pytest.approx(np.trace(matrix) / matrix.sum())
    assert sum(one.share for one in found) == pytest.approx(1)
    assert sum(one.by_chance for one in found[1:]) == pytest.approx(1 - found[0].share)


def test_relations_by_hand():
    """Actions 0 and 1 share a verb, 0 and 2 an object."""
    matrix = np.array([[4.0, 3, 1], [0, 2, 0], [0, 0, 2]])
    found = {one.name: one.share for one in relations(matrix, np.array([0, 0, 1]), np.array([0, 1, 0]))}
    assert found["right verb, wrong object"] == 0.25 and found["found"] == pytest.approx(8 / 12)
    assert found["right object, wrong verb"] == pytest.approx(1 / 12) and found["both wrong"] == 0
    assert "another action of the same verb and object" not in found


def test_the_grid_of_pairs():
    matrix = np.array([[3.0, 1, 0], [0, 0, 2], [0, 0, 4]])
    grid = pair_grid(matrix, np.array([0, 1, 0]), np.array([0, 0, 0]), 2, 2)
    np.testing.assert_allclose(grid, [[7 / 8, np.nan], [0, np.nan]])
