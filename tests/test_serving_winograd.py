import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from documentation import ROOT
from model_case import random_clip
from serving_case import largest_difference, small_variant, spread_model

from kerasfast.models.depthwise import DepthwiseConv3D
from kerasfast.serving.saved_model import export
from kerasfast.serving.winograd import (
    TAPS,
    WORTHWHILE,
    WinogradConv3D,
    estimated_share,
    transformed_kernel,
    with_winograd,
)

# Inner channels of 64 and 128, which are enough for a gain along time and in pictures.
WIDE = {"stage_channels": (256, 512), "stem_channels": 64}


def kernel_size(over_time):
    return (TAPS, 1, 1) if over_time else (1, TAPS, TAPS)


def both(over_time, filters=5, channels=7, dtype="float32"):
    """A convolution, and its twin by Winograd."""
    keras.utils.set_random_seed(0)
    direct = keras.layers.Conv3D(
        filters, kernel_size(over_time), padding="same", bias_initializer="normal", dtype=dtype
    )
    winograd = WinogradConv3D(filters, over_time)
    for layer in (direct, winograd):
        layer.build((None, None, None, None, channels))
    kernel, bias = direct.get_weights()
    winograd.set_weights([transformed_kernel(kernel), bias])
    return direct, winograd


# Lengths of no whole tile, of one, of less than one.
@pytest.mark.parametrize("sizes", [(8, 6, 9), (4, 4, 4), (5, 7, 1), (1, 1, 2), (3, 10, 13)])
@pytest.mark.parametrize("over_time", [True, False])
def test_it_is_the_convolution(sizes, over_time):
    direct, winograd = both(over_time)
    x = np.random.default_rng(0).normal(size=(2, *sizes, 7)).astype("float32")
    expected = direct(x).numpy()
    np.testing.assert_allclose(winograd(x), expected, atol=1e-5 * np.abs(expected).max())
    assert winograd.compute_output_shape(x.shape) == expected.shape


@pytest.mark.parametrize("over_time", [True, False])
def test_one_graph_takes_all_sizes(over_time):
    direct, winograd = both(over_time)
    spec = tf.TensorSpec((None, None, None, None, 7))
    graph = tf.function(lambda x: winograd(x), input_signature=[spec], autograph=False)
    for sizes in ((1, 8, 6, 9), (3, 5, 4, 2)):
        x = np.random.default_rng(0).normal(size=(*sizes, 7)).astype("float32")
        np.testing.assert_allclose(graph(x), direct(x), atol=1e-5)
    assert graph.experimental_get_tracing_count() == 1


@pytest.mark.parametrize(("over_time", "most"), [(True, 3), (False, 4)])
def test_it_rounds_little_more_than_a_direct_convolution(over_time, most):
    # Mean errors against float64, with features as a ReLU leaves them and enough channels for a fair mean.
    direct, winograd = both(over_time, filters=32, channels=64)
    exact = both(over_time, filters=32, channels=64, dtype="float64")[0]
    exact.set_weights(direct.get_weights())
    x = np.maximum(np.random.default_rng(0).normal(size=(1, 8, 12, 12, 64)), 0).astype("float32")
    errors = [np.abs(layer(x) - exact(x.astype("float64"))).mean() for layer in (direct, winograd)]
    assert 0 < errors[1] < most * errors[0]


def graph_of(channels=256, sizes=(8, None, None), **options):
    options = {"filters": 256, "kernel_size": (TAPS, 1, 1), "padding": "same", **options}
    inputs = keras.Input((*sizes, channels))
    x = keras.layers.Conv3D(name="conv", **options)(inputs)
    return keras.Model(inputs, keras.layers.ReLU(name="relu")(x))


@pytest.mark.parametrize("size", [(TAPS, 1, 1), (1, TAPS, TAPS)])
def test_a_graph_with_such_convolutions_gives_the_same(size):
    model = graph_of(kernel_size=size)
    before = model.get_weights()
    faster, count = with_winograd(model, 16)
    assert count == 1 and [layer.name for layer in faster.layers] == [layer.name for layer in model.layers]
    assert isinstance(faster.get_layer("conv"), WinogradConv3D)
    x = np.random.default_rng(0).normal(size=(2, 8, 10, 14, 256)).astype("float32")
    expected = model.predict(x, verbose=0)
    np.testing.assert_allclose(faster.predict(x, verbose=0), expected, atol=1e-5 * expected.max())
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


@pytest.mark.parametrize(
    "options",
    [
        {"strides": (2, 1, 1)},
        {"dilation_rate": (2, 1, 1)},
        {"groups": 2},
        {"padding": "valid"},
        {"use_bias": False},
        {"dtype": "mixed_bfloat16"},
        {"kernel_size": (5, 1, 1)},
        {"kernel_size": (3, 3, 3)},
        {"kernel_size": 1},
        {"filters": 8, "channels": 8},  # too few for a gain
    ],
)
def test_other_convolutions_stay(options):
    model = graph_of(**options)
    same, count = with_winograd(model, 16)
    assert count == 0 and same is model


def test_a_depthwise_convolution_stays():
    inputs = keras.Input((8, None, None, 256))
    model = keras.Model(inputs, DepthwiseConv3D(256, (1, TAPS, TAPS), padding="same")(inputs))
    assert with_winograd(model, 16) == (model, 0)


def test_the_choice_is_the_one_that_was_measured():
    rows = json.loads((ROOT / "benchmarks" / "winograd.json").read_text("utf-8"))["convolutions"]
    chosen = {True: [], False: []}
    for row in rows:
        estimate = estimated_share((1, *row["input"]), row["filters"], row["over_time"])
        assert estimate == pytest.approx(row["estimated_share"], abs=1e-3), "run tools/bench_winograd.py again"
        chosen[estimate <= WORTHWHILE].append(row["share"])
    assert max(chosen[True]) < 1 and len(chosen[True]) > 5
    assert max(chosen[True]) <= min(chosen[False]) + 0.05 and len(chosen[False]) > 3


def test_the_estimate_grows_with_the_batch_as_the_convolution_does():
    assert estimated_share((4, 8, 16, 16, 256), 256, False) == estimated_share((1, 8, 16, 16, 256), 256, False)


@pytest.fixture(scope="module")
def wide():
    return spread_model(small_variant(**WIDE))


def test_an_export_uses_it_and_answers_alike(wide, tmp_path):
    frames = random_clip(wide.variant, height=80, width=112)  # not the testing size
    expected = wide(frames)
    reports = [export(wide, tmp_path / str(number), winograd=bool(number)) for number in (0, 1)]
    assert [bool(report.winograd) for report in reports] == [False, True]
    assert reports[1].bytes > 1.5 * reports[0].bytes
    assert f", {reports[1].winograd} convolutions by Winograd" in str(reports[1]) and "Winograd" not in str(reports[0])
    for report in reports:
        served = tf.saved_model.load(str(report.path)).signatures["serving_default"]
        assert largest_difference(served(frames=tf.constant(frames)), expected) <= 1e-5


def test_an_export_in_bfloat16_does_not(wide, tmp_path):
    assert export(wide, tmp_path / "1", precision="bfloat16", signatures=["serving_default"]).winograd == 0
