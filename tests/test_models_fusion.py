"""Lateral connections against NumPy, and a whole network with each of them."""

import keras
import numpy as np
import pytest
from model_case import (
    check_config,
    check_forward,
    check_gradients,
    check_layer_shape,
    check_saving,
    check_shapes,
    own_layers,
    random_clip,
    tiny_variant,
)

from kerasfast.models import fusion
from kerasfast.models.classifier import build
from kerasfast.models.fusion import TimeToChannel, UpsampleTo, fuse
from kerasfast.models.layers import LayerOptions

SLOW, FAST = (1, 2, 5, 6, 8), (1, 8, 5, 6, 2)


def noise(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def joined(row, slow, fast):
    a, b = keras.Input((*slow.shape[1:2], None, None, slow.shape[-1])), keras.Input((8, None, None, fast.shape[-1]))
    model = keras.Model([a, b], fuse(a, b, row, name="stem", options=LayerOptions()))
    return np.asarray(model([slow, fast])), model


def test_configs_are_complete():
    assert own_layers(fusion.__name__) == {TimeToChannel, UpsampleTo}
    check_config(TimeToChannel, {"alpha": 4, "name": "some"})
    check_config(UpsampleTo, {"name": "some"})


def test_time_sample():
    slow, fast = noise(*SLOW), noise(*FAST)
    got, model = joined(tiny_variant(lateral="time_sample"), slow, fast)
    np.testing.assert_array_equal(got, np.concatenate([slow, fast[:, [0, 4]]], axis=-1))
    assert not model.weights


def test_time_to_channel_concat():
    slow, fast = noise(*SLOW), noise(*FAST)
    got, model = joined(tiny_variant(lateral="time_to_channel_concat"), slow, fast)
    assert got.shape == (1, 2, 5, 6, 8 + 4 * 2) and not model.weights
    for out in range(2):
        packed = np.concatenate([fast[:, 4 * out + t] for t in range(4)], axis=-1)
        np.testing.assert_array_equal(got[:, out], np.concatenate([slow[:, out], packed], axis=-1))


def test_time_to_channel_sum():
    slow, fast = noise(*SLOW), noise(*FAST)
    got, _ = joined(tiny_variant(lateral="time_to_channel_sum"), slow, fast)
    concatenated, _ = joined(tiny_variant(lateral="time_to_channel_concat"), slow, fast)
    np.testing.assert_array_equal(got, slow + concatenated[..., 8:])


def test_none():
    a, b = keras.Input(SLOW[1:]), keras.Input(FAST[1:])
    assert fuse(a, b, tiny_variant(lateral="none"), name="stem", options=LayerOptions()) is a


@pytest.mark.parametrize(("height", "width"), [(6, 8), (5, 7)])
def test_half_resolution_is_repeated_to_the_slow_size(height, width):
    row = tiny_variant(lateral="time_sample", fast_input="half_resolution")
    slow, fast = noise(1, 2, height, width, 8), noise(1, 8, (height + 1) // 2, (width + 1) // 2, 2)
    got, _ = joined(row, slow, fast)
    for y, x in np.ndindex(height, width):
        np.testing.assert_array_equal(got[:, :, y, x, 8:], fast[:, [0, 4], y // 2, x // 2])


def test_layer_shapes():
    assert check_layer_shape(TimeToChannel(4), noise(*FAST)) == (1, 2, 5, 6, 8)
    layer = UpsampleTo()
    like = keras.KerasTensor((None, 2, None, None, 8))
    assert layer([keras.KerasTensor((None, 8, None, None, 2)), like]).shape == (None, 8, None, None, 2)
    assert layer([noise(1, 8, 3, 3, 2), noise(*SLOW)]).shape == (1, 8, 5, 6, 2)


ABLATIONS = {
    "sample": {"lateral": "time_sample"},
    "sum": {"lateral": "time_to_channel_sum"},
    "concat": {"lateral": "time_to_channel_concat"},
    "none": {"lateral": "none"},
    "no norm": {"lateral_norm": False, "slow_frames": "stride"},
    "gray": {"fast_input": "gray"},
    "difference": {"fast_input": "time_difference"},
    "half": {"fast_input": "half_resolution"},
    "half, interpolated": {"fast_input": "half_resolution", "head_fusion": "interpolate_then_concat"},
}


@pytest.mark.parametrize("fields", ABLATIONS.values(), ids=ABLATIONS)
def test_whole_networks(fields, tmp_path):
    keras.utils.set_random_seed(0)
    model = build(tiny_variant(**fields), heads={"verb": 3})
    for height, width in ((64, 64), (70, 90)):  # odd sides on the way
        frames = random_clip(model.variant, 1, height, width)
        check_forward(model, frames)
        check_shapes(model, frames)
    check_saving(model, frames, tmp_path)
    check_gradients(model, random_clip(model.variant))
