"""What each pathway sees of a clip."""

import keras
import numpy as np
import numpy_reference as reference
import pytest
from model_case import check_config, check_layer_shape, own_layers, random_clip, tiny_variant

from kerasfast.models import inputs
from kerasfast.models.inputs import Gray, TimeDifference, normalize, pathway_input
from kerasfast.models.layers import LayerOptions

LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


def seen(row, path, frames, dtype=None):
    """The pathway's input, and the normalised pixels that it comes from."""
    clip = keras.Input((row.clip.frames, None, None, 3))
    x = pathway_input(normalize(clip, row), row, path, LayerOptions(dtype=dtype))
    return np.asarray(keras.Model(clip, x)(frames)), (frames - np.array(row.pixel_mean)) / np.array(row.pixel_std)


def test_configs_are_complete():
    assert own_layers(inputs.__name__) == {Gray, TimeDifference}
    check_config(Gray, {"name": "some"})
    check_config(TimeDifference, {"name": "some"})


def test_layer_shapes():
    clip = np.random.default_rng(0).normal(size=(2, 4, 5, 6, 3)).astype("float32")
    assert check_layer_shape(Gray(), clip) == (2, 4, 5, 6, 1)
    assert check_layer_shape(TimeDifference(), clip) == (2, 4, 5, 6, 3)


@pytest.mark.parametrize(
    "constants",
    [
        {},
        {"pixel_mean": (123.675, 116.28, 103.53), "pixel_std": (58.395, 57.12, 57.375)},
        {"pixel_std": (58.0, 57.0, 57.0)},
    ],
)
def test_pixels_are_normalised_by_channel(constants):
    row = tiny_variant(**constants)
    got, pixels = seen(row, "fast", random_clip(row, batch=1))
    reference.assert_close(got, pixels, 1e-6)


@pytest.mark.parametrize(("rule", "chosen"), [("linspace", (0, 7)), ("stride", (0, 4))])
def test_slow_frames(rule, chosen):
    row = tiny_variant(slow_frames=rule)
    got, pixels = seen(row, "slow", random_clip(row, batch=1))
    reference.assert_close(got, pixels[:, chosen], 1e-6)


def test_slow_alone_sees_every_frame():
    row = tiny_variant(fast=None)
    got, pixels = seen(row, "slow", random_clip(row, batch=1))
    reference.assert_close(got, pixels, 1e-6)


def test_fast_sees_every_frame():
    row = tiny_variant()
    got, pixels = seen(row, "fast", random_clip(row, batch=1))
    reference.assert_close(got, pixels, 1e-6)


def test_gray():
    row = tiny_variant(fast_input="gray")
    got, pixels = seen(row, "fast", random_clip(row, batch=1))
    reference.assert_close(got, (pixels @ LUMA)[..., None], 1e-6)


@pytest.mark.parametrize("dtype", [None, "mixed_bfloat16"])
def test_time_difference(dtype):
    row = tiny_variant(fast_input="time_difference")
    got, pixels = seen(row, "fast", random_clip(row, batch=1), dtype)
    gray = (pixels @ LUMA)[..., None]
    assert got.shape == (1, 8, 64, 64, 1)
    reference.assert_close(got[:, 1:], gray[:, 1:] - gray[:, :-1])
    assert not got[:, 0].any()  # a still clip is zero throughout, from its first frame on


@pytest.mark.parametrize(("height", "width"), [(64, 72), (65, 67)])
def test_half_resolution(height, width):
    row = tiny_variant(fast_input="half_resolution")
    got, pixels = seen(row, "fast", random_clip(row, 1, height, width))
    # Means of 2x2 pixels, and of those there are at the end of an odd side.
    padded = np.pad(pixels, [(0, 0), (0, 0), (0, height % 2), (0, width % 2), (0, 0)], constant_values=np.nan)
    windows = padded.reshape(1, 8, padded.shape[2] // 2, 2, padded.shape[3] // 2, 2, 3)
    reference.assert_close(got, np.nanmean(windows, axis=(3, 5)), 1e-6)
