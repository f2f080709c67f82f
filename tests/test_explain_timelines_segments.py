"""From scores of windows to segments: thresholds, joining and the answers of operating points."""

import numpy as np
import pytest

from kerasfast.decoding import class_names
from kerasfast.explain.timelines.segments import decisions, find_segments
from kerasfast.models.heads import Head
from kerasfast.train.operating.calibration import Temperature
from kerasfast.train.operating.points import HeadPoint, OperatingPoints

HEADS = {"verb": Head(3, labels=("hold", "put", "turn")), "action": Head(2, "softmax")}
LABELS = {name: class_names(head) for name, head in HEADS.items()}


def segments(verb, starts, ends, rules=None, **options):
    rules = rules or decisions(HEADS)
    found = find_segments(starts, ends, {"verb": np.asarray(verb, np.float32)}, rules, LABELS, **options)
    return [(one.index, one.start_seconds, one.end_seconds, round(one.score, 3)) for one in found]


def points(**heads):
    return OperatingPoints(heads, "", {"clips": 10, "crops": 3}, {})


def test_windows_side_by_side_are_joined():
    scores = [[0.6, 0.1, 0], [0.9, 0.5, 0], [0.5, 0.49, 0], [0.2, 0.8, 0], [0.7, 0.1, 0]]
    starts, ends = np.arange(5) * 2.0, np.arange(5) * 2.0 + 2
    assert segments(scores, starts, ends) == [(0, 0, 6, 0.9), (1, 2, 4, 0.5), (1, 6, 8, 0.8), (0, 8, 10, 0.7)]


def test_times_that_differ_by_rounding_touch():
    step = 0.1 + 0.2  # not 0.3
    assert segments([[1, 0, 0], [1, 0, 0]], [0.0, 0.3], [step, 0.6]) == [(0, 0, 0.6, 1)]
    assert segments([[1, 0, 0], [1, 0, 0]], [0.0, step], [0.3, 0.6]) == [(0, 0, 0.6, 1)]


def test_overlapping_windows_are_joined_and_never_overlap_after():
    starts, ends = np.arange(6.0), np.arange(6.0) + 3
    # Windows 0 and 2 overlap, so window 1 between them leaves no gap; windows 2 and 5 meet at 5.
    assert segments([[c, 0, 0] for c in (1, 0, 1, 0, 0, 1)], starts, ends) == [(0, 0, 8, 1)]
    assert segments([[c, 0, 0] for c in (1, 0, 0, 0, 1, 1)], starts, ends) == [(0, 0, 3, 1), (0, 4, 8, 1)]


def test_a_gap_stays_a_gap():
    """Of windows that lie apart, or between which one was skipped, nothing is known of the time between."""
    assert segments([[1, 0, 0]] * 2, [0, 3], [2, 5]) == [(0, 0, 2, 1), (0, 3, 5, 1)]
    assert segments([[1, 0, 0], [0, 0, 0], [1, 0, 0]], [0, 2, 4], [2, 4, 6]) == [(0, 0, 2, 1), (0, 4, 6, 1)]


def test_a_softmax_head_answers_with_its_highest():
    scores = {"action": np.array([[0.4, 0.6], [0.3, 0.7], [0.9, 0.1]], np.float32)}
    found = find_segments([0, 1, 2], [1, 2, 3], scores, decisions(HEADS), LABELS)
    assert [(one.label, one.start_seconds, one.end_seconds) for one in found] == [("class 0", 2, 3), ("class 1", 0, 2)][
        ::-1
    ]
    found = find_segments([0, 1, 2], [1, 2, 3], scores, decisions(HEADS, threshold=0.7), LABELS)
    # 0.7 in float32 is below 0.7 in float64; a score is what the model gave.
    assert [(one.index, one.start_seconds) for one in found] == [(0, 2)]


def test_segments_come_by_head_then_start_then_class():
    scores = {"verb": np.ones((2, 3), np.float32), "action": np.array([[1, 0], [0, 1]], np.float32)}
    found = find_segments([0, 5], [1, 6], scores, decisions(HEADS), LABELS)
    assert [(one.head, one.start_seconds, one.index) for one in found] == [
        *(("verb", start, c) for start in (0, 5) for c in range(3)),
        ("action", 0, 0),
        ("action", 5, 1),
    ]


def test_the_top_classes_alone():
    scores = [[0.6, 0.9, 0.8], [0.95, 0.1, 0.1]]
    assert {row[0] for row in segments(scores, [0, 5], [1, 6], top=2)} == {0, 1}
    rules = {"verb": HeadPoint("sigmoid", (0.99, 0.5, 0.5))}  # class 0 is never seen, however high its scores
    assert {row[0] for row in segments(scores, [0, 5], [1, 6], rules, top=1)} == {1}


def test_no_windows():
    assert find_segments([], [], {"verb": np.zeros((0, 3))}, decisions(HEADS), LABELS) == ()


def test_thresholds_of_operating_points():
    fitted = points(verb=HeadPoint("sigmoid", (0.2, 0.9, 0.5)))
    rules = decisions(HEADS, fitted)
    assert rules["verb"] is fitted.heads["verb"]
    assert rules["action"].activation == "softmax"  # not fitted: the highest
    assert segments([[0.2, 0.89, 0.5]], [0], [1], rules) == [(0, 0, 1, 0.2), (2, 0, 1, 0.5)]


def test_no_action_of_operating_points():
    # Divided by 4, the logit of 0.9 gives 0.634; that of 0.8 gives 0.586.
    cool = HeadPoint("sigmoid", (0.1,) * 3, Temperature("sigmoid", 4.0), no_action_below=0.6)
    rules = decisions(HEADS, points(verb=cool))
    assert segments([[0.9, 0.2, 0.0], [0.8, 0.2, 0.0]], [0, 5], [1, 6], rules) == [(0, 0, 1, 0.9), (1, 0, 1, 0.2)]


def test_a_threshold_replaces_operating_points():
    fitted = points(verb=HeadPoint("sigmoid", (0.2, 0.9, 0.5)), action=HeadPoint("softmax", (0.0, 0.0)))
    rules = decisions(HEADS, fitted, 0.7)
    assert rules["verb"].thresholds == (0.7,) * 3
    assert rules["action"].no_action_below == 0.7
    rules = decisions(HEADS, fitted, {"verb": 0.1})
    assert rules["verb"].thresholds == (0.1,) * 3 and rules["action"] is fitted.heads["action"]
    assert decisions(HEADS)["verb"].thresholds == (0.5,) * 3
    assert decisions(HEADS, threshold=0.0)["verb"].thresholds == (0.0,) * 3


@pytest.mark.parametrize("threshold", [-0.1, 1.5, float("nan"), {"verb": 2}])
def test_thresholds_out_of_range(threshold):
    with pytest.raises(ValueError, match=r"threshold must be a score from 0 to 1\. Received: threshold="):
        decisions(HEADS, threshold=threshold)


def test_a_threshold_of_no_head():
    with pytest.raises(ValueError, match=r"has the heads verb, action\. Received: a threshold of noun"):
        decisions(HEADS, threshold={"noun": 0.5})
