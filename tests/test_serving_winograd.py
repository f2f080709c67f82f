import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from documentation import ROOT
from model_case import random_clip, wake_up
from serving_case import largest_difference, small_variant, spread_model

from kerasfast.models.classifier import build
from kerasfast.models.cost import multiply_adds
from kerasfast.models.depthwise import DepthwiseConv3D
from kerasfast.serving.fold import fold_batch_norm
from kerasfast.serving.saved_model import export
from kerasfast.serving.winograd import (
    TAPS,
    Cost,
    WinogradConv3D,
    multiply_adds_left_out,
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


# With the usual points 0, 1, -1, 2, -2 the error in pictures is nearly four times that of a direct convolution.
@pytest.mark.parametrize(("over_time", "most"), [(True, 2.5), (False, 3)])
def test_it_rounds_little_more_than_a_direct_convolution(over_time, most):
    # Mean errors against float64, with features as a ReLU leaves them and enough channels for a fair mean.
    direct, winograd = both(over_time, filters=32, channels=64)
    exact = both(over_time, filters=32, channels=64, dtype="float64")[0]
    exact.set_weights(direct.get_weights())
    x = np.maximum(np.random.default_rng(0).normal(size=(1, 8, 12, 12, 64)), 0).astype("float32")
    expected = exact(x.astype("float64")).numpy()
    errors = [np.abs(layer(x).numpy() - expected).mean() for layer in (direct, winograd)]
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
    assert count == 1 and [layer.name for layer in faster.layers[1:]] == ["conv", "relu"]
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
        {"activation": "relu"},
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
    # Of the machine that the estimate was fitted on: on another, fit it anew or leave the file as it is.
    rows = json.loads((ROOT / "benchmarks" / "winograd.json").read_text("utf-8"))["convolutions"]
    shares = {True: [], False: []}
    for row in rows:
        cost = Cost.of((1, *row["input"]), row["filters"], row["over_time"])
        assert cost.estimated_share == pytest.approx(row["estimated_share"], abs=1e-3), "run tools/bench_winograd.py"
        assert cost.worthwhile == row["used"]
        shares[cost.worthwhile].append(row["share"])
    # No choice costs time, and none that would save a third of it is missed.
    assert max(shares[True]) < 1 and min(shares[False]) > 2 / 3
    assert min(len(found) for found in shares.values()) > 3


def test_costs():
    # Two tiles of four frames at one position: 12 products a channel of the input and the output; both transforms are
    # matrices of 12 x 8.
    cost = Cost.of((1, 8, 1, 1, 5), 7, True)
    assert (cost.direct, cost.multiplied) == (8 * 3 * 5 * 7, 12 * 5 * 7 + 12 * 8 * (5 + 7))
    assert cost.written == 12 * (5 + 7)
    # A picture of 4 x 4: 36 products; 6 x 4 matrices along both sides, the second for 6 rows.
    cost = Cost.of((2, 3, 4, 4, 5), 7, False)
    assert cost.direct == 6 * 16 * 9 * 5 * 7
    assert cost.multiplied == 6 * (36 * 5 * 7 + (6 * 4 * 4 + 6 * 6 * 4) * (5 + 7))
    assert cost.written == 6 * (6 * 4 + 2 * 36) * (5 + 7)


def test_the_multiplications_that_are_left_out():
    model = graph_of()
    cost = Cost.of((1, 8, 16, 16, 256), 256, True)
    assert multiply_adds_left_out(model, 16) == cost.direct - cost.multiplied > 0
    assert multiply_adds_left_out(graph_of(strides=(2, 1, 1)), 16) == 0


@pytest.fixture(scope="module")
def wide():
    return spread_model(small_variant(**WIDE))


def test_an_export_uses_it_and_answers_alike(wide, tmp_path):
    frames = random_clip(wide.variant, height=80, width=112)  # not the testing size
    expected = wide(frames)
    reports = [export(wide, tmp_path / str(number), winograd=bool(number)) for number in (0, 1)]
    assert [bool(report.winograd) for report in reports] == [False, True]
    assert reports[1].bytes > reports[0].bytes
    assert f", {reports[1].winograd} convolutions by Winograd" in str(reports[1]) and "Winograd" not in str(reports[0])
    for report in reports:
        served = tf.saved_model.load(str(report.path)).signatures["serving_default"]
        assert largest_difference(served(frames=tf.constant(frames)), expected) <= 1e-5


def test_where_a_gpu_is_seen_it_has_to_be_asked_for(wide, tmp_path, monkeypatch):
    monkeypatch.setattr("kerasfast.serving.saved_model.on_gpu", lambda: True)
    found = {}
    for number, winograd in enumerate((None, True)):
        report = export(wide, tmp_path / str(number), winograd=winograd, signatures=["serving_default"])
        found[winograd] = report.winograd > 0
    assert found == {None: False, True: True}


def test_an_export_that_differs_says_what_to_try(wide, tmp_path, monkeypatch):
    wrong = lambda kernel: 1.1 * transformed_kernel(kernel)  # noqa: E731
    monkeypatch.setattr("kerasfast.serving.winograd.transformed_kernel", wrong)
    with pytest.raises(ValueError, match="Check that the weights are finite, and try winograd=False"):
        export(wide, tmp_path / "1", winograd=True, signatures=["serving_default"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_whole_resnet():
    """SlowFast R50: which convolutions change, what that saves, costs and rounds."""
    keras.utils.set_random_seed(0)
    model = wake_up(build("slowfast_r50_8x8"))
    direct, _ = fold_batch_norm(keras.Model(model.input, {"pooled": model.endpoints["pooled"]}))
    faster, count = with_winograd(direct, 256)
    assert count == 19
    assert 0.6 < 1 - multiply_adds_left_out(direct, 256) / multiply_adds(model, 256) < 0.75
    assert 1.9 < faster.count_params() / direct.count_params() < 2.2
    frames = random_clip(model.variant, batch=1, height=128, width=128).astype("float32")
    expected, found = direct(frames)["pooled"].numpy(), faster(frames)["pooled"].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5 * expected.max())


def test_an_export_in_bfloat16_does_not(wide, tmp_path):
    assert export(wide, tmp_path / "1", precision="bfloat16", signatures=["serving_default"]).winograd == 0
