"""Merging views of videos."""

import numpy as np
import pytest

from kerasfast.train.views import ViewMerger

VIDEOS, VIEWS, CLASSES = 5, 6, 4


def shuffled_views(seed=0):
    scores = np.random.default_rng(seed).random((VIDEOS, VIEWS, CLASSES)).astype("float32")
    video, view = (index.ravel() for index in np.indices((VIDEOS, VIEWS)))
    order = np.random.default_rng(seed + 1).permutation(VIDEOS * VIEWS)
    return scores, video[order], view[order]


@pytest.mark.parametrize("merge, expected", [("max", np.max), ("mean", np.mean)])
def test_views_in_any_order_and_batching_merge_by_video(merge, expected):
    scores, video, view = shuffled_views()
    merger = ViewMerger({"a": CLASSES, "b": CLASSES}, VIDEOS, VIEWS, merge)
    for rows in np.array_split(np.arange(len(video)), 4):
        batch = scores[video[rows], view[rows]]
        merger.add({"a": batch, "b": 1 - batch}, video[rows], view[rows])
    result = merger.result()
    np.testing.assert_allclose(result["a"], expected(scores, axis=1), rtol=1e-6)
    np.testing.assert_allclose(result["b"], expected(1 - scores, axis=1), rtol=1e-6)


def test_memory_holds_one_score_per_video_and_class():
    merger = ViewMerger({"a": CLASSES}, VIDEOS, VIEWS)
    assert merger.scores["a"].shape == (VIDEOS, CLASSES)


def filled(skip=()):
    scores, video, view = shuffled_views()
    keep = [i for i in range(len(video)) if (video[i], view[i]) not in skip]
    merger = ViewMerger({"a": CLASSES}, VIDEOS, VIEWS)
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
        ViewMerger({"a": CLASSES}, VIDEOS, VIEWS).add(scores, np.array([0, 4]), np.array([0, 1]))


def test_indices_out_of_range_and_an_unknown_merge_are_refused():
    with pytest.raises(ValueError, match=r"view index must be below 6. Received: \[6\]"):
        filled().add({"a": np.zeros((1, CLASSES))}, np.array([0]), np.array([6]))
    with pytest.raises(ValueError, match=r"merge must be 'max' or 'mean'. Received: 'median'"):
        ViewMerger({"a": CLASSES}, VIDEOS, VIEWS, "median")
