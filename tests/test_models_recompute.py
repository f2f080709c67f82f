import keras
import numpy as np
import pytest
import tensorflow as tf
from fresh_python import run_python
from model_case import flat, random_clip, tiny_variant, wake_up

from kerasfast.models.classifier import VideoClassifier
from kerasfast.models.layers import BatchNorm
from kerasfast.models.recompute import check_recompute, stage_of
from kerasfast.models.variants import variant

HEADS = {"verb": 3, "action": 5}


def pair(row, **options):
    """Two networks with the same weights and the same state of dropout; the second recomputes."""
    models = []
    for recompute in (False, True):
        keras.utils.set_random_seed(0)
        models.append(wake_up(VideoClassifier(row, HEADS, recompute=recompute, **options)))
    models[1].set_weights(models[0].get_weights())
    return models


def step(model, frames, traced):
    """Outputs, gradients and moving statistics of a training step."""
    generator = np.random.default_rng(1)
    weights = {name: generator.normal(size=(len(frames), size)).astype("float32") for name, size in HEADS.items()}

    def compute(frames):
        with tf.GradientTape() as tape:
            scores = model(frames, training=True)
            loss = tf.add_n([tf.reduce_sum(scores[name] * weights[name]) for name in HEADS])
        return scores, tape.gradient(loss, [weight.value for weight in model.trainable_weights])

    scores, gradients = (tf.function(compute, autograph=False) if traced else compute)(tf.constant(frames))
    return flat(scores), flat(gradients), flat([w for w in model.non_trainable_weights if "seed" not in w.path])


@pytest.mark.parametrize(
    ("fields", "options", "traced"),
    [
        ({}, {}, True),
        ({}, {}, False),
        ({}, {"bn": "frozen", "dropout": 0.0}, True),
        ({"fast": None, "block": "x3d", "head_widths": (12, 16), "bottleneck_ratio": 1 / 2}, {}, True),
        ({"nonlocal_after": ((2, 1), (3, 0)), "temporal_pool": 2}, {}, True),
    ],
)
def test_a_step_is_that_of_a_network_that_keeps_everything(fields, options, traced):
    plain, recomputing = pair(tiny_variant(**fields), **options)
    frames = random_clip(plain.variant)
    before = flat(plain.non_trainable_weights)
    for expected, found in zip(step(plain, frames, traced), step(recomputing, frames, traced), strict=True):
        for one, other in zip(expected, found, strict=True):
            np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-5 * max(1e-3, np.abs(one).max()))
    moved = any(np.any(old != new) for old, new in zip(before, flat(plain.non_trainable_weights), strict=True))
    assert moved == (options.get("bn") != "frozen"), "statistics that do not move would show nothing"


def test_statistics_of_groups_of_clips_are_handed_out_too():
    plain, recomputing = pair(tiny_variant(), dropout=0.0)
    for model in (plain, recomputing):
        for layer in model.layers:
            if isinstance(layer, BatchNorm):
                layer.clips = 2
    frames = random_clip(plain.variant, batch=4)
    for expected, found in zip(step(plain, frames, True), step(recomputing, frames, True), strict=True):
        for one, other in zip(expected, found, strict=True):
            np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-5 * max(1e-3, np.abs(one).max()))


@pytest.mark.parametrize(
    ("row", "dtype", "tolerance"),
    [(variant("slowfast_nano"), "float32", 1e-5), (tiny_variant(), "mixed_bfloat16", 1e-3)],
    ids=["nano", "bfloat16"],
)
def test_fit_learns_the_same_weights(row, dtype, tolerance):
    models = pair(row, dtype=dtype, dropout=0.5)
    before = models[0].get_weights()
    frames = random_clip(models[0].variant)
    labels = {name: np.eye(size, dtype="float32")[[0, 1]] for name, size in HEADS.items()}
    for model in models:
        model.compile(keras.optimizers.SGD(0.1), loss="binary_crossentropy", jit_compile=False)
        model.fit(frames, labels, batch_size=2, epochs=2, verbose=0, shuffle=False)
    for plain, recomputing in zip(*(model.weights for model in models), strict=True):
        assert plain.path == recomputing.path
        np.testing.assert_allclose(recomputing, plain, rtol=tolerance, atol=tolerance)
    largest = max(np.abs(old - new).max() for old, new in zip(before, models[0].get_weights(), strict=True))
    assert largest > 100 * tolerance, "weights that do not move would show nothing"


def test_stages_are_computed_twice_and_their_middle_is_not_kept():
    kept = []
    for model in pair(tiny_variant()):
        compute = tf.function(lambda x, model=model: tf.reduce_sum(model(x, training=True)["verb"]), autograph=False)

        @tf.function(autograph=False)
        def gradient(x, compute=compute, model=model):
            with tf.GradientTape() as tape:
                loss = compute(x)
            return tape.gradient(loss, model.trainable_weights[0].value)

        frames = tf.constant(random_clip(model.variant))
        forward = compute.get_concrete_function(frames)
        kept.append((convolutions(gradient.get_concrete_function(frames)), convolutions(forward)))
    (plain_step, plain_forward), (step, forward) = kept
    assert forward == plain_forward == plain_step
    in_stages = sum(
        isinstance(layer, keras.layers.Conv3D) and stage_of(layer.name) is not None
        for layer in pair(tiny_variant())[0].layers
    )
    assert step == plain_step + in_stages > plain_step


def convolutions(function):
    """Forward convolutions of a graph and of the functions that it calls."""
    graph = function.graph.as_graph_def()
    nodes = [*graph.node, *(node for called in graph.library.function for node in called.node_def)]
    return len({node.name for node in nodes if node.op == "Conv3D"})


def test_it_is_a_property_of_training_alone():
    plain, recomputing = pair(tiny_variant())
    frames = random_clip(plain.variant)
    for one, other in zip(flat(plain(frames)), flat(recomputing(frames)), strict=True):
        np.testing.assert_array_equal(other, one)
    assert recomputing.get_config()["recompute"] is True and plain.get_config()["recompute"] is False
    assert VideoClassifier.from_config(recomputing.get_config()).recompute
    assert [weight.path for weight in recomputing.weights] == [weight.path for weight in plain.weights]


def test_features_can_be_trained_too():
    model = VideoClassifier(tiny_variant(), features_only=True, recompute=True)
    frames = random_clip(model.variant)
    features = model(frames, training=True)
    assert list(features) == list(model.endpoints)
    assert all(np.all(np.isfinite(values)) for values in flat(features))


def test_an_old_keras_is_refused(monkeypatch):
    monkeypatch.delattr(keras, "remat")
    with pytest.raises(ValueError, match=r"needs Keras 3\.9 or newer"):
        check_recompute()
    with pytest.raises(ValueError, match=r"needs Keras 3\.9 or newer"):
        VideoClassifier(tiny_variant(), HEADS, recompute=True)


ON_JAX = """
import keras
import numpy as np
from kerasfast.data.clips import ClipSpec
from kerasfast.models.classifier import VideoClassifier
from kerasfast.models.row import Pathway, Variant

assert keras.backend.backend() == "jax"
row = Variant("tiny", ClipSpec(2, 2), slow=Pathway((1,), 1, (1,), (None,)), fast=None, stem_channels=2, stem_size=3,
              stage_channels=(4,), spatial_strides=(2,), spatial_dilations=(1,))
frames = np.random.default_rng(0).integers(0, 256, (2, 2, 64, 64, 3), dtype="uint8")
weights = []
for recompute in (False, True):
    keras.utils.set_random_seed(0)
    model = VideoClassifier(row, {"action": 3}, recompute=recompute)
    model.compile(keras.optimizers.SGD(0.1), loss="binary_crossentropy")
    before = model.get_weights()
    model.fit(frames, np.eye(3, dtype="float32")[:2], batch_size=2, epochs=1, verbose=0)
    weights.append(model.get_weights())
moved = sum(bool(np.any(old != new)) for old, new in zip(before, weights[0]))
print(moved, max(np.abs(a - b).max() for a, b in zip(*weights) if a.dtype == "float32"))
"""


@pytest.mark.slow
def test_on_jax_fit_learns_the_same_weights():
    printed = run_python(ON_JAX, KERAS_BACKEND="jax", JAX_PLATFORMS="cpu")
    moved, difference = printed.split()[-2:]
    assert int(moved) >= 10 and float(difference) < 1e-5
