"""The depthwise convolution against its definition and against Keras' grouped one."""

import keras
import numpy as np
import numpy_reference as reference
import pytest
from model_case import check_config, check_layer_shape, own_layers

from kerasfast.models import depthwise, layers
from kerasfast.models.depthwise import DepthwiseConv3D


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def full_kernel(kernel):
    """`(t, h, w, 1, C)` as an ordinary kernel `(t, h, w, C, C)` that keeps channels apart."""
    return kernel[:, :, :, 0, :, None] * np.eye(kernel.shape[-1])


def test_config_is_complete():
    assert own_layers(depthwise.__name__) == {DepthwiseConv3D}
    values = {"filters": 6, "kernel_size": (3, 3, 3), "groups": 6, "strides": (1, 2, 2), "use_bias": False}
    check_config(DepthwiseConv3D, values)


@pytest.mark.parametrize(
    ("size", "strides"),
    [((3, 3, 3), (1, 1, 1)), ((3, 3, 3), (1, 2, 2)), ((5, 1, 1), (1, 1, 1)), ((1, 1, 1), (1, 2, 2))],
)
@pytest.mark.parametrize("shape", [(4, 8, 10), (5, 7, 9)])
def test_against_numpy(size, strides, shape):
    clip, kernel = noise(2, *shape, 6), noise(*size, 1, 6, seed=1)
    inputs = keras.Input((shape[0], None, None, 6))
    options = layers.LayerOptions()
    outputs = layers.conv(inputs, 6, size, strides=strides, depthwise=True, name="conv", options=options)
    model = keras.Model(inputs, outputs)
    assert [weight.shape for weight in model.weights] == [kernel.shape]
    model.get_layer("conv").kernel.assign(kernel)
    expected = reference.conv(clip, full_kernel(kernel), strides)
    reference.assert_close(model(clip), expected)
    assert all(declared in (None, real) for declared, real in zip(outputs.shape, expected.shape, strict=True))


def test_like_the_grouped_convolution_of_keras():
    clip = noise(1, 4, 6, 6, 4)
    ours = DepthwiseConv3D(4, (3, 3, 3), padding="same", bias_initializer="ones")
    got = ours(clip)
    grouped = keras.layers.Conv3D(4, (3, 3, 3), padding="same", groups=4)
    grouped.build(clip.shape)
    grouped.set_weights(ours.get_weights())
    reference.assert_close(got, np.asarray(grouped(clip)))
    assert check_layer_shape(ours, clip) == (1, 4, 6, 6, 4)


@pytest.mark.parametrize("size", [(3, 3, 3), (5, 1, 1)])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_bias_and_padding(size, padding):
    clip = noise(2, 6, 6, 6, 4)
    ours = DepthwiseConv3D(4, size, padding=padding, activation="relu")
    got = ours(clip)
    weights = [noise(*size, 1, 4, seed=1), noise(4, seed=2)]
    ours.set_weights(weights)
    grouped = keras.layers.Conv3D(4, size, padding=padding, groups=4, activation="relu")
    grouped.build(clip.shape)
    grouped.set_weights(weights)
    assert got.shape == ours.compute_output_shape(clip.shape)
    reference.assert_close(ours(clip), np.asarray(grouped(clip)))


def test_starts_with_the_deviation_of_its_output_channels():
    """sqrt(2 / (channels x taps)), as torch's kaiming_normal with fan_out takes a grouped kernel."""
    layer = layers.conv(
        keras.Input((8, None, None, 432)), 432, (3, 3, 3), depthwise=True, name="conv", options=layers.LayerOptions()
    )._keras_history.operation
    np.testing.assert_allclose(np.asarray(layer.kernel).std(), np.sqrt(2 / (432 * 27)), rtol=0.03)


@pytest.mark.parametrize("wrong", [{"groups": 2}, {"strides": (2, 1, 1)}, {"dilation_rate": (2, 1, 1)}])
def test_what_it_cannot_do_is_refused(wrong):
    with pytest.raises(ValueError, match=r"one group for each channel.*Use keras\.layers\.Conv3D"):
        DepthwiseConv3D(4, (3, 3, 3), **wrong)


def test_other_channels_are_refused():
    with pytest.raises(ValueError, match=r"as many channels.*Received: 6 input channels, filters=4\. Use filters=6"):
        DepthwiseConv3D(4, (3, 3, 3))(noise(1, 4, 6, 6, 6))
