"""Losses of heads against their formulas."""

import keras
import numpy as np
import pytest

from kerasfast.train.losses import (
    DEFAULTS,
    LOSSES,
    ClassCounts,
    bce,
    categorical,
    head_losses,
    loss_callbacks,
    needs_counts,
)

LABELS = np.array([[1, 0, 1], [0, 0, 1]], "float32")
SCORES = np.array([[0.9, 0.2, 0.4], [0.5, 0.1, 0.7]], "float32")


def test_bce_is_the_mean_over_classes_and_batch():
    expected = -(LABELS * np.log(SCORES) + (1 - LABELS) * np.log(1 - SCORES)).mean()
    assert float(bce()(LABELS, SCORES)) == pytest.approx(expected, rel=1e-5)


def test_bce_clips_probabilities_at_1e_7():
    wrong = float(bce()(np.ones((1, 1), "float32"), np.zeros((1, 1), "float32")))
    assert wrong == pytest.approx(-np.log(1e-7), rel=1e-4)


def test_categorical_is_the_mean_over_the_batch():
    labels = np.eye(3, dtype="float32")[[2, 0]]
    scores = np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]], "float32")
    assert float(categorical()(labels, scores)) == pytest.approx(-(np.log(0.5) + np.log(0.6)) / 2, rel=1e-5)


def test_the_total_is_the_sum_of_the_heads():
    inputs = keras.Input((3,))
    outputs = {name: keras.layers.Dense(n, activation="sigmoid", name=name)(inputs) for name, n in (("a", 2), ("b", 5))}
    model = keras.Model(inputs, outputs)
    model.compile(loss=head_losses({"a": "sigmoid", "b": "sigmoid"}))
    x = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    y = {"a": np.ones((4, 2), "float32"), "b": np.zeros((4, 5), "float32")}
    each = {name: float(bce()(y[name], scores)) for name, scores in model.predict(x, verbose=0).items()}
    logs = model.evaluate(x, y, verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(sum(each.values()), rel=1e-5)
    assert logs["b_loss"] == pytest.approx(each["b"], rel=1e-5)


def test_each_head_gets_the_loss_of_its_activation_and_survives_serialisation():
    losses = head_losses({"action": "sigmoid", "scene": "softmax"}, "bce")
    assert isinstance(losses["action"], keras.losses.BinaryCrossentropy)
    assert isinstance(losses["scene"], keras.losses.CategoricalCrossentropy)
    again = keras.losses.deserialize(keras.losses.serialize(losses["action"]))
    assert float(again(LABELS, SCORES)) == float(losses["action"](LABELS, SCORES))


def test_a_loss_that_fits_no_head_is_refused():
    with pytest.raises(ValueError, match=r"loss 'categorical' is for softmax heads.*'action': 'sigmoid'"):
        head_losses({"action": "sigmoid"}, "categorical")
    with pytest.raises(ValueError, match=r"loss must be one of \['asymmetric', 'bce', .*Did you mean 'focal'\?"):
        head_losses({"action": "sigmoid"}, "fokal")
    with pytest.raises(ValueError, match=r"head 'action': its activation must be one of"):
        head_losses({"action": "linear"})


def test_every_default_is_a_loss_of_its_activation():
    assert {activation: LOSSES[name][0] for activation, name in DEFAULTS.items()} == {a: a for a in DEFAULTS}


def test_options_and_frequencies_reach_the_heads_that_the_loss_is_for():
    counts = {"action": ClassCounts((3, 1), 9), "verb": ClassCounts((4, 2, 2), 9)}
    activations = {"action": "sigmoid", "verb": "sigmoid", "scene": "softmax"}
    losses = head_losses(activations, "class_balanced", options={"beta": 0.9}, counts=counts)
    assert losses["action"].get_config()["positives"] == (3, 1)
    assert losses["verb"].get_config()["positives"] == (4, 2, 2)
    assert losses["verb"].get_config()["beta"] == 0.9
    assert isinstance(losses["scene"], keras.losses.CategoricalCrossentropy)


def test_an_unknown_option_is_refused_with_the_nearest():
    with pytest.raises(
        ValueError, match=r"'focal' has the options alpha, gamma. Did you mean 'gamma'\? Received: 'gama'"
    ):
        head_losses({"action": "sigmoid"}, "focal", options={"gama": 1.0})
    with pytest.raises(ValueError, match=r"'asymmetric' has the options gamma_pos, gamma_neg, margin.*'reduction'"):
        head_losses({"action": "sigmoid"}, "asymmetric", options={"reduction": "sum"})
    with pytest.raises(ValueError, match=r"'class_balanced' has the options beta, gamma.*Received: 'positives'"):
        head_losses({"action": "sigmoid"}, "class_balanced", options={"positives": (1,)})
    with pytest.raises(ValueError, match=r"'bce' has no options. Received: 'gamma'"):
        head_losses({"action": "sigmoid"}, "bce", options={"gamma": 1.0})
    with pytest.raises(ValueError, match=r"options belong to a named loss. Received: \['gamma'\]"):
        head_losses({"action": "sigmoid"}, options={"gamma": 1.0})


@pytest.mark.parametrize("name", [name for name in LOSSES if needs_counts(name)])
def test_a_loss_that_needs_frequencies_says_so(name):
    with pytest.raises(ValueError, match=f"loss '{name}' needs the class frequencies of head 'action'.*Give records"):
        head_losses({"action": "sigmoid"}, name)
    with pytest.raises(ValueError, match=r"of head 'verb'. Received: those of \['action'\]"):
        head_losses({"action": "sigmoid", "verb": "sigmoid"}, name, counts={"action": ClassCounts((1,), 2)})


def test_only_partial_label_masking_needs_a_callback():
    assert [name for name in LOSSES if loss_callbacks(name)] == ["partial_label_masking"]
    assert loss_callbacks(None) == []
    assert not needs_counts(None)
