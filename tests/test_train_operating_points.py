"""Answers of a model, and the file that says how they are found."""

import json

import numpy as np
import pytest

import kerasfast as kf
from kerasfast.decoding import Prediction
from kerasfast.train.operating.calibrate import fit_head
from kerasfast.train.operating.calibration import Temperature
from kerasfast.train.operating.points import HeadPoint, OperatingPoints, weights_sha256

PROTOCOL = {"split": "val", "videos": 9, "clips": 10, "crops": 3, "merge": "max"}
VERB = HeadPoint("sigmoid", (0.5, 0.2, 0.9), Temperature("sigmoid", 2.0), labels=("lift", "open", "slide"))
KIND = HeadPoint("softmax", (0.0, 0.0), no_action_below=0.7)


def points_of(model, **heads):
    return OperatingPoints(heads, weights_sha256(model), PROTOCOL, {"python": "3"})


@pytest.fixture(scope="module")
def model():
    return kf.build("slow_nano", heads={"verb": kf.Head(3), "kind": kf.Head(2, "softmax")})


@pytest.fixture
def points(model):
    return points_of(model, verb=VERB, kind=KIND)


def test_a_head_answers_with_the_classes_that_reach_their_thresholds(points):
    answers = points.decide({"verb": np.array([[0.5, 0.8, 0.89], [0.4, 0.1, 0.8]])})["verb"]
    assert [one.label for one in answers[0].classes] == ["open", "lift"]
    assert answers[0].classes[0] == Prediction(1, "open", pytest.approx(1 / (1 + np.sqrt(1 / 4))))  # sqrt of the odds
    assert str(answers[0]) == "open 0.67, lift 0.50" and not answers[0].no_action
    assert answers[1].no_action and answers[1].classes == () and str(answers[1]) == "no action"


def test_a_softmax_head_answers_with_one_class_that_is_probable_enough(points):
    sure, unsure = points.decide({"kind": np.array([[0.2, 0.8], [0.6, 0.4]])})["kind"]
    assert sure.classes == (Prediction(1, "class 1", 0.8),)
    assert unsure.no_action


def test_the_best_class_must_be_probable_after_calibration():
    point = HeadPoint("sigmoid", (0.1, 0.1), Temperature("sigmoid", 2.0), no_action_below=0.6)
    scores = np.array([[0.65, 0.2], [0.75, 0.2]])  # 0.577 and 0.634 at temperature 2
    assert point.decide(scores).tolist() == [[False, False], [True, True]]
    with pytest.raises(ValueError, match=r"no_action_below must be a probability\. Received: 2"):
        HeadPoint("sigmoid", (0.1,), no_action_below=2)


def test_scores_of_one_video_give_one_answer(points):
    found = points.decide({"verb": np.array([0.6, 0.1, 0.1], np.float32), "kind": np.array([0.9, 0.1])})
    assert [one.label for one in found["verb"].classes] == ["lift"]
    assert found["kind"].classes[0].index == 0


@pytest.mark.parametrize("calibration", ["temperature", "isotonic", None])
def test_a_file_keeps_everything(calibration, model, tmp_path):
    generator = np.random.default_rng(0)
    labels, scores = generator.integers(0, 2, (30, 3)), generator.random((30, 3))
    labels[:, 2] = 0
    labels[:3, 1], labels[3:, 1] = 1, 0
    head = fit_head(labels, scores, names=("lift", "auf", "slide"), calibration=calibration, min_positives=5)
    assert (head.break_even, head.without_positives) == ((1,), (2,))
    points = points_of(model, verb=head, kind=KIND)
    points.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["operating_points.json"]
    again = OperatingPoints.load(tmp_path)
    assert again == points
    assert again.decide({"verb": scores}) == points.decide({"verb": scores})


def test_those_of_a_run_belong_to_its_weights(points, model, tmp_path):
    assert OperatingPoints.of_run(tmp_path, model) is None
    assert OperatingPoints.of_run("slowfast_nano.miniature", model) is None
    points.save(tmp_path)
    assert OperatingPoints.of_run(tmp_path, model) == points
    bias = model.get_layer("head_kind").bias
    before = bias.numpy()
    try:
        bias.assign(before + 1)
        with pytest.raises(ValueError, match=r"belong to the weights that they were fitted for.*Fit them again"):
            OperatingPoints.of_run(tmp_path, model)
    finally:
        bias.assign(before)


def test_other_heads_are_refused(points):
    for heads, found in (
        ({"verb": 4, "kind": kf.Head(2, "softmax")}, r"'verb' are for 3 classes \(sigmoid\). .* with 4 \(sigmoid\)"),
        ({"verb": 3}, r"'kind' are for 2 classes \(softmax\)\. .* no such head"),
        ({"verb": 3, "kind": 2}, r"'kind' are for 2 classes \(softmax\)\. .* with 2 \(sigmoid\)"),
    ):
        with pytest.raises(ValueError, match=found):
            points.check(kf.build("slow_nano", heads=heads))


def test_weights_are_told_apart_by_their_values(model, tmp_path):
    model.save_weights(tmp_path / "a.weights.h5")
    other = kf.build("slow_nano", heads=model.heads)
    assert weights_sha256(other) != weights_sha256(model)
    other.load_weights(tmp_path / "a.weights.h5")
    assert weights_sha256(other) == weights_sha256(model)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ({"noun": np.zeros((1, 3))}, "are of the heads verb, kind. Received: 'noun'"),
        ({"verb": np.zeros((1, 4))}, r"'verb' must have shape \(batch, 3\) or \(3,\). Received: \(1, 4\)"),
        ({"verb": np.full((1, 3), np.nan)}, "'verb' hold NaN"),
    ],
)
def test_other_scores_are_refused(scores, message, points):
    with pytest.raises(ValueError, match=message):
        points.decide(scores)


def test_a_damaged_file_is_one_sentence(points, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no operating_points.json. Fit operating points"):
        OperatingPoints.load(tmp_path)
    values = json.loads(points.save(tmp_path).read_text("utf-8"))
    for text in ("", "[1]", "{}", json.dumps(values | {"format": "2"}), json.dumps(values | {"more": 1})):
        (tmp_path / "operating_points.json").write_text(text)
        with pytest.raises(ValueError, match=r"operating_points.json does not describe operating points \(.*again"):
            OperatingPoints.load(tmp_path)
