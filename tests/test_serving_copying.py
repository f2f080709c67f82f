import keras
import numpy as np
import pytest

from kerasfast.serving.copying import copy_with


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,), name="frames")
    x = keras.layers.Dense(4, name="first")(inputs)
    x = keras.layers.ReLU(name="relu")(x)
    return keras.Model(inputs, keras.layers.Dense(2, name="last")(x))


def test_layers_and_weights_are_replaced_by_name(model):
    before, x = model.get_weights(), np.ones((1, 3), "float32")

    def layer_for(layer):
        if layer.name == "relu":
            return keras.layers.Identity(name="relu")
        return type(layer).from_config(layer.get_config())

    def weights_for(layer):
        return [2 * weight for weight in layer.get_weights()] if layer.name == "last" else layer.get_weights()

    copied = copy_with(model, layer_for, weights_for)
    assert [layer.name for layer in copied.layers] == [layer.name for layer in model.layers]
    (kernel, bias), (last_kernel, last_bias) = before[:2], before[2:]
    np.testing.assert_allclose(copied(x), 2 * ((x @ kernel + bias) @ last_kernel + last_bias), rtol=1e-5)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


def test_weights_stay_by_default(model):
    copied = copy_with(model, lambda layer: type(layer).from_config(layer.get_config()))
    for old, new in zip(model.get_weights(), copied.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)
    assert not {id(layer) for layer in copied.layers} & {id(layer) for layer in model.layers}
