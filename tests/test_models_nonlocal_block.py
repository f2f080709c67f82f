"""The non-local block against the sum that defines it, position by position."""

import dataclasses

import keras
import numpy as np
import numpy_reference as reference
import pytest
from model_case import (
    check_config,
    check_forward,
    check_gradients,
    check_saving,
    check_shapes,
    own_layers,
    random_clip,
    tiny_variant,
    wake_up,
)

from kerasfast.models import nonlocal_block as module
from kerasfast.models.classifier import build
from kerasfast.models.layers import LayerOptions
from kerasfast.models.nonlocal_block import NonLocalOperation, nonlocal_block
from kerasfast.weights import canonical_weights

ROW = tiny_variant(nonlocal_after=((2, 0),))


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def non_local(theta, phi, g, instantiation):
    """y_i = sum over j of f(theta_i, phi_j) g_j / C(x): Wang et al. 2018, equations 1, 3 and 4."""
    y = np.zeros(theta.shape)
    for at in np.ndindex(theta.shape[:4]):
        clip, query = at[0], theta[at].astype("float64")
        keys = list(np.ndindex(phi.shape[1:4]))
        dots = np.array([query @ phi[(clip, *key)] for key in keys])
        if instantiation == "softmax":
            weights = np.exp(dots / np.sqrt(len(query)))
            weights /= weights.sum()
        else:
            weights = dots / len(keys)
        y[at] = sum(weight * g[(clip, *key)] for weight, key in zip(weights, keys, strict=True))
    return y


def pool(x, size):
    """The largest value of each whole window; what is left over at the ends falls away."""
    t, h, w = (n // s for n, s in zip(x.shape[1:4], size, strict=True))
    x = x[:, : t * size[0], : h * size[1], : w * size[2]]
    return x.reshape(len(x), t, size[0], h, size[1], w, size[2], -1).max(axis=(2, 4, 6))


def test_configs_are_complete():
    assert own_layers(module.__name__) == {NonLocalOperation}
    check_config(NonLocalOperation, {"instantiation": "dot_product", "name": "some"})
    with pytest.raises(ValueError, match=r"must be one of softmax, dot_product\. Received: 'gaussian'"):
        NonLocalOperation("gaussian")


@pytest.mark.parametrize("instantiation", ["softmax", "dot_product"])
def test_operation_is_the_sum(instantiation):
    theta, phi, g = noise(2, 3, 4, 5, 6), noise(2, 3, 2, 3, 6, seed=1), noise(2, 3, 2, 3, 6, seed=2)
    layer = NonLocalOperation(instantiation)
    reference.assert_close(layer([theta, phi, g]), non_local(theta, phi, g, instantiation))
    assert layer.compute_output_shape([x.shape for x in (theta, phi, g)]) == theta.shape


def test_bfloat16():
    """Under bfloat16 the result is bfloat16 and as near as its 8 bits allow."""
    theta, phi, g = (noise(1, 2, 4, 4, 8, seed=seed) for seed in range(3))
    got = NonLocalOperation("softmax", dtype="mixed_bfloat16")([theta, phi, g])
    assert keras.backend.standardize_dtype(got.dtype) == "bfloat16"
    reference.assert_close(keras.ops.cast(got, "float32"), non_local(theta, phi, g, "softmax"), 2e-2)


@pytest.mark.parametrize("instantiation", ["softmax", "dot_product"])
@pytest.mark.parametrize("size", [(1, 1, 1), (1, 2, 2), (2, 2, 2)])
def test_block_against_numpy(instantiation, size):
    row = dataclasses.replace(ROW, nonlocal_instantiation=instantiation, nonlocal_pool=size)
    inputs = keras.Input((2, None, None, 6))
    outputs = nonlocal_block(inputs, row, name="slow_res2_nonlocal0", options=LayerOptions())
    model = wake_up(keras.Model(inputs, outputs))
    generator = np.random.default_rng(3)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv3D):
            layer.bias.assign(generator.normal(size=layer.bias.shape))
    x = noise(2, 2, 5, 4, 6)

    def point(values, part):
        kernel, bias = (np.asarray(weight) for weight in model.get_layer(f"slow_res2_nonlocal0_{part}").weights)
        assert kernel.shape[:3] == (1, 1, 1)
        return values @ kernel[0, 0, 0] + bias

    pooled = pool(x, size)
    y = non_local(point(x, "theta"), point(pooled, "phi"), point(pooled, "g"), instantiation)
    assert y.shape[-1] == 3  # half the channels
    layer = model.get_layer("slow_res2_nonlocal0_bn")
    norm = reference.BatchNorm(layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance)
    reference.assert_close(model(x), x + norm(point(y, "out")))
    assert any("pool" in layer.name for layer in model.layers) == (size != (1, 1, 1))


@pytest.mark.parametrize(
    "fields",
    [
        {"nonlocal_after": ((2, 1), (3, 0))},
        {"nonlocal_after": ((2, 0),), "nonlocal_instantiation": "dot_product", "nonlocal_pool": (2, 2, 2)},
        {"nonlocal_after": ((3, 0),), "temporal_pool": 2, "fast": None},
    ],
)
def test_whole_networks(fields, tmp_path):
    keras.utils.set_random_seed(0)
    model = build(tiny_variant(**fields), heads={"verb": 3})
    for height, width in ((64, 64), (70, 90)):
        frames = random_clip(model.variant, 1, height, width)
        check_forward(model, frames)
        check_shapes(model, frames)
    check_saving(model, frames, tmp_path)
    # Two biases get rounding errors for a gradient: phi's adds the same to every j, which a softmax does not see, and
    # the batch norm takes out's away.
    check_gradients(model, random_clip(model.variant))
    named = canonical_weights(model)
    assert {id(weight) for weight in named.values()} >= {id(weight) for weight in model.trainable_weights}
    for stage, block in model.variant.nonlocal_after:
        assert f"slow/res{stage}/nonlocal{block}/theta/bias" in named


def test_it_stands_behind_its_block_inside_the_stage():
    """Both the next block and the endpoint of the stage see what it adds."""
    row = tiny_variant(nonlocal_after=((2, 0), (2, 1)))
    model = build(row, heads={"verb": 3})
    assert model.get_layer("slow_res2_nonlocal0").input[0] is model.get_layer("slow_res2_block0_relu").output
    assert model.get_layer("slow_res2_block1_conv_a").input is model.get_layer("slow_res2_nonlocal0").output
    assert model.endpoints["slow_res2"] is model.get_layer("slow_res2_nonlocal1").output
    assert not any("nonlocal" in layer.name for layer in model.layers if layer.name.startswith("fast"))


def test_fresh_block_is_its_input():
    """Wang et al. 2018, section 4.1: a new block must not disturb a network that has been trained without it."""
    inputs = keras.Input((2, None, None, 6))
    model = keras.Model(inputs, nonlocal_block(inputs, ROW, name="b", options=LayerOptions()))
    x = noise(1, 2, 4, 4, 6)
    np.testing.assert_array_equal(model(x), x)
