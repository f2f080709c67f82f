import keras
import numpy as np
import pytest
from model_case import random_clip, tiny_variant, wake_up

from kerasfast.models.classifier import VideoClassifier
from kerasfast.models.depthwise import DepthwiseConv3D
from kerasfast.models.layers import BatchNorm
from kerasfast.serving.fold import fold_batch_norm


def logits_of(model):
    return keras.Model(model.input, {name: model.endpoints[f"{name}_logits"] for name in model.heads})


FIELDS = [
    {},
    {"slow": None},
    {"fast": None},
    {"lateral_norm": False},
    {"lateral": "time_to_channel_concat"},
    {"fast_input": "half_resolution"},
    # A softmax over affinities of random weights can lie between two positions, and then multiplies any rounding.
    {"nonlocal_after": ((2, 1), (3, 0)), "nonlocal_instantiation": "dot_product"},
    {"temporal_pool": 2},
    {"fast": None, "block": "x3d", "head_widths": (12, 16), "bottleneck_ratio": 1 / 2},
    {"fast": None, "block": "x3d", "first_shortcut_norm": False},
]


@pytest.mark.parametrize("fields", FIELDS)
def test_the_folded_network_gives_the_same_logits(fields):
    keras.utils.set_random_seed(0)
    model = wake_up(VideoClassifier(tiny_variant(**fields), {"verb": 3, "action": 5}))
    original = logits_of(model)
    before = model.get_weights()
    folded, count = fold_batch_norm(original)
    norms = [layer for layer in model.layers if isinstance(layer, BatchNorm)]
    assert count == len(norms) > 0
    assert not any(isinstance(layer, BatchNorm) for layer in folded.layers)
    assert [layer.name for layer in folded.layers] == [layer.name for layer in original.layers]
    frames = random_clip(model.variant, height=72, width=96)
    expected, got = original(frames), folded(frames)
    for name in expected:
        scale = np.abs(expected[name]).max()
        assert np.abs(got[name] - expected[name]).max() <= 1e-5 * scale
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


def conv(**options):
    return keras.layers.Conv3D(**{"filters": 4, "kernel_size": 1, "use_bias": False, **options})


def chain(inputs):
    x = conv()(inputs)
    return BatchNorm()(x)


def two_readers(inputs):
    x = conv()(inputs)
    return keras.layers.Add()([x, BatchNorm()(x)])


def seen_from_outside(inputs):
    x = conv()(inputs)
    return [x, BatchNorm()(x)]


def biased(inputs):
    return BatchNorm()(conv(use_bias=True, bias_initializer="ones")(inputs))


def depthwise(inputs):
    return BatchNorm()(DepthwiseConv3D(3, (1, 3, 3), use_bias=False)(inputs))


def grouped(inputs):
    return BatchNorm()(conv(filters=3, kernel_size=3, padding="same", groups=3)(inputs))


def after_a_sum(inputs):
    return BatchNorm()(keras.layers.Add()([conv()(inputs), conv()(inputs)]))


@pytest.mark.parametrize(
    ("graph", "count"),
    [
        (chain, 1),
        (two_readers, 0),
        (seen_from_outside, 0),
        (biased, 1),
        (grouped, 1),
        (depthwise, 1),
        (after_a_sum, 0),
    ],
)
def test_only_a_convolution_that_nothing_else_reads_is_folded(graph, count):
    inputs = keras.Input((2, 3, 3, 3))
    model = keras.Model(inputs, graph(inputs))
    generator = np.random.default_rng(0)
    model.set_weights([generator.uniform(0.5, 1.5, weight.shape) for weight in model.get_weights()])
    folded, found = fold_batch_norm(model)
    assert found == count
    x = generator.normal(size=(2, 2, 3, 3, 3)).astype("float32")
    for expected, got in zip(keras.tree.flatten(model(x)), keras.tree.flatten(folded(x)), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
