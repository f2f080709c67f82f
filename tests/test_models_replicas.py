"""An empty batch, as the last replica gets one, through convolutions that cannot take it."""

import numpy as np
import pytest
import tensorflow as tf

from kerasfast.models.classifier import build


@pytest.fixture(scope="module")
def model():
    return build("slow_nano", heads={"verb": 2, "action": 3})


def traced(model):
    """A function of any number of clips, as a replica has one."""
    spec = tf.TensorSpec((None, model.clip.frames, 64, 64, 3))
    return tf.function(lambda frames: model(frames, training=False), input_signature=[spec])


def test_an_empty_batch_has_no_scores(model, monkeypatch):
    monkeypatch.setattr("kerasfast.models.classifier.several_replicas", lambda: True)
    empty = np.zeros((0, model.clip.frames, 64, 64, 3), np.float32)
    shapes = {name: tuple(values.shape) for name, values in traced(model)(empty).items()}
    assert shapes == {"verb": (0, 2), "action": (0, 3)}


def test_clips_are_scored_as_on_one_device(model, monkeypatch):
    frames = np.random.default_rng(0).integers(0, 256, (3, model.clip.frames, 64, 64, 3)).astype("float32")
    alone = traced(model)(frames)
    monkeypatch.setattr("kerasfast.models.classifier.several_replicas", lambda: True)
    shared = traced(model)(frames)
    for name, values in alone.items():
        np.testing.assert_allclose(shared[name], values, rtol=0, atol=1e-6)
