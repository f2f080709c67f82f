"""Routines that every test of a layer or a model shares; the test files hold the data."""

import importlib
import inspect
import json

import keras
import numpy as np
import tensorflow as tf

from kerasfast.data.clips import ClipSpec
from kerasfast.models.layers import BatchNorm
from kerasfast.models.variants import Pathway, Variant


def tiny_variant(**overrides):
    """Two stages of few channels on 8 frames: 64 pixels leave 8x8 positions, as 256 do in the published networks."""
    fields = {
        "clip": ClipSpec(8, 2),
        "slow": Pathway((2, 1), 1, (1, 3), (None, None)),
        "fast": Pathway((1, 2), 5, (3, 3), (None, None)),
        "alpha": 4,
        "beta": 1 / 4,
        "stem_channels": 8,
        "stage_channels": (16, 32),
        "spatial_strides": (1, 2),
        "spatial_dilations": (1, 1),
        "lateral_kernel": 5,
    }
    return Variant("tiny", **{**fields, **overrides})


def random_clip(variant, batch=2, height=64, width=64, seed=0):
    """Frames of noise for a row of the table: uint8 `(batch, T, height, width, 3)`."""
    shape = (batch, variant.clip.frames, height, width, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype="uint8")


def wake_up(model, seed=0):
    """Give batch norms values that hide nothing: a fresh gamma of 0 mutes every residual branch."""
    generator = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, BatchNorm):
            size = layer.gamma.shape
            layer.gamma.assign(generator.uniform(0.5, 1.5, size))
            layer.beta.assign(generator.normal(0, 0.2, size))
            layer.moving_mean.assign(generator.normal(0, 0.2, size))
            layer.moving_variance.assign(generator.uniform(0.5, 1.5, size))
    return model


def own_layers(module):
    """Layers and models that a module of kerasfast defines."""
    members = vars(importlib.import_module(module)).values()
    return {
        member
        for member in members
        if inspect.isclass(member) and issubclass(member, keras.layers.Layer) and member.__module__ == module
    }


def check_forward(model, frames):
    """Every head gives finite float32 probabilities, and those of a softmax add up to one."""
    scores = model(frames)
    assert set(scores) == set(model.heads)
    for name, head in model.heads.items():
        values = np.asarray(scores[name])
        assert values.dtype == "float32", f"{name} is {values.dtype}"
        assert values.shape == (len(frames), head.classes)
        assert np.isfinite(values).all() and (values >= 0).all() and (values <= 1).all()
        if head.activation == "softmax":
            np.testing.assert_allclose(values.sum(axis=1), 1, rtol=1e-5)


def check_gradients(model, frames):
    """A training step moves every trainable weight and every moving statistic."""
    wake_up(model)
    before = flat(model.non_trainable_weights)
    generator = np.random.default_rng(1)
    with tf.GradientTape() as tape:
        scores = model(frames, training=True)
        # A weighted sum: plain sums of softmax scores are constant.
        loss = tf.add_n([tf.reduce_sum(score * generator.normal(size=score.shape)) for score in scores.values()])
    gradients = tape.gradient(loss, [weight.value for weight in model.trainable_weights])
    for weight, gradient in zip(model.trainable_weights, gradients, strict=True):
        assert gradient is not None, f"{weight.path} gets no gradient"
        assert np.isfinite(gradient).all() and np.any(np.asarray(gradient) != 0), f"{weight.path} does not learn"
    for weight, old, new in zip(model.non_trainable_weights, before, flat(model.non_trainable_weights), strict=True):
        assert np.any(new != old) or "seed" in weight.path, f"{weight.path} does not move"


def check_config(cls, values, given=()):
    """`get_config` holds every argument of the constructor and builds the same object, also from JSON.

    Args:
        cls: A layer or model.
        values: A value for every argument of the constructor, none of them the default.
        given: Arguments whose form in the config differs from the argument (rows that become dicts).
    """
    parameters = inspect.signature(cls.__init__).parameters.values() if "__init__" in vars(cls) else ()
    named = [p for p in parameters if p.name != "self" and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    assert {p.name for p in named} <= set(values), "give a value for every argument"
    for parameter in named:
        assert values[parameter.name] != parameter.default, f"{parameter.name}: give another value than the default"
    config = cls(**values).get_config()
    for name, value in values.items():
        assert name in config, f"{cls.__name__}.get_config drops {name}"
        assert name in given or config[name] in (value, _as_list(value)), f"{name}: {config[name]!r} != {value!r}"
    over_json = json.loads(json.dumps(config))
    for copy in (cls.from_config(config), cls.from_config(over_json)):
        assert json.dumps(copy.get_config()) == json.dumps(config)
    assert keras.saving.get_registered_name(cls) == f"kerasfast>{cls.__name__}"


def _as_list(value):
    return list(value) if isinstance(value, tuple) else value


def check_saving(model, frames, folder):
    """A `.keras` file gives back the same object with the same numbers."""
    wake_up(model)
    path = folder / "model.keras"
    model.save(path)
    again = keras.models.load_model(path)
    assert type(again) is type(model)
    assert again.variant == model.variant and again.clip == model.clip
    assert dict(again.heads) == dict(model.heads)
    assert list(again.endpoints) == list(model.endpoints)
    assert again.get_config() == model.get_config()
    for old, new in zip(flat(model(frames)), flat(again(frames)), strict=True):
        np.testing.assert_array_equal(new, old)
    return again


def flat(outputs):
    """The arrays of a nest of tensors, in a fixed order."""
    return [keras.ops.convert_to_numpy(keras.ops.cast(x, "float32")) for x in keras.tree.flatten(outputs)]


def check_shapes(model, frames):
    """Every endpoint has the shape that the graph declares; a declared `None` may be anything."""
    real = keras.Model(model.input, dict(model.endpoints))(frames)
    for name, tensor in model.endpoints.items():
        declared, got = tuple(tensor.shape), tuple(real[name].shape)
        fits = len(declared) == len(got) and all(d in (None, g) for d, g in zip(declared, got, strict=True))
        assert fits, f"{name}: declared {declared}, real {got}"
    return {name: tuple(tensor.shape) for name, tensor in real.items()}


def check_layer_shape(layer, inputs):
    """The shape that a layer declares, with known and with unknown sizes, is the shape it gives."""
    got = tuple(layer(inputs).shape)
    assert tuple(layer.compute_output_shape(inputs.shape)) == got
    symbolic = layer(keras.KerasTensor((None, inputs.shape[1], None, None, inputs.shape[-1])))
    assert len(symbolic.shape) == len(got)
    assert all(declared in (None, real) for declared, real in zip(symbolic.shape, got, strict=True))
    return got
