"""Scores from outside: one row a video, in the right order."""

import numpy as np
import pytest

from kerasfast.train.scoring.rows import align_rows, check_rows

IDS = ["a", "b", "c"]
ROWS = np.arange(6.0).reshape(3, 2)


def test_rows_are_put_into_the_order_of_the_videos():
    np.testing.assert_array_equal(align_rows(["c", "a", "b"], ROWS, IDS), ROWS[[1, 2, 0]])


@pytest.mark.parametrize(
    "ids, message",
    [
        (["a", "b"], r"Video 'c' has no row"),
        (["a"], r"Each of 2 of 3 videos \('b', 'c'\) has no row"),
        (["a", "b", "a"], r"Row 2: video 'a' has a row already, row 0"),
        (["a", "b", "d"], r"Row 2: 'd' is none of the 3 videos"),
    ],
)
def test_missing_doubled_and_unknown_rows_are_named(ids, message):
    with pytest.raises(ValueError, match=message):
        align_rows(ids, ROWS[: len(ids)], IDS)


def test_every_row_needs_an_id():
    with pytest.raises(ValueError, match="2 ids for 3 rows"):
        align_rows(IDS[:2], ROWS, IDS)


def test_scores_of_the_right_shape_pass():
    found = check_rows({"verb": ROWS, "other": ROWS}, {"verb": 2}, 3)
    assert list(found) == ["verb"] and found["verb"] is ROWS
    check_rows({"verb": np.zeros((3, 25, 2))}, {"verb": 2}, 3, 25)


@pytest.mark.parametrize(
    "scores, message",
    [
        ({"action": ROWS}, "must hold head 'verb'. Received: action"),
        ({}, "Received: no head"),
        ({"verb": ROWS[:2]}, r"one row for each of the 3 videos.* Received: shape \(2, 2\): 1 missing"),
        ({"verb": ROWS[[0, 1, 2, 2]]}, r"Received: shape \(4, 2\): 1 doubled or of no video here"),
        ({"verb": ROWS[:, :1]}, r"Received: shape \(3, 1\)\. Rows"),
    ],
)
def test_scores_of_another_shape_are_refused(scores, message):
    with pytest.raises(ValueError, match=message):
        check_rows(scores, {"verb": 2}, 3)
