"""Composed heads: against NumPy, in a whole model, saved, loaded and refused."""

import json

import keras
import numpy as np
import numpy_reference as reference
import pytest
from model_case import check_config, own_layers, random_clip, tiny_variant

from kerasfast.models import composition
from kerasfast.models.classifier import VideoClassifier, build
from kerasfast.models.composition import ComposedLogits, composed_scores, learned_scales
from kerasfast.models.heads import Head
from kerasfast.weights import assign, canonical_weights, read_weights

PARTS = {"verb": (0, 1, 1, 0), "object": (2, 2, 0, 1)}
# The composed head stands first: the order of the heads is the user's.
HEADS = {"action": Head(4, parts=PARTS), "verb": 2, "object": 3}


def logit(probability):
    return np.log(probability / (1 - probability))


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    made = build(tiny_variant(), heads=HEADS, dropout=0.0)
    for layer in made.layers:
        if layer.name == "head_action_parts":
            layer.scales.assign([0.5, 2.0])
        elif layer.name.startswith("head_"):
            layer.kernel.assign(np.random.default_rng(1).normal(size=layer.kernel.shape))
    return made


def test_configs_are_complete():
    assert own_layers(composition.__name__) == {ComposedLogits}
    check_config(ComposedLogits, {"parts": {"verb": [0, 1]}, "name": "composed"})


def test_a_new_head_says_that_its_parts_are_independent():
    residual, verb, thing = (
        np.random.default_rng(i).normal(size=(5, n)).astype("float32") for i, n in enumerate((4, 2, 3))
    )
    composed = ComposedLogits(PARTS)(residual, [verb, thing])
    reference.assert_close(composed, residual + verb[:, list(PARTS["verb"])] + thing[:, list(PARTS["object"])], 1e-6)


def test_a_whole_model_composes_at_every_position(model):
    """64 pixels leave 4 positions here, whose probabilities are averaged: so composing has to come before."""
    frames = random_clip(model.variant)
    names = [layer.name for layer in model.layers]
    positions = keras.Model(model.input, {n: model.get_layer(n).output for n in names if n.startswith("head_")})
    given = {name: np.asarray(value) for name, value in positions(frames, training=False).items()}
    expected = (
        given["head_action"]
        + 0.5 * given["head_verb"][..., list(PARTS["verb"])]
        + 2.0 * given["head_object"][..., list(PARTS["object"])]
    )
    assert expected.shape[1] * expected.shape[2] > 1
    reference.assert_close(given["head_action_parts"], expected, 1e-5)
    scores = model(frames, training=False)
    assert list(scores) == list(HEADS)
    reference.assert_close(scores["action"], (1 / (1 + np.exp(-expected))).mean(axis=(1, 2)), 1e-5)


def test_actions_teach_verbs_objects_and_scales(model):
    copy = VideoClassifier.from_config(model.get_config())
    copy.compile(optimizer="sgd", loss={"action": "binary_crossentropy"}, jit_compile=False)
    before = {name: np.array(value) for name, value in canonical_weights(copy).items()}
    frames = random_clip(model.variant)
    copy.train_on_batch(frames, {"action": np.eye(4, dtype="float32")[:2]})
    moved = {name for name, value in canonical_weights(copy).items() if not np.array_equal(before[name], value)}
    heads = {f"head/{name}/{leaf}" for name in HEADS for leaf in ("kernel", "bias")}
    assert heads | {"head/action_parts/kernel"} <= moved


def test_config_and_weights_come_back(model, tmp_path):
    config = json.loads(json.dumps(model.get_config()))
    copy = VideoClassifier.from_config(config)
    assert copy.heads == model.heads
    model.save_weights(tmp_path / "a.weights.h5")
    report = assign(copy, read_weights(tmp_path / "a.weights.h5"), source="a", new_heads=False)
    assert "head/action_parts/kernel" in report.loaded and not report.new and not report.skipped
    frames = random_clip(model.variant)
    for head, scores in model(frames, training=False).items():
        np.testing.assert_array_equal(scores, copy(frames, training=False)[head])
    assert learned_scales(copy, "action") == {"verb": 0.5, "object": 2.0}
    assert learned_scales(copy, "verb") is None


def test_scores_of_new_combinations():
    scores = {"verb": np.array([[0.2, 0.9]]), "object": np.array([[0.5, 0.1, 0.0]])}
    new = {"verb": (1, 0), "object": (1, 2)}
    np.testing.assert_allclose(composed_scores(scores, new), [[0.9 * 0.1, 0.0]])
    learned = composed_scores(scores, new, {"verb": 0.5, "object": 2.0})
    np.testing.assert_allclose(logit(learned[0, 0]), 0.5 * logit(0.9) + 2 * logit(0.1))
    np.testing.assert_allclose(logit(learned[0, 1]), 0.5 * logit(0.2) + 2 * logit(1e-7), rtol=1e-6)


@pytest.mark.parametrize(
    "heads, message",
    [
        ({"action": Head(2, parts={"verb": (0, 1)})}, r"parts of head 'action' must be heads.*none.*'verb'"),
        ({"action": Head(2, parts={"action": (0, 1)}), "verb": 3}, r"\(verb\)\. Received: 'action'"),
        (
            {"a": Head(1, parts={"b": (0,)}), "b": Head(1, parts={"c": (0,)}), "c": 1},
            r"parts of head 'a' must be heads that have no parts themselves \(c\)\. Received: 'b'",
        ),
        ({"action": Head(2, parts={"verb": (0,)}), "verb": 3}, r"for each of its 2 classes\. Received: 1 indices"),
        ({"action": Head(2, parts={"verb": (0, 3)}), "verb": 3}, r"an index below 3.*0 to 3"),
        ({"action": Head(1, parts={"verb": (-1,)}), "verb": 3}, r"an index below 3.*-1 to -1"),
        ({"action": Head(1, parts={"verb": (0,)}), "verb": Head(3, "softmax")}, r"must be sigmoid heads.*softmax"),
    ],
)
def test_parts_that_do_not_fit_are_refused(heads, message):
    with pytest.raises(ValueError, match=message):
        build(tiny_variant(), heads=heads)
