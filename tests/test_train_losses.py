"""Losses of heads against their formulas."""

import keras
import numpy as np
import pytest

from kerasfast.train.losses import bce, categorical, head_losses

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
    with pytest.raises(ValueError, match=r"loss must be one of \['bce', 'categorical'\]. Received: 'focal'"):
        head_losses({"action": "sigmoid"}, "focal")
    with pytest.raises(ValueError, match=r"head 'action': its activation must be one of"):
        head_losses({"action": "linear"})
