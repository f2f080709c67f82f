"""Scores to names of classes."""

import dataclasses

import numpy as np
import pytest
from model_case import random_clip

import kerasfast as kf
from kerasfast.decoding import Prediction, decode

HEADS = {"verb": kf.Head(3, "sigmoid", ("run", "sit", "eat")), "action": kf.Head(4, "softmax")}
VERB = np.array([[0.1, 0.9, 0.5], [0.2, 0.2, 0.7]], np.float32)
ACTION = np.array([[0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4]], np.float32)


@pytest.fixture(scope="module")
def model():
    return kf.build("slow_nano", heads=HEADS)


@pytest.fixture(scope="module")
def single():
    return kf.build("slow_nano", heads={"verb": HEADS["verb"]})


def names(predictions):
    return [found.label for found in predictions]


def test_each_clip_gets_its_classes_best_first(model):
    found = decode(model, {"verb": VERB, "action": ACTION}, top=2)
    assert list(found) == ["verb", "action"]
    assert [names(clip) for clip in found["verb"]] == [["sit", "eat"], ["eat", "run"]]
    assert found["verb"][0][0] == Prediction(1, "sit", float(VERB[0, 1]))
    assert isinstance(found["verb"][0][0].score, float) and isinstance(found["verb"][0][0].index, int)


def test_a_head_without_names_counts_its_classes(model):
    found = decode(model, {"action": ACTION}, top=2)
    assert [names(clip) for clip in found["action"]] == [["class 0", "class 1"], ["class 3", "class 2"]]


def test_equal_scores_keep_the_order_of_classes(model):
    assert names(decode(model, {"verb": VERB})["verb"][1]) == ["eat", "run", "sit"]
    assert [found.index for found in decode(model, {"action": np.zeros(4)})["action"]] == [0, 1, 2, 3]


def test_scores_of_one_video(model):
    found = decode(model, {"verb": VERB[0], "action": ACTION[0].tolist()})
    assert names(found["verb"]) == ["sit", "eat", "run"] and names(found["action"])[0] == "class 0"


def test_one_head_needs_no_name(model, single):
    assert decode(single, VERB) == decode(single, {"verb": VERB})
    assert decode(single, VERB[0]) == decode(single, {"verb": VERB[0]})
    with pytest.raises(ValueError, match=r"has the heads verb, action; give scores by head.*Received: an array"):
        decode(model, VERB)


def test_more_than_there_are_gives_all(model):
    assert len(decode(model, {"verb": VERB}, top=1000)["verb"][0]) == 3


def test_what_a_model_predicts(model):
    frames = random_clip(model.variant)
    scores = model.predict(frames, verbose=0)
    found = decode(model, scores, top=1)
    for head, array in scores.items():
        assert [clip[0].index for clip in found[head]] == array.argmax(axis=1).tolist()


def test_no_clips_give_no_lists(model):
    assert decode(model, {"verb": np.zeros((0, 3))}) == {"verb": []}


def test_the_public_name_stays_the_function():
    """A module of that name in the package would take its place at the first call."""
    assert kf.decode is decode and kf.decode is decode


def test_a_prediction_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Prediction(0, "run", 0.5).score = 1.0


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ({"verb": VERB[:, :2]}, r"Scores of 'verb' must have shape \(batch, 3\) or \(3,\)\. Received: \(2, 2\)"),
        ({"verb": VERB[None]}, r"Received: \(1, 2, 3\)"),
        ({"verb": np.float32(1)}, r"Received: \(\)"),
        ({"noun": VERB}, "The model has the heads verb, action. Received: scores of 'noun'"),
        ({"verb": np.full((1, 3), np.nan)}, "Scores of 'verb' hold NaN"),
        ({"verb": np.array(["a", "b", "c"])}, "Scores of 'verb' must be numbers. Received: an array of <U1"),
        ({"verb": VERB, "action": ACTION[:1]}, r"the same clips. Received: verb \(2, 3\), action \(1, 4\)"),
        ({"verb": VERB, "action": ACTION[0]}, r"the same clips. Received: verb \(2, 3\), action \(4,\)"),
    ],
)
def test_wrong_scores_are_refused(model, scores, message):
    with pytest.raises(ValueError, match=message):
        decode(model, scores)


@pytest.mark.parametrize("top", [0, -1, 2.0, True, None])
def test_top_is_a_number_of_classes(model, top):
    with pytest.raises(ValueError, match=rf"top must be an int of at least 1. Received: top={top}"):
        decode(model, {"verb": VERB}, top=top)


def test_features_have_no_classes():
    features = kf.build("slow_nano", features_only=True)
    with pytest.raises(ValueError, match=r"slow_nano returns features.*without features_only"):
        decode(features, {"pooled": np.zeros((1, 256))})
