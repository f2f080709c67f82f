"""Batch norm folded into the convolutions that feed it."""

from __future__ import annotations

import keras
import numpy as np

from kerasfast.models.layers import BatchNorm
from kerasfast.serving.copying import copy_with


def fold_batch_norm(model: keras.Model) -> tuple[keras.Model, int]:
    """A copy of a functional model for inference, with fewer passes over the features.

    The copy is the model's own graph, layer by layer with the same names. In inference a batch norm scales and
    shifts each channel; where a `Conv3D` feeds nothing but a `BatchNorm`, the copy's convolution carries both in kernel
    and bias, and an identity stands for the batch norm. Other batch norms stay as they are.

    The copy stores each weight in the dtype that it is used in. Under `mixed_bfloat16` those of the convolutions are
    bfloat16, rounded once, after folding; otherwise every request would cast all of them again.

    Args:
        model: A functional Keras model; it is left as it is.

    Returns:
        The copy, and how many batch norms it has lost.
    """
    norms = {layer.name: conv for layer in model.layers if (conv := _conv_before(layer, model)) is not None}
    convs = {conv.name: name for name, conv in norms.items()}

    def copy(layer: keras.layers.Layer) -> keras.layers.Layer:
        if layer.name in norms:
            # By its name: a policy given as an object would make the layer none that can be copied again.
            return keras.layers.Identity(name=layer.name, dtype=layer.compute_dtype)
        config = layer.get_config()
        if layer.name in convs:
            config["use_bias"] = True
        if not isinstance(layer, BatchNorm):  # whose statistics are float32 under every policy
            config["dtype"] = layer.compute_dtype
        return type(layer).from_config(config)

    def weights(layer: keras.layers.Layer) -> list[np.ndarray]:
        if layer.name in convs:
            return _folded_weights(layer, model.get_layer(convs[layer.name]))
        return [] if layer.name in norms else layer.get_weights()

    return copy_with(model, copy, weights), len(norms)


def _conv_before(layer: keras.layers.Layer, model: keras.Model) -> keras.layers.Conv3D | None:
    """The convolution that a batch norm can be folded into, or `None`."""
    if not isinstance(layer, BatchNorm):
        return None
    conv = layer.input._keras_history.operation
    if not isinstance(conv, keras.layers.Conv3D):
        return None
    is_output = any(conv.output is tensor for tensor in model.outputs)
    return None if is_output or len(conv._outbound_nodes) != 1 else conv


def _folded_weights(conv: keras.layers.Conv3D, norm: BatchNorm) -> list[np.ndarray]:
    """Kernel and bias that do what `conv` and then `norm` do: float32, computed in float64."""
    norm_weights = {variable.name: variable.numpy().astype("float64") for variable in norm.variables}
    scale = norm_weights["gamma"] / np.sqrt(norm_weights["moving_variance"] + norm.epsilon)
    kernel, *own = conv.get_weights()
    before = own[0] if own else 0.0
    bias = norm_weights["beta"] + (before - norm_weights["moving_mean"]) * scale
    # Output channels are the kernel's last axis.
    return [(kernel * scale).astype("float32"), bias.astype("float32")]
