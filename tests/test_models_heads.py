"""Pooling, interpolation and classifiers: against Keras' own layers, and whole heads recomputed in NumPy."""

import keras
import numpy as np
import numpy_reference as reference
import pytest
import tensorflow as tf
from model_case import check_config, check_layer_shape, own_layers, random_clip, tiny_variant, wake_up

from kerasfast.models import heads
from kerasfast.models.classifier import build
from kerasfast.models.heads import CHARADES, KINETICS400, AveragePositions, Head, InterpolateTime, WindowPool, as_heads
from kerasfast.models.variants import variant

CONSTRUCTORS = {
    WindowPool: {"window": 3, "name": "pool", "dtype": "mixed_bfloat16"},
    InterpolateTime: {"frames": 4, "name": "shorter"},
    AveragePositions: {"name": "mean"},
}


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def test_configs_are_complete():
    assert set(CONSTRUCTORS) == own_layers(heads.__name__)
    for cls, values in CONSTRUCTORS.items():
        check_config(cls, values, given=("dtype",))


# --- pooling ---------------------------------------------------------------------------------------------------------

# Positions: 7x7 of a 224-pixel crop, 8x8 of 256, a wide frame, less than the window, one.
POSITIONS = [(7, 7), (8, 8), (8, 14), (9, 7), (4, 7), (2, 9), (1, 1)]


@pytest.mark.parametrize("size", POSITIONS)
def test_window_pool_is_average_pooling(size):
    height, width = size
    features = noise(2, 4, height, width, 3)
    kernel = (4, min(7, height), min(7, width))
    expected = keras.layers.AveragePooling3D(kernel, strides=1, padding="valid")(features)
    reference.assert_close(WindowPool()(features), np.asarray(expected)[:, 0], 1e-6)
    shape = check_layer_shape(WindowPool(), features)
    assert shape == (2, max(height - 6, 1), max(width - 6, 1), 3)


def test_window_pool_of_unknown_size():
    """One graph for every size of frames, as `predict` and serving need it."""
    pool = tf.function(WindowPool(), input_signature=[tf.TensorSpec((None, None, None, None, 3))])
    for height, width in POSITIONS:
        features = noise(2, 4, height, width, 3)
        reference.assert_close(pool(features), reference.average_windows(features, 7), 1e-6)


def test_window_pool_and_its_gradient_need_no_matrix_product():
    """See the class: a product with one row crashed training now and then."""

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, None, 3))])
    def gradient(features):
        with tf.GradientTape() as tape:
            tape.watch(features)
            pooled = WindowPool()(features)
        return tape.gradient(pooled, features)

    operations = {operation.type for operation in gradient.get_concrete_function().graph.get_operations()}
    assert "Sum" in operations
    assert not {name for name in operations if "MatMul" in name or "Einsum" in name}


def test_pool_without_window_takes_everything():
    features = noise(2, 4, 9, 8, 3)
    reference.assert_close(WindowPool(None)(features), features.mean(axis=(1, 2, 3))[:, None, None], 1e-6)
    assert check_layer_shape(WindowPool(None), features) == (2, 1, 1, 3)


def test_average_positions():
    features = noise(2, 3, 2, 5)
    reference.assert_close(AveragePositions()(features), features.mean(axis=(1, 2)), 1e-6)
    assert AveragePositions().compute_output_shape((None, None, None, 5)) == (None, 5)


@pytest.mark.parametrize(("length", "frames"), [(32, 8), (32, 4), (8, 8), (5, 3), (3, 7), (1, 4), (4, 1)])
def test_interpolation_in_time_is_half_pixel_linear(length, frames):
    features = noise(2, length, 3, 2, 4)
    as_images = features.reshape(2, length, 24, 1)
    expected = tf.image.resize(as_images, (frames, 24), "bilinear", antialias=False)
    got = InterpolateTime(frames)(features)
    reference.assert_close(got, np.asarray(expected).reshape(2, frames, 3, 2, 4), 1e-6)
    if length == frames:
        np.testing.assert_array_equal(got, features)
    check_layer_shape(InterpolateTime(frames), features)


# --- whole heads -----------------------------------------------------------------------------------------------------

HEADS = {"verb": Head(3), "action": Head(4, "softmax")}


def scores_in_numpy(model, features):
    """The heads of a model from its last features, by the definition: pool, concatenate, (embed,) classify, average."""
    row = model.variant
    last = f"res{row.num_stages + 1}"
    maps = [np.float64(features[f"{path}_{last}"]) for path in row.pathways]

    def pool(x):
        return (
            reference.average_windows(x, 7) if row.head_pool == "window" else x.mean(axis=(1, 2, 3))[:, None, None, :]
        )

    if row.head_fusion == "interpolate_then_concat":
        slow, fast = maps
        length, frames = fast.shape[1], slow.shape[1]
        # Each Slow frame lies in the middle of its alpha Fast frames, between the two in the centre.
        centre = length // frames // 2 + np.arange(frames) * (length // frames)
        maps = [np.concatenate([slow, (fast[:, centre - 1] + fast[:, centre]) / 2], axis=-1)]
    x = np.concatenate([pool(x) for x in maps], axis=-1)
    pooled = x.mean(axis=(1, 2))
    if any(layer.name == "embed" for layer in model.layers):
        kernel, bias = model.get_layer("embed").get_weights()
        x = reference.relu(x @ kernel + bias)
    results = {"pooled": pooled, "embedding": x.mean(axis=(1, 2)), "positions": x.shape[1:3]}
    for name, head in model.heads.items():
        kernel, bias = model.get_layer(f"head_{name}").get_weights()
        logits = x @ kernel + bias
        activate = {"sigmoid": lambda z: 1 / (1 + np.exp(-z)), "softmax": softmax}[head.activation]
        results[f"{name}_logits"] = logits.mean(axis=(1, 2))
        results[name] = (
            activate(logits.mean(axis=(1, 2))) if row.head_average == "logits" else activate(logits).mean(axis=(1, 2))
        )
    return results


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def loud(model):
    """Heads as steep as trained ones, so that averaging before or after the activation differs."""
    wake_up(model)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dense):
            layer.kernel.assign(noise(*layer.kernel.shape, seed=2) / 4)
            layer.bias.assign(noise(*layer.bias.shape, seed=3))
    return model


@pytest.mark.parametrize(
    ("overrides", "embedding"),
    [
        ({"head_average": "probabilities"}, None),
        ({"head_average": "probabilities"}, 6),
        ({"head_average": "logits"}, None),
        ({"head_average": "logits"}, 6),
        ({"head_pool": "global"}, None),
        ({"head_fusion": "interpolate_then_concat"}, 6),
        ({"head_fusion": "interpolate_then_concat", "head_pool": "global", "head_average": "logits"}, None),
        ({"fast": None}, None),
        ({"slow": None, "head_average": "logits"}, None),
    ],
    ids=lambda value: ",".join(map(str, value.values())) if isinstance(value, dict) else f"embedding={value}",
)
def test_head_against_numpy(overrides, embedding):
    row = tiny_variant(**overrides)
    model = loud(build(row, heads=HEADS, embedding=embedding))
    frames = random_clip(row, height=64, width=72)  # 8x9 positions
    got = keras.Model(model.input, dict(model.endpoints))(frames)
    expected = scores_in_numpy(model, {name: np.asarray(value) for name, value in got.items()})
    assert expected.pop("positions") == ((1, 1) if row.head_pool == "global" else (2, 3))
    if embedding is None:
        assert "embedding" not in got
        del expected["embedding"]
    for name, value in expected.items():
        reference.assert_close(got[name], value)


def test_average_of_logits_and_of_probabilities():
    """They agree where the window fits once (224 pixels, 7x7 positions) and differ on 2x2 windows (256, 8x8)."""
    keras.utils.set_random_seed(0)  # how far they differ depends on the weights
    rows = [tiny_variant(spatial_strides=(2, 2), head_average=average) for average in ("logits", "probabilities")]
    logits, probabilities = (loud(build(row, heads=HEADS)) for row in rows)
    probabilities.set_weights(logits.get_weights())
    assert rows[0] != rows[1] and logits.get_layer("slow_pool").window == 7
    for side, agree in ((112, True), (128, False)):
        frames = (random_clip(rows[0], height=side, width=side) * np.linspace(0, 1, side)[:, None]).astype("uint8")
        one, other = logits(frames), probabilities(frames)
        for name in HEADS:
            difference = np.abs(np.asarray(one[name]) - np.asarray(other[name])).max()
            assert difference < 1e-6 if agree else difference > 1e-4, (side, name, difference)


def test_dropout_acts_in_training_only():
    row = tiny_variant()
    frames = random_clip(row)
    model = loud(build(row, heads=HEADS, dropout=0.5, bn="frozen"))
    first, second = (np.asarray(model(frames, training=True)["verb"]) for _ in range(2))
    assert np.abs(first - second).max() > 1e-3
    np.testing.assert_array_equal(model(frames)["verb"], model(frames)["verb"])
    none = loud(build(row, heads=HEADS, dropout=0.0, bn="frozen"))
    np.testing.assert_array_equal(none(frames, training=True)["verb"], none(frames, training=True)["verb"])


# --- rows ------------------------------------------------------------------------------------------------------------


def test_charades_and_kinetics():
    assert CHARADES == {"verb": 33, "object": 38, "action": 157}
    assert dict(build("slow_nano").heads) == dict(KINETICS400) == {"action": Head(400, "softmax")}
    assert as_heads(CHARADES) == {"verb": Head(33), "object": Head(38), "action": Head(157)}
    written = {"action": {"classes": 2, "activation": "softmax", "labels": ["run", "sit"]}}
    assert as_heads(written) == {"action": Head(2, "softmax", ("run", "sit"))}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), "must be an int of at least 1. Received: classes=0"),
        ((-3,), "classes=-3"),
        ((2.5,), r"classes=2\.5"),
        ((True,), "classes=True"),
        ((np.int64(3),), r"must be an int .*np\.int64\(3\)"),
        ((3, "relu"), "must be one of sigmoid, softmax. Received: 'relu'"),
        ((3, "sigmoid", ("a", "b")), "one label for each class. Received: 2 labels for 3 classes"),
    ],
)
def test_wrong_heads_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Head(*arguments)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, r"at least one name.*Received: \{\}"),
        (157, "heads must map.*Received: 157"),
        (["action"], r"heads must map.*Received: \['action'\]"),
        ({"verb-2": 3}, "must be a Python identifier. Received: 'verb-2'"),
        ({"a/b": 3}, "must be a Python identifier"),
        ({"": 3}, "must be a Python identifier"),
        ({4: 3}, "must be a Python identifier. Received: 4"),
    ],
)
def test_wrong_mappings_of_heads_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        as_heads(given)


@pytest.mark.parametrize("names", [("pooled",), ("embedding",), ("slow_res2",), ("a", "a_logits"), ("a_logits", "a")])
def test_heads_do_not_hide_endpoints(names):
    with pytest.raises(ValueError, match="A head must not have the name of another endpoint"):
        build(variant("slow_nano"), heads=dict.fromkeys(names, 3), embedding=4)
