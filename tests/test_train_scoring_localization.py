"""Frame-level mAP, against the official script written out as loops."""

import math

import numpy as np
import pytest

from kerasfast.data.annotations import Segment, VideoRow
from kerasfast.data.labels import LabelSpace
from kerasfast.train.scoring.localization import frame_labels, frame_times, localization_map

LABELS = LabelSpace.charades(
    heads={"verb": ("rise", "fall"), "object": ("red", "green"), "action": ("rise red", "fall red", "rise green")},
    action_verb=(0, 1, 0),
    action_object=(0, 0, 1),
)


def video(name, length, *segments):
    return VideoRow(name, "S", length, tuple(Segment(*segment) for segment in segments), 0)


def test_moments_are_25_equal_steps_from_the_start():
    assert frame_times(50).tolist() == pytest.approx([2.0 * j for j in range(25)])
    with pytest.raises(ValueError, match=r"positive length\. Received: length_seconds=0"):
        frame_times(0)


def test_both_ends_of_a_segment_belong_to_it():
    found = frame_labels([video("a", 25.0, (0, 3.0, 5.0), (2, 4.5, 4.9), (1, 20.0, math.inf))], LABELS)
    assert found["action"].shape == (1, 25, 3)
    assert np.flatnonzero(found["action"][0, :, 0]).tolist() == [3, 4, 5]
    assert not found["action"][0, :, 2].any()  # between two moments
    assert np.flatnonzero(found["action"][0, :, 1]).tolist() == [20, 21, 22, 23, 24]
    np.testing.assert_array_equal(found["verb"][0, :, 0], found["action"][0, :, 0])
    np.testing.assert_array_equal(found["object"][0, :, 0], found["action"][0, :, [0, 1]].max(axis=0))


def test_a_video_needs_a_length():
    with pytest.raises(ValueError, match="Video 'a' has no length"):
        frame_labels([video("a", None)], LABELS)


def official(rows, scores):
    """Charades_v1_localize.m: mAP and WAP of actions; scores `(videos, 25, classes)`."""
    truth, given = [], []
    for number, row in enumerate(rows):
        for j in range(1, 26):
            moment = (j - 1) / 25 * row.length_seconds
            truth.append({s.action for s in row.segments if s.start_seconds <= moment <= s.end_seconds})
            given.append(scores[number, j - 1])
    values, sizes = [], []
    for c in range(scores.shape[-1]):
        order = sorted(range(len(given)), key=lambda frame: -given[frame][c])
        hits, total = 0, 0.0
        for rank, frame in enumerate(order, start=1):
            if c in truth[frame]:
                hits += 1
                total += hits / rank
        values.append(total / hits)
        sizes.append(hits)
    return np.mean(values), np.dot(values, sizes) / sum(sizes)


def test_it_is_the_official_code():
    generator = np.random.default_rng(0)
    rows = []
    for i in range(12):
        length = float(generator.uniform(5, 40))
        starts = generator.uniform(0, length, 3)
        segments = [(int(generator.integers(3)), start, start + (length - start) * 0.4) for start in starts]
        rows.append(video(f"v{i}", length, *(segments if i % 4 else [])))  # every fourth has no action
    labels = frame_labels(rows, LABELS)["action"]
    scores = np.round(generator.random(labels.shape) + 0.3 * labels, 1)  # many ties
    found = localization_map(labels, scores)
    assert (found.map, found.weighted_map) == pytest.approx(official(rows, scores), rel=1e-12)
    assert found.rows == 12 * 25  # frames without an action compete too


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"must both be \(videos, frames, classes\). Received: \(2, 3\)"):
        localization_map(np.ones((2, 3)), np.ones((2, 3)))
