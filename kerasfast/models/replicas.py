"""Batches of a replica that have no clip."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras


def several_replicas() -> bool:
    """Whether batches are shared among replicas, of which the last ones may get no clip of a batch that is not full."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync > 1


def without_empty_batch(network: Callable[[Any], Any], frames: Any) -> Any:
    """What a network says of a batch that may be empty.

    oneDNN's convolutions in TensorFlow 2.21 give the shape of their input for an empty batch: 3 channels in place of 32
    behind the first one. So the network sees a black clip in its place, of which nothing is returned.

    Args:
        network: From frames to a tensor or a dict of tensors, batch first.
        frames: `(batch, T, H, W, 3)`, a tensor of TensorFlow.
    """
    import tensorflow as tf

    clips = tf.shape(frames)[0]
    filled = tf.pad(frames, [[0, tf.maximum(1 - clips, 0)], [0, 0], [0, 0], [0, 0], [0, 0]])
    return keras.tree.map_structure(lambda values: values[:clips], network(filled))
