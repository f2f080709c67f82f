import keras
import numpy as np
import pytest
from model_case import check_config, own_layers, random_clip, tiny_variant, wake_up

from kerasfast.models.classifier import VideoClassifier
from kerasfast.serving.formats import image_layers
from kerasfast.serving.formats.image_layers import ImageConv, ImagePool, with_image_layers

LAYERS = [
    keras.layers.Conv3D(5, (1, 1, 1)),
    keras.layers.Conv3D(5, (1, 1, 1), strides=(1, 2, 2), padding="same"),
    keras.layers.Conv3D(5, (1, 1, 1), strides=(2, 1, 1)),
    keras.layers.Conv3D(5, (3, 1, 1), padding="same"),
    keras.layers.Conv3D(5, (7, 1, 1), strides=(4, 1, 1)),
    keras.layers.Conv3D(5, (4, 1, 1), strides=(3, 1, 1), padding="same"),
    keras.layers.Conv3D(5, (1, 3, 3), padding="same", use_bias=False),
    keras.layers.Conv3D(5, (1, 3, 3), dilation_rate=(1, 2, 2), padding="same"),
    keras.layers.Conv3D(5, (3, 5, 5), strides=(1, 2, 2)),
    keras.layers.Conv3D(5, (3, 3, 3), strides=(2, 2, 2), padding="same", activation="relu"),
    keras.layers.MaxPooling3D((1, 3, 3), (1, 2, 2)),
    keras.layers.MaxPooling3D((2, 1, 1), (2, 1, 1)),
    keras.layers.MaxPooling3D((3, 3, 3), (2, 2, 2), padding="same"),
    keras.layers.AveragePooling3D((1, 2, 2), padding="same"),
    keras.layers.AveragePooling3D((3, 2, 2), (2, 1, 1), padding="same"),
]


def example(layer):
    inputs = keras.Input((9, 7, 11, 4))
    model = keras.Model(inputs, layer(inputs))
    generator = np.random.default_rng(0)
    model.set_weights([generator.normal(size=weight.shape) for weight in model.get_weights()])
    return model, generator.normal(size=(2, 9, 7, 11, 4)).astype("float32")


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: f"{type(layer).__name__}")
def test_pictures_give_what_volumes_give(layer):
    model, x = example(layer)
    pictures = with_image_layers(model)
    assert type(pictures.layers[1]) in (ImageConv, ImagePool) and pictures.layers[1].name == layer.name
    assert pictures.output_shape == model.output_shape
    expected = np.asarray(model(x))
    # Sums of another order: of each figure by the rounding of the largest.
    np.testing.assert_allclose(pictures(x), expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def test_grouped_convolutions_stay():
    model, _ = example(keras.layers.Conv3D(4, (1, 3, 3), groups=2))
    assert type(with_image_layers(model).layers[1]) is keras.layers.Conv3D


def test_a_network_of_pictures_keeps_its_scores():
    keras.utils.set_random_seed(0)
    model = wake_up(VideoClassifier(tiny_variant(temporal_pool=2, fast_input="half_resolution"), {"action": 5}))
    pictures = with_image_layers(keras.Model(model.input, model.endpoints["action_logits"]))
    frames = random_clip(model.variant)
    expected = np.asarray(keras.Model(model.input, model.endpoints["action_logits"])(frames))
    assert np.abs(np.asarray(pictures(frames)) - expected).max() <= 1e-5 * np.abs(expected).max()


def test_configs():
    pool = {"operation": "average", "pool_size": (1, 2, 2), "strides": (1, 2, 2), "padding": "same"}
    assert own_layers(image_layers.__name__) == {ImageConv, ImagePool}
    check_config(ImagePool, pool)
