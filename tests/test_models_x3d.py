"""Stem, block and head of X3D against NumPy, and whole networks of it."""

import dataclasses

import keras
import numpy as np
import numpy_reference as reference
import pytest
from model_case import (
    check_forward,
    check_gradients,
    check_saving,
    check_shapes,
    random_clip,
    tiny_variant,
    wake_up,
)

from kerasfast.models import x3d
from kerasfast.models.classifier import build
from kerasfast.models.cost import multiply_adds
from kerasfast.models.layers import LayerOptions
from kerasfast.models.variants import Pathway, variant
from kerasfast.weights import canonical_weights

OPTIONS = LayerOptions()
TINY = tiny_variant(
    slow=Pathway((2, 1), 5, (3, 3), (None, None)),
    fast=None,
    block="x3d",
    stem_size=3,
    stage_channels=(8, 12),
    spatial_strides=(2, 2),
    bottleneck_ratio=1 / 2.25,
    head_widths=(27, 20),
    head_window=5,
)


def noise(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def make(function, channels, *arguments, **fields):
    inputs = keras.Input((4, None, None, channels))
    return wake_up(keras.Model(inputs, function(inputs, *arguments, options=OPTIONS, **fields)))


def conv(model, x, name, **options):
    kernel = np.asarray(model.get_layer(name).kernel)
    if kernel.shape[3] == 1 < x.shape[-1]:  # depthwise: keep channels apart
        kernel = kernel[:, :, :, 0, :, None] * np.eye(kernel.shape[-1])
    return reference.conv(x, kernel, **options)


def norm(model, x, name):
    layer = model.get_layer(name)
    return reference.BatchNorm(layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance)(x)


def test_stem():
    frames = noise(1, 4, 9, 12, 3)
    model = make(x3d.x3d_stem, 3, 6, 5, 3, name="slow_stem")
    x = conv(model, frames, "slow_stem_conv_xy", strides=(1, 2, 2))
    x = norm(model, conv(model, x, "slow_stem_conv_t"), "slow_stem_bn")
    assert model.get_layer("slow_stem_conv_xy").kernel.shape == (1, 3, 3, 3, 6)
    assert model.get_layer("slow_stem_conv_t").kernel.shape == (5, 1, 1, 1, 6)
    reference.assert_close(model(frames), reference.relu(x))


@pytest.mark.parametrize("squeeze", [True, False])
@pytest.mark.parametrize(("channels", "stride"), [(6, 2), (6, 1), (8, 1)])
@pytest.mark.parametrize("shortcut_norm", [True, False])
def test_block(squeeze, channels, stride, shortcut_norm):
    x = noise(2, 4, 7, 8, 6)
    model = make(
        x3d.x3d_block, 6, channels, 14, 3, squeeze=squeeze, spatial_stride=stride, shortcut_norm=shortcut_norm, name="b"
    )
    y = reference.relu(norm(model, conv(model, x, "b_conv_a"), "b_bn_a"))
    y = norm(model, conv(model, y, "b_conv_b", strides=(1, stride, stride)), "b_bn_b")
    if squeeze:
        for part in ("fc1", "fc2"):
            layer = model.get_layer(f"b_se_{part}")
            layer.bias.assign(np.linspace(-1, 1, layer.bias.shape[0]))
        (w1, b1), (w2, b2) = (
            [np.asarray(weight, "float64") for weight in model.get_layer(f"b_se_{part}").weights]
            for part in ("fc1", "fc2")
        )
        assert w1.shape == (1, 1, 1, 14, 8)
        means = y.mean(axis=(1, 2, 3))
        gate = sigmoid(reference.relu(means @ w1[0, 0, 0] + b1) @ w2[0, 0, 0] + b2)
        y = y * gate[:, None, None, None]
    y = y * sigmoid(y)
    y = norm(model, conv(model, y, "b_conv_c"), "b_bn_c")
    shortcut = x
    if channels != 6 or stride != 1:
        shortcut = conv(model, x, "b_conv_short", strides=(1, stride, stride))
        shortcut = norm(model, shortcut, "b_bn_short") if shortcut_norm else shortcut
    reference.assert_close(model(x), reference.relu(shortcut + y))


def test_squeeze_widths():
    assert [x3d.squeeze_width(channels) for channels in (54, 108, 216, 432)] == [8, 8, 16, 32]


def test_head():
    """conv5, pooling of windows, lin5, then the head."""
    model = wake_up(build(TINY, heads={"verb": 3}))
    frames = random_clip(TINY, 1, 64, 96)  # 8x12 positions: 4x8 windows of 5x5
    names = ("slow_res3", "pooled", "verb_logits")
    features, pooled, logits = (np.asarray(keras.Model(model.input, model.endpoints[n])(frames)) for n in names)
    x = reference.relu(norm(model, conv(model, features, "head_conv5"), "head_bn5"))
    x = reference.average_windows(x, 5) @ np.asarray(model.get_layer("head_lin5").kernel)
    x = reference.relu(x)
    assert x.shape == (1, 4, 8, 20) and [w.name for w in model.get_layer("head_lin5").weights] == ["kernel"]
    reference.assert_close(pooled, x.mean(axis=(1, 2)))
    kernel, bias = (np.asarray(weight) for weight in model.get_layer("head_verb").weights)
    reference.assert_close(logits, (x @ kernel + bias).mean(axis=(1, 2)))


def test_every_other_block_squeezes():
    names = [layer.name for layer in build(variant("x3d_s_13x6"), features_only=True).layers]
    blocks = [[i for i in range(11) if f"slow_res{stage}_block{i}_se_fc1" in names] for stage in (2, 3, 4, 5)]
    assert blocks == [[0, 2], [0, 2, 4], [0, 2, 4, 6, 8, 10], [0, 2, 4, 6]]


@pytest.mark.parametrize("fields", [{}, {"first_shortcut_norm": False}])
def test_whole_networks(fields, tmp_path):
    keras.utils.set_random_seed(0)  # in one draw of some hundreds no unit of a squeeze layer is awake
    row = dataclasses.replace(TINY, **fields)
    model = build(row, heads={"verb": 3})
    for height, width in ((64, 64), (70, 90)):
        frames = random_clip(row, 1, height, width)
        check_forward(model, frames)
        check_shapes(model, frames)
    check_saving(model, frames, tmp_path)
    check_gradients(model, random_clip(row))
    named = canonical_weights(model)
    assert {id(weight) for weight in named.values()} >= {id(weight) for weight in model.trainable_weights}
    assert {"slow/stem/conv_xy/kernel", "slow/stem/conv_t/kernel", "slow/stem/bn/gamma"} <= set(named)
    assert {"slow/res2/block0/se_fc1/bias", "head/conv5/kernel", "head/bn5/moving_mean"} <= set(named)
    assert ("slow/res2/block0/bn_short/gamma" in named) == (not fields)
    assert "slow/res3/block0/bn_short/gamma" in named


def test_it_is_traced():
    """Under `predict` the graph is compiled; scores are those of the eager call."""
    model = wake_up(build(TINY, heads={"verb": 3}, dtype="mixed_bfloat16"))
    frames = random_clip(TINY, 1)
    reference.assert_close(model.predict(frames, verbose=0)["verb"], model(frames)["verb"], 1e-2)


@pytest.mark.parametrize(
    ("name", "train_crop", "test_crop"),
    [
        ("x3d_xs_4x12", 0.605, 0.844),
        ("x3d_s_13x6", 1.963, 2.727),
        ("x3d_m_16x5", 4.732, 6.186),
        ("x3d_l_16x5", 18.37, 24.78),
    ],
)
def test_multiply_adds(name, train_crop, test_crop):
    """Those of the PyTorch models at both crops."""
    model = build(name)
    row = model.variant
    assert multiply_adds(model, row.crop_size) / 1e9 == pytest.approx(train_crop, abs=0.006)
    assert multiply_adds(model, row.test_crop_size) / 1e9 == pytest.approx(test_crop, abs=0.006)
    assert row.head_window == -(-row.crop_size // 32)
