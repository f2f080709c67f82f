"""Merging views of videos."""

import numpy as np
import pytest

from kerasfast.models.heads import Head
from kerasfast.train.views import ViewMerger, merge_rules

VIDEOS, VIEWS, CLASSES = 5, 6, 4


def shuffled_views(seed=0):
    scores = np.random.default_rng(seed).random((VIDEOS, VIEWS, CLASSES)).astype("float32")
    video, view = (index.ravel() for index in np.indices((VIDEOS, VIEWS)))
    order = np.random.default_rng(seed + 1).permutation(VIDEOS * VIEWS)
    return scores, video[order], view[order]


def test_the_activation_of_a_head_asks_for_its_rule():
    heads = {"verb": Head(3), "action": Head(4, "softmax")}
    assert merge_rules(heads) == {"verb": "max", "action": "mean"}
    assert merge_rules(heads, "mean") == {"verb": "mean", "action": "mean"}
    with pytest.raises(ValueError, match=r"merge must be 'max' or 'mean'. Received: 'median'"):
        merge_rules(heads, "median")


def test_rules_by_head_name_heads_of_the_model():
    heads = {"verb": Head(3), "action": Head(4, "softmax")}
    assert merge_rules(heads, {"action": "max"}) == {"verb": "max", "action": "max"}
    assert merge_rules(heads, {"verb": "mean", "action": "max"}, ["action"]) == {"action": "max"}
    with pytest.raises(ValueError, match=r"merge must name heads among verb, action\. Received: actions, nouns\."):
        merge_rules(heads, {"nouns": "max", "verb": "max", "actions": "mean"})


def test_views_in_any_order_and_batching_merge_by_video():
    scores, video, view = shuffled_views()
    merger = ViewMerger({"a": CLASSES, "b": CLASSES}, VIDEOS, VIEWS, {"a": "max", "b": "mean"})
    for rows in np.array_split(np.arange(len(video)), 4):
        batch = scores[video[rows], view[rows]]
        merger.add({"a": batch, "b": 1 - batch}, video[rows], view[rows])
    result = merger.result()
    np.testing.assert_allclose(result["a"], scores.max(axis=1), rtol=1e-6)
    np.testing.assert_allclose(result["b"], (1 - scores).mean(axis=1), rtol=1e-6)


def test_memory_holds_one_score_per_video_and_class():
    merger = ViewMerger({"a": CLASSES}, VIDEOS, VIEWS, {"a": "max"})
    assert merger.scores["a"].shape == (VIDEOS, CLASSES)


def filled(skip=()):
    scores, video, view = shuffled_views()
    keep = [i for i in range(len(video)) if (video[i], view[i]) not in skip]
    merger = ViewMerger({"a": CLASSES}, VIDEOS, VIEWS, {"a": "max"})
    merger.add({"a": scores[video[keep], view[keep]]}, video[keep], view[keep])
    return merger


def test_a_missing_view_is_refused():
    filled().result()
    with pytest.raises(ValueError, match=r"must get 6 views. Received: 5 for video 3, and 1 of 5 videos"):
        filled(skip={(3, 2)}).result()


def test_a_doubled_view_is_refused_within_and_between_batches():
    one = {"a": np.zeros((1, CLASSES))}
    with pytest.raises(ValueError, match=r"Received: view 2 of video 3 a second time"):
        filled().add(one, np.array([3]), np.array([2]))
    two = {"a": np.zeros((2, CLASSES))}
    with pytest.raises(ValueError, match=r"Received: view 2 of video 3 a second time"):
        filled(skip={(3, 2)}).add(two, np.array([3, 3]), np.array([2, 2]))


def test_nan_is_refused_and_located():
    scores = {"a": np.array([[0.0] * CLASSES, [0.0, np.nan, 0.0, 0.0]])}
    with pytest.raises(ValueError, match=r"NaN from head 'a' for view 1 of video 4"):
        ViewMerger({"a": CLASSES}, VIDEOS, VIEWS, {"a": "max"}).add(scores, np.array([0, 4]), np.array([0, 1]))


def test_indices_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"view index must be below 6. Received: \[6\]"):
        filled().add({"a": np.zeros((1, CLASSES))}, np.array([0]), np.array([6]))
