"""Multiply-adds of a network, counted from its graph."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras

from kerasfast.models.nonlocal_block import NonLocalOperation


def multiply_adds(model: keras.Model, height: int = 256, width: int | None = None) -> int:
    """Multiply-adds of one view in convolutions, dense layers and the products of non-local blocks.

    These are what the SlowFast paper and the published tables call FLOPs. Batch norms, activations, pooling and sums
    are left out, as there; zeros of the padding count.

    Args:
        model: A network of `kerasfast.build`.
        height: Height of the frames, in pixels.
        width: Width of the frames, in pixels; the height by default.

    Raises:
        ValueError: The model is no functional model of frames `(batch, T, H, W, 3)`.

    >>> from kerasfast.models.classifier import build
    >>> round(multiply_adds(build("slow_nano"), 64) / 1e6)
    40
    """
    shape = getattr(model, "input_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 5:
        raise ValueError(
            "multiply_adds takes a functional model with one input of shape (batch, T, H, W, 3). "
            f"Received: input shape {shape}."
        )
    counted = [layer for layer in model.layers if isinstance(layer, _COUNTS)]
    shapes = layer_shapes(model, counted, height, width)
    return sum(_count(layer, shapes[layer.name]) for layer in counted)


def layer_shapes(
    model: keras.Model, layers: Sequence[keras.layers.Layer], height: int, width: int | None = None
) -> dict[str, list[tuple[int, ...]]]:
    """By the name of a layer the shapes of its inputs and, last, of its output, for one view.

    Args:
        model: A functional model of frames `(batch, T, H, W, 3)`.
        layers: Some of its layers.
        height: Height of the frames, in pixels.
        width: Width of the frames, in pixels; the height by default.
    """
    tensors = {layer.name: keras.tree.flatten([layer.input, layer.output]) for layer in layers}
    _, length, _, _, channels = model.input_shape
    view = (1, length, height, height if width is None else width, channels)
    # The graph leaves height and width open; a look at these tensors for one known size fills them in.
    specs = keras.Model(model.input, tensors).compute_output_spec(keras.KerasTensor(view))
    return {name: [tuple(spec.shape) for spec in found] for name, found in specs.items()}


_COUNTS = (keras.layers.Conv3D, keras.layers.Dense, NonLocalOperation)


def _count(layer: Any, shapes: list[tuple[int, ...]]) -> int:
    """Multiply-adds of a layer, given the shapes of its inputs and, last, of its output."""
    if isinstance(layer, NonLocalOperation):
        theta, phi, *_ = shapes
        # theta by phi, and their product by g: both as many as positions by positions by channels.
        return 2 * math.prod(theta) * math.prod(phi[1:4])
    # Each value of an output channel takes that channel's whole kernel; with groups the kernel is as much smaller.
    return math.prod(shapes[-1][:-1]) * math.prod(layer.kernel.shape)
