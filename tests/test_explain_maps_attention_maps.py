"""Maps of each pathway: that tf-keras-vis computes what its papers say here, and that maps lie where things are."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from bench_explain import cases, on_object

import kerasfast as kf
from kerasfast.explain.maps import attention_maps as module
from kerasfast.explain.maps.attention_maps import METHODS, attention_maps
from kerasfast.models.layers import slow_frame_indices


@pytest.fixture(scope="module")
def model():
    return kf.load("slowfast_nano.miniature")


@pytest.fixture(scope="module")
def recognised(model):
    """Clips of a development seed whose action the network recognises."""
    return list(cases(model, seed=2, wanted=12))


@pytest.fixture(scope="module")
def frames(recognised):
    return recognised[0].frames


@pytest.fixture(scope="module")
def action(recognised):
    return recognised[0].action


def seen_by_slow(model):
    return list(slow_frame_indices(32, model.variant.alpha))


def test_gradcam_is_the_head_on_the_features(model, frames, action):
    """The heads are linear in the pooled features, so a channel's mean gradient is its weight, up to one factor."""
    features = keras.Model(model.input, [model.endpoints["slow_res4"], model.endpoints["fast_res4"]])
    slow, fast = features(frames[None].astype("float32"))
    weights = model.get_layer("head_action").kernel[:, action].numpy()
    maps = attention_maps(model, frames, "action", action)
    for path, found, part in (("slow", slow, weights[:256]), ("fast", fast, weights[256:])):
        expected = np.maximum(found.numpy()[0] @ part, 0)
        expected /= expected.max()
        at = seen_by_slow(model) if path == "slow" else range(32)
        # Cells are centred on every 16th pixel, Slow features on the frames that Slow sees.
        np.testing.assert_allclose(maps[path][at][:, ::16, ::16], expected, atol=1e-4)


def test_cells_are_centred_on_every_16th_pixel(model, frames):
    """Where the pixels lie that a feature depends on: tf-keras-vis would draw cell 2 of 4 at pixel 42."""
    for path in ("slow", "fast"):
        features = keras.Model(model.input, model.endpoints[f"{path}_res4"])
        pixels = tf.Variable(np.random.default_rng(0).uniform(0, 255, (1, 32, 64, 64, 3)).astype("float32"))
        with tf.GradientTape() as tape:
            cell = tf.reduce_sum(features(pixels)[:, :, 2, 2])
        energy = tape.gradient(cell, pixels).numpy()[0] ** 2
        assert energy.sum() > 0
        across = energy.sum(axis=(0, 1, 3))
        centre = (across * np.arange(64)).sum() / across.sum()
        assert abs(centre - 32) < 4, path
        assert module._stride(model, path, True) == 16


def test_gradcam_plus_plus_does_not_depend_on_where_the_logit_stands(model, frames, action):
    """tf-keras-vis alone multiplies by exp(logit): above 88 its map is NaN."""
    from tf_keras_vis.utils.scores import CategoricalScore

    expected = attention_maps(model, frames, "action", action, "gradcam++")
    bias = model.get_layer("head_action").bias
    before = bias.numpy()
    try:
        for shift in (200.0, -200.0):
            bias.assign(before + shift)
            maps = attention_maps(model, frames, "action", action, "gradcam++")
            for path in maps:
                np.testing.assert_allclose(maps[path], expected[path], atol=1e-4)
        bias.assign(before + 200.0)
        network = keras.Model(model.input, model.endpoints["action_logits"])
        alone = module._tf_keras_vis().GradcamPlusPlus(network, clone=False)(
            CategoricalScore(action),
            frames[None].astype("float32"),
            penultimate_layer=model.endpoints["slow_res4"]._keras_history.operation,
            seek_penultimate_conv_layer=False,
            expand_cam=False,
        )
        assert np.isnan(alone).any()
    finally:
        bias.assign(before)


def test_saliency_is_the_gradient_of_the_pixels_of_a_pathway(model, frames, action):
    """In frames that Slow does not see, the gradient of the whole model is that of the Fast pathway."""
    network = keras.Model(model.input, model.endpoints["action_logits"])
    pixels = tf.Variable(frames[None].astype("float32"))
    with tf.GradientTape() as tape:
        logit = network(pixels)[:, action]
    whole = np.abs(tape.gradient(logit, pixels).numpy()[0]).max(axis=-1)
    maps = attention_maps(model, frames, "action", action, "saliency")
    fast_alone = np.setdiff1d(np.arange(32), seen_by_slow(model))
    ratio = whole[fast_alone].max() / maps["fast"][fast_alone].max()
    np.testing.assert_allclose(maps["fast"][fast_alone] * ratio, whole[fast_alone], atol=1e-3 * ratio)
    # In the others it is the sum of both, so it differs from either alone.
    assert not np.allclose(maps["fast"][seen_by_slow(model)] * ratio, whole[seen_by_slow(model)], atol=1e-3 * ratio)
    halfway = (seen_by_slow(model)[0] + seen_by_slow(model)[1]) // 2
    first, second = maps["slow"][seen_by_slow(model)[:2]]
    share = halfway / seen_by_slow(model)[1]
    np.testing.assert_allclose(maps["slow"][halfway], first * (1 - share) + second * share, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_maps_have_the_size_of_the_clip_and_reach_from_0_to_1(model, frames, method):
    maps = attention_maps(model, frames, "verb", 2, method)
    assert list(maps) == ["slow", "fast"]
    for one in maps.values():
        assert one.shape == (32, 64, 64) and one.dtype == np.float32
        assert one.min() >= 0 and one.max() == pytest.approx(1)


# How many times as much of a map must lie on the moving object as by chance. Of 100 clips it is 3.7 to 4.4 times as
# much, with untrained networks at most 2.3 times (benchmarks/explain.json); twelve clips scatter more.
TIMES_CHANCE = 2.5


@pytest.mark.parametrize("method", METHODS)
def test_the_mass_of_a_map_lies_on_the_object_that_moves(model, recognised, method):
    maps = [attention_maps(model, case.frames, "action", case.action, method) for case in recognised]
    chance = np.mean([case.on.mean() for case in recognised])
    assert 0.03 < chance < 0.2
    for path in ("slow", "fast"):
        mass = np.mean([on_object(one[path], case.on) for one, case in zip(maps, recognised, strict=True)])
        assert mass / chance > TIMES_CHANCE, path


@pytest.mark.parametrize(
    ("variant", "paths"),
    [
        (kf.variant("slow_nano"), ["slow"]),
        (kf.variant("fast_nano"), ["fast"]),
        (kf.variant("slowfast_nano", fast_input="half_resolution"), ["slow", "fast"]),
        (kf.variant("slowfast_nano", fast_input="gray", slow_frames="stride"), ["slow", "fast"]),
        (kf.variant("x3d_xs_4x12"), ["slow"]),
    ],
    ids=lambda value: getattr(value, "name", None),
)
@pytest.mark.parametrize("method", ["gradcam", "saliency"])
def test_every_kind_of_network_has_maps(variant, paths, method):
    keras.utils.set_random_seed(0)
    network = kf.build(variant, heads={"scene": kf.Head(3, "softmax")})
    clip = np.random.default_rng(0).integers(0, 256, (variant.clip.frames, 64, 96, 3), dtype=np.uint8)
    maps = attention_maps(network, clip, "scene", 1, method)
    assert list(maps) == paths
    for one in maps.values():
        assert one.shape == clip.shape[:3]
        assert 0 <= one.min() <= one.max() <= 1


def test_a_pooling_in_time_is_known():
    """i3d's features stand for two frames each."""
    network = kf.build(kf.variant("slow_nano", temporal_pool=2), heads={"scene": 3})
    np.testing.assert_array_equal(module._frames_seen(network, "slow", 2), [0.5, 2.5])


def test_a_bfloat16_network_is_explained_in_float32(model, frames, action):
    config = {**model.get_config(), "dtype": "mixed_bfloat16"}
    half = type(model).from_config(config)
    half.set_weights(model.get_weights())
    for path, maps in attention_maps(half, frames, "action", action).items():
        np.testing.assert_allclose(maps, attention_maps(model, frames, "action", action)[path], atol=1e-5)


def test_no_evidence_is_a_map_of_zeros():
    assert not module._scaled(np.zeros((2, 3, 3), np.float32)).any()


def test_an_unknown_method_is_refused(model, frames, action):
    with pytest.raises(ValueError, match=r"one of gradcam, gradcam\+\+, saliency. Received: method='lime'"):
        attention_maps(model, frames, "action", action, "lime")


def test_without_tf_keras_vis_one_is_told_how_to_install_it(model, frames, action, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf_keras_vis.gradcam", None)
    with pytest.raises(ImportError, match=r"pip install 'kerasfast\[explain\]'"):
        attention_maps(model, frames, "action", action)
