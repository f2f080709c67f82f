"""Copies of a functional model, some of whose layers are others."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np


def copy_with(
    model: keras.Model,
    layer_for: Callable[[keras.layers.Layer], keras.layers.Layer],
    weights_for: Callable[[keras.layers.Layer], list[np.ndarray]] = keras.layers.Layer.get_weights,
) -> keras.Model:
    """A copy of a functional model for inference, layer by layer with the same names.

    Args:
        model: The model; it is left as it is.
        layer_for: From one of its layers to a new one of the same name, for the copy.
        weights_for: From one of its layers to the weights of the new one; those of the layer by default.
    """
    copied = keras.models.clone_model(model, clone_function=layer_for)
    for layer in model.layers:
        if weights := weights_for(layer):
            copied.get_layer(layer.name).set_weights(weights)
    return copied
