"""A view that is shown again and again is found; clips that are rightly the same pass."""

import numpy as np
import pytest

from kerasfast.train.scoring.same_views import SameViews

VIDEOS, CLIPS, CROPS, CLASSES = 4, 3, 3, 5
VIDEO, VIEW = (index.ravel() for index in np.indices((VIDEOS, CLIPS * CROPS)))


def watched(scores, longer=True, moving=True):
    """What saw `scores` (videos, clips, crops, classes), in batches that cut across videos."""
    frames = np.zeros((VIDEOS, 2, 2, 2, 3), np.uint8)
    frames[np.broadcast_to(moving, VIDEOS), 1] = 9
    found = SameViews({"a": 2, "b": CLASSES - 2}, np.broadcast_to(longer, VIDEOS), CROPS)
    rows = scores.reshape(-1, CLASSES)
    for batch in np.array_split(np.arange(len(rows)), 7):
        heads = {"a": rows[batch, :2], "b": rows[batch, 2:]}
        found.add(heads, frames[VIDEO[batch]], VIDEO[batch], VIEW[batch])
    return found


def scores_of(same, seed=0):
    """Scores whose clips are equal for the videos `same`."""
    scores = np.random.default_rng(seed).random((VIDEOS, CLIPS, CROPS, CLASSES)).astype("float32")
    scores[same] = scores[same][:, :1]
    return scores


def test_the_same_clip_for_most_videos_is_refused():
    with pytest.raises(ValueError, match=r"all clips of 3 of the 4 videos that move .* the first is video 1"):
        watched(scores_of([1, 2, 3])).check()


def test_the_rounding_of_another_place_in_the_batch_does_not_hide_it():
    scores = scores_of([0, 1, 2, 3])
    scores[:, 1] *= np.float32(1 + 2e-7)
    with pytest.raises(ValueError, match="all clips of 4 of the 4"):
        watched(scores).check()


def test_different_clips_pass():
    watched(scores_of([])).check()
    watched(scores_of([0, 1])).check()  # half of them may be odd videos
    watched(np.repeat(scores_of([])[:, :, :1], CROPS, axis=2)).check()  # square videos: the crops are the same


@pytest.mark.parametrize("reason", ["longer", "moving"])
def test_clips_that_are_rightly_the_same_pass(reason):
    watched(scores_of([0, 1, 2, 3]), **{reason: False}).check()
    watched(scores_of([0, 1, 2]), **{reason: [False, False, False, True]}).check()


def test_one_head_that_differs_is_enough():
    scores = scores_of([0, 1, 2, 3])
    scores[..., 0] = np.random.default_rng(1).random(scores.shape[:-1])
    watched(scores).check()


def test_a_model_that_ignores_its_input_is_left_to_its_own_message():
    watched(np.full((VIDEOS, CLIPS, CROPS, CLASSES), 0.5, "float32")).check()
