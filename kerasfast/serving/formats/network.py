"""The network that is converted: batch norm folded in, one traced function from uint8 frames to scores."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from kerasfast.models.classifier import VideoClassifier
from kerasfast.serving.fold import fold_batch_norm
from kerasfast.serving.formats.image_layers import with_image_layers


def traced_network(model: VideoClassifier, *, side: int | None = None, images: bool = False) -> tuple[Any, int]:
    """A model as a traced function for a converter.

    Args:
        model: The model, in the precision to convert; it is left as it is.
        side: Height and width in pixels; None leaves both open.
        images: Convolve and pool pictures in place of volumes (`kerasfast.serving.formats.image_layers`).

    Returns:
        The concrete function, uint8 `frames` `(batch, T, H, W, 3)` -> `{head: float32 (batch, classes)}`, and how many
        batch norms were folded.
    """
    network: keras.Model = keras.Model(model.input, {name: model.endpoints[name] for name in model.heads})
    if images:
        network = with_image_layers(network)
    network, folded = fold_batch_norm(network)
    spec = tf.TensorSpec((None, model.clip.frames, side, side, 3), tf.uint8, name="frames")

    @tf.function(input_signature=[spec], autograph=False)
    def scores(frames: tf.Tensor) -> dict[str, tf.Tensor]:
        return dict(network(tf.cast(frames, tf.float32), training=False))

    return scores, folded


@contextmanager
def as_saved_model(function: Any, folder: Path) -> Iterator[str]:
    """The function as a SavedModel with one signature, from which converters take the names of the heads.

    Args:
        function: What `traced_network` gave.
        folder: Where to keep it until the block ends.
    """
    with tempfile.TemporaryDirectory(dir=folder) as saved:
        concrete = function.get_concrete_function()
        module = tf.Module()
        module.weights = list(concrete.variables)  # which a SavedModel does not find by itself
        tf.saved_model.save(module, saved, signatures=concrete)
        yield saved
