"""Models and requests for the tests of serving."""

import keras
import numpy as np
import tensorflow as tf
from model_case import random_clip, tiny_variant, wake_up

from kerasfast.models.classifier import build
from kerasfast.models.heads import Head

VERBS = ("aufschließen", "throw", 'hold a "cup"', "tidy, sweep")


def small_variant(**fields):
    """A Slow pathway of two stages, tested at 64 pixels."""
    return tiny_variant(**{"fast": None, "test_crop_size": 64, **fields})


def spread_model(variant, **options):
    """A network whose batch norms and heads hide nothing: its scores spread over 0 .. 1."""
    keras.utils.set_random_seed(7)  # convolutions that see a shift of one pixel
    heads = {"verb": Head(4, "sigmoid", VERBS), "action": Head(7, "softmax")}
    model = wake_up(build(variant, heads=heads, **options))
    generator = np.random.default_rng(7)
    noise = random_clip(model.variant, batch=1)
    for name, head in heads.items():
        kernel, bias = model.get_layer(f"head_{name}").weights
        kernel.assign(generator.normal(0, 0.1, kernel.shape))
        logits = keras.Model(model.input, model.endpoints[f"{name}_logits"])(noise)
        bias.assign(np.linspace(-2, 2, head.classes) - np.asarray(logits)[0])
    return model


def jpeg_clips(clips, frames, height, width, seed=0):
    """JPEG files of smooth moving pictures: bytes, object `(clips, frames)`."""
    phase = np.random.default_rng(seed).uniform(0, 6, (clips, 3))
    y, x = np.mgrid[:height, :width] / 9
    files = np.empty((clips, frames), object)
    for clip, frame in np.ndindex(files.shape):
        waves = [np.sin(x + y * (channel + 1) / 2 + phase[clip, channel] + frame / 5) for channel in range(3)]
        picture = np.uint8(np.stack(waves, -1) * 120 + 128)
        files[clip, frame] = tf.io.encode_jpeg(picture, quality=90).numpy()
    return files


def centre_views(files, size):
    """What the network shall see of JPEG clips, worked out frame by frame: uint8 `(clips, frames, size, size, 3)`."""
    views = np.empty((*files.shape, size, size, 3), np.uint8)
    for index in np.ndindex(files.shape):
        picture = tf.io.decode_jpeg(files[index], channels=3)
        height, width, _ = picture.shape
        scaled_height = height * size // min(height, width)
        scaled_width = width * size // min(height, width)
        scaled = tf.round(tf.image.resize(picture, (scaled_height, scaled_width))).numpy()
        top, left = -((size - scaled_height) // 2), -((size - scaled_width) // 2)
        views[index] = scaled[top : top + size, left : left + size]
    return views


def largest_difference(scores, expected):
    """Over all heads; the names must be the same."""
    assert set(scores) == set(expected)
    return max(np.abs(np.asarray(scores[name]) - np.asarray(expected[name])).max() for name in expected)
