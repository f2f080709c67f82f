"""How near a SavedModel is to the Keras model that it was made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from kerasfast.data.pipeline.transforms import decode
from kerasfast.models.classifier import VideoClassifier
from kerasfast.serving.processor import on_gpu
from kerasfast.serving.signatures import with_features

# Largest difference that the checked export may show, relative to a head's largest probability, since those of a fresh
# 400-way softmax are 0.0025 all. Sound ones reach 1e-6 on a CPU and about 1e-3 on a GPU that rounds products to TF32.
# In bfloat16, whose numbers are 0.008 apart, folding moves every rounding: small networks reach 0.03.
_TOLERANCE_CPU, _TOLERANCE_GPU, _TOLERANCE_BFLOAT16 = 1e-4, 1e-2, 0.25


def tolerance_of(precision: str) -> float:
    """How far apart they may be, relative to the largest value of a head."""
    if precision == "bfloat16":
        return _TOLERANCE_BFLOAT16
    return _TOLERANCE_GPU if on_gpu() else _TOLERANCE_CPU


def _noise(model: VideoClassifier) -> tuple[np.ndarray, tf.Tensor]:
    """A clip `(1, T, size, size, 3)`, uint8, and the JPEG files `(1, T)` that it is decoded from."""
    side = model.variant.test_crop_size
    pixels = np.random.default_rng(0).integers(0, 256, (model.clip.frames, side, side, 3), dtype=np.uint8)
    files = tf.stack([tf.io.encode_jpeg(picture) for picture in pixels])
    return decode(files).numpy()[None], files[None]


def served_answers(folder: Path, names: Iterable[str], model: VideoClassifier) -> dict[str, dict[str, np.ndarray]]:
    """What the SavedModel says of a clip of noise, through each of its signatures."""
    frames, files = _noise(model)
    inputs = {"jpeg_frames": files, "views": tf.constant(frames[:, None])}
    loaded = tf.saved_model.load(str(folder))
    answers = {}
    for name in names:
        found = loaded.signatures[name](frames=inputs.get(name, tf.constant(frames)))
        answers[name] = {key: values.numpy() for key, values in found.items()}
    return answers


def largest_differences(model: VideoClassifier, answers: Mapping[str, Mapping[str, np.ndarray]]) -> tuple[float, float]:
    """Of a probability, and of a value as a share of the largest of its head or of its kind of features."""
    network = with_features(model)
    # Traced, a convolution takes a third of its eager time.
    outputs = tf.function(lambda x: network(x, training=False), autograph=False)(tf.constant(_noise(model)[0]))
    expected = {name: values.numpy() for name, values in outputs.items()}
    differences, relative = [0.0], [0.0]
    for found in answers.values():
        for name, values in found.items():
            difference = np.max(np.abs(values - expected[name]))
            relative.append(difference / np.max(np.abs(expected[name])))
            if name in model.heads:
                differences.append(difference)
    # np.max and not max: it keeps NaN.
    return float(np.max(differences)), float(np.max(relative))
