"""Stem and bottleneck against NumPy."""

import keras
import numpy as np
import numpy_reference as reference
import pytest
from model_case import wake_up

from kerasfast.models import blocks
from kerasfast.models.layers import LayerOptions

OPTIONS = LayerOptions()


def make(function, channels, *arguments, **options):
    inputs = keras.Input((None, None, None, channels))
    return wake_up(keras.Model(inputs, function(inputs, *arguments, options=OPTIONS, **options)))


def noise(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def conv_bn(model, x, conv, bn, **options):
    layer = model.get_layer(bn)
    norm = reference.BatchNorm(layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance)
    return norm(reference.conv(x, np.asarray(model.get_layer(conv).kernel), **options))


@pytest.mark.parametrize("shape", [(3, 20, 24), (6, 21, 19)])
@pytest.mark.parametrize(("temporal_kernel", "size"), [(1, 7), (5, 7), (5, 5)])
def test_stem(shape, temporal_kernel, size):
    frames = noise(1, *shape, 3)
    model = make(blocks.stem, 3, 4, temporal_kernel, size, name="fast_stem")
    x = reference.relu(conv_bn(model, frames, "fast_stem_conv", "fast_stem_bn", strides=(1, 2, 2)))
    reference.assert_close(model(frames), reference.max_pool(x))


@pytest.mark.parametrize(
    ("channels", "inner", "kernel", "stride", "dilation"),
    [(12, 4, 3, 2, 1), (12, 4, 1, 1, 1), (6, 4, 3, 1, 1), (6, 4, 1, 2, 1), (6, 4, 3, 1, 2)],
)
def test_bottleneck(channels, inner, kernel, stride, dilation):
    x = noise(1, 4, 9, 8, 6)
    model = make(
        blocks.bottleneck, 6, channels, inner, kernel, spatial_stride=stride, spatial_dilation=dilation, name="b"
    )
    strides = (1, stride, stride)
    y = reference.relu(conv_bn(model, x, "b_conv_a", "b_bn_a"))
    y = reference.relu(conv_bn(model, y, "b_conv_b", "b_bn_b", strides=strides, dilation=dilation))
    y = conv_bn(model, y, "b_conv_c", "b_bn_c")
    has_shortcut = channels != 6 or stride != 1
    assert has_shortcut == any(layer.name == "b_conv_short" for layer in model.layers)
    shortcut = conv_bn(model, x, "b_conv_short", "b_bn_short", strides=strides) if has_shortcut else x
    reference.assert_close(model(x), reference.relu(shortcut + y))


@pytest.mark.parametrize("zero_init", [True, False])
def test_fresh_block_is_its_shortcut_if_told_so(zero_init):
    inputs = keras.Input((None, None, None, 6))
    block = blocks.bottleneck(inputs, 6, 4, 3, name="b", options=OPTIONS, zero_init=zero_init)
    x = noise(1, 4, 6, 6, 6)
    assert np.array_equal(keras.Model(inputs, block)(x), reference.relu(x)) == zero_init
