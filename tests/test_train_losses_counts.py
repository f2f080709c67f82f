"""Class frequencies, and their count from records."""

import numpy as np
import pytest
from train_records import make

from kerasfast.data.errors import DataError
from kerasfast.train.losses import ClassCounts, class_counts


def test_the_videos_of_a_split_are_counted(tmp_path):
    """Four videos: rise red, fall red, rise green, rise red."""
    records = make(tmp_path, "train", 4, rounds=1)
    counts = class_counts(records)
    assert counts["action"] == ClassCounts((2, 1, 1), 4)
    assert counts["verb"] == ClassCounts((3, 1), 4)
    assert counts["object"] == ClassCounts((3, 1), 4)
    with pytest.raises(DataError, match=r"manifest-val.json"):
        class_counts(records, "val")


@pytest.mark.parametrize(
    ("positives", "rows", "message"),
    [
        ((1, 0), 0, "at least one row and one class. Received: rows=0"),
        ((), 3, r"at least one row and one class. Received: rows=3, positives=\(\)"),
        ((1, 4), 3, "between 0 and rows=3 positives. Received: positives from 1 to 4"),
        ((-1, 2), 3, "Received: positives from -1 to 2"),
    ],
)
def test_frequencies_that_cannot_be_are_refused(positives, rows, message):
    with pytest.raises(ValueError, match=message):
        ClassCounts(positives, rows)


def test_odds_of_classes_that_are_everywhere_or_nowhere_are_finite():
    np.testing.assert_allclose(ClassCounts((0, 1, 2, 4), 4).odds(), [1 / 3, 1 / 3, 1, 3])
    np.testing.assert_allclose(ClassCounts((0, 1), 1).odds(), [1, 1])
