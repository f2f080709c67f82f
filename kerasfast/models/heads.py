"""From the features of both pathways to one vector of probabilities a head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasfast.models.blocks import relu
from kerasfast.models.composition import ComposedLogits, check_parts
from kerasfast.models.fusion import match_size
from kerasfast.models.layers import LayerOptions, batch_norm, conv
from kerasfast.models.row import Variant

ACTIVATIONS = ("sigmoid", "softmax")
HEAD_LAYERS = ("conv5", "bn5", "relu5", "lin5")  # of X3D; every head becomes a layer of such a name too
WINDOW = 7  # Positions along H and W that a 224-pixel crop leaves after a total stride of 32.


@dataclass(frozen=True)
class Head:
    """A classifier on the pooled features.

    Args:
        classes: Number of classes.
        activation: `sigmoid` for labels that may hold together, `softmax` for exactly one.
        labels: Class names, or `None`.
        parts: Heads whose logits this one's are combined from, each with the index of its class for each class of
            this head: `{"verb": (8, ...), "object": (9, ...)}` for the actions of Charades
            (`kerasfast.models.composition`). `None`: an independent head.

    Raises:
        ValueError: A number below 1, an unknown activation or a wrong number of names.
    """

    classes: int
    activation: str = "sigmoid"
    labels: tuple[str, ...] | None = None
    parts: Mapping[str, tuple[int, ...]] | None = None

    def __post_init__(self) -> None:
        if type(self.classes) is not int or self.classes < 1:  # a NumPy integer would not go into JSON
            raise ValueError(f"Head.classes must be an int of at least 1. Received: classes={self.classes!r}.")
        if self.activation not in ACTIVATIONS:
            raise ValueError(
                f"A head's activation must be one of {', '.join(ACTIVATIONS)}. Received: {self.activation!r}."
            )
        if self.labels is not None and len(self.labels) != self.classes:
            raise ValueError(
                f"A head needs one label for each class. Received: {len(self.labels)} labels for "
                f"{self.classes} classes."
            )


CHARADES: Mapping[str, int] = {"verb": 33, "object": 38, "action": 157}
KINETICS400: Mapping[str, Head] = {"action": Head(400, "softmax")}


def as_heads(heads: Mapping[str, int | Head | Mapping[str, Any]]) -> dict[str, Head]:
    """Heads as `Head` rows: an int means that many sigmoid classes, a mapping the fields of a `Head`."""
    if not isinstance(heads, Mapping) or not heads:
        raise ValueError(
            "heads must map at least one name to a number of classes, such as heads={'action': 157}. "
            f"Received: {heads!r}."
        )
    rows = {}
    for name, head in heads.items():
        if not (isinstance(name, str) and name.isidentifier()):
            raise ValueError(
                "The name of a head becomes part of the names of layers and weights and must be a Python identifier. "
                f"Received: {name!r}. Use letters, digits and underscores."
            )
        if name in HEAD_LAYERS:
            raise ValueError(
                f"The names {', '.join(HEAD_LAYERS)} belong to the layers before the heads of X3D. "
                f"Received: {name!r} for a head. Choose another name."
            )
        if isinstance(head, Mapping):
            labels = head.get("labels")
            parts = {part: tuple(indices) for part, indices in (head.get("parts") or {}).items()}
            head = Head(**{**head, "labels": None if labels is None else tuple(labels), "parts": parts or None})
        rows[name] = head if isinstance(head, Head) else Head(head)
    check_parts(rows)
    return rows


@keras.saving.register_keras_serializable("kerasfast")
class WindowPool(keras.layers.Layer):
    """Average over all frames and over windows of positions, with stride 1.

    Written as a mean over time and one banded matrix for each spatial axis, so that height and width may be
    unknown until the graph runs, which an average-pooling kernel does not allow. The matrices are multiplied and
    summed element by element: they have few rows, and oneDNN's matrix product of a transposed matrix with one row
    (the gradient where a map has one window) wrote outside its buffer in TensorFlow 2.21.

    Args:
        window: Largest window along H and W; a smaller feature map is pooled whole. `None` pools every map whole.
        **kwargs: Those of `keras.layers.Layer`.

    Input shape: `(batch, T, h, w, channels)`.
    Output shape: `(batch, h - min(window, h) + 1, w - min(window, w) + 1, channels)`.
    """

    def __init__(self, window: int | None = WINDOW, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.window = window

    def call(self, inputs: Any) -> Any:
        x = ops.mean(inputs, axis=1)
        if self.window is None:
            return ops.mean(x, axis=(1, 2), keepdims=True)
        _, height, width, _ = ops.shape(x)
        rows, columns = self._windows(height), self._windows(width)
        x = ops.sum(x[:, None] * rows[None, :, :, None, None], axis=2)
        return ops.sum(x[:, :, None] * columns[None, None, :, :, None], axis=3)

    def _windows(self, size: Any) -> Any:
        """`(positions, size)`: row i averages the window that begins at i."""
        # A known size stays a Python number: JAX would trace it, and a traced number cannot be a shape.
        window = min(size, self.window) if isinstance(size, int) else ops.minimum(size, self.window)
        start = ops.arange(size - window + 1)[:, None]
        at = ops.arange(size)[None, :]
        inside = ops.logical_and(at >= start, at < start + window)
        return ops.cast(inside, self.compute_dtype) / ops.cast(window, self.compute_dtype)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        batch, _, height, width, channels = input_shape
        if self.window is None:
            return (batch, 1, 1, channels)
        sizes = [None if n is None else n - min(n, self.window) + 1 for n in (height, width)]
        return (batch, *sizes, channels)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "window": self.window}


@keras.saving.register_keras_serializable("kerasfast")
class InterpolateTime(keras.layers.Layer):
    """Linear interpolation along time, sample centres aligned as in image resizing, without antialiasing.

    Args:
        frames: Length of the result.
        **kwargs: Those of `keras.layers.Layer`.

    Input shape: `(batch, T, h, w, channels)`; output shape: `(batch, frames, h, w, channels)`.
    """

    def __init__(self, frames: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.frames = frames

    def call(self, inputs: Any) -> Any:
        length = inputs.shape[1]
        centre = np.clip((np.arange(self.frames) + 0.5) * length / self.frames - 0.5, 0, length - 1)
        before = np.floor(centre).astype("int32")
        after = np.minimum(before + 1, length - 1)
        weight = ops.convert_to_tensor((centre - before)[None, :, None, None, None], self.compute_dtype)
        return ops.take(inputs, before, axis=1) * (1 - weight) + ops.take(inputs, after, axis=1) * weight

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return (input_shape[0], self.frames, *input_shape[2:])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "frames": self.frames}


@keras.saving.register_keras_serializable("kerasfast")
class AveragePositions(keras.layers.Layer):
    """Mean over the positions of a window: `(batch, h, w, channels)` to `(batch, channels)`."""

    def call(self, inputs: Any) -> Any:
        return ops.mean(inputs, axis=(1, 2))

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return (input_shape[0], input_shape[-1])


def pool(endpoints: Mapping[str, Any], variant: Variant, options: LayerOptions) -> Any:
    """Last features of the pathways, pooled and concatenated [slow, fast]: `(batch, h', w', channels)`, float32."""
    last = f"res{variant.num_stages + 1}"
    window = variant.head_window if variant.head_pool == "window" else None
    features = [endpoints[f"{path}_{last}"] for path in variant.pathways]
    if len(features) == 1:
        return _pool_one(features[0], window, variant, options)
    slow, fast = features
    # Both must have as many positions for windows to pair up.
    fast = match_size(fast, slow, variant, name="fast_to_slow_size", options=options)
    if variant.head_fusion == "interpolate_then_concat":
        fast = InterpolateTime(slow.shape[1], name="fast_to_slow_length", dtype=options.dtype)(fast)
        both = keras.layers.Concatenate(name="slow_fast", dtype=options.dtype)([slow, fast])
        return WindowPool(window, name="pool", dtype="float32")(both)
    pooled = [
        WindowPool(window, name=f"{path}_pool", dtype="float32")(x)
        for path, x in zip(variant.pathways, (slow, fast), strict=True)
    ]
    return keras.layers.Concatenate(name="slow_fast_pool", dtype="float32")(pooled)


def _pool_one(x: Any, window: int | None, variant: Variant, options: LayerOptions) -> Any:
    """Pooling of a single pathway, between the two layers of `head_widths` where the row has them (X3D)."""
    if variant.head_widths:
        x = conv(x, variant.head_widths[0], (1, 1, 1), name="head_conv5", options=options)
        x = batch_norm(x, name="head_bn5", options=options)
        x = relu(x, name="head_relu5", options=options)
    x = WindowPool(window, name=f"{variant.pathways[0]}_pool", dtype="float32")(x)
    if variant.head_widths:
        lin5 = keras.layers.Dense(
            variant.head_widths[1],
            activation="relu",
            use_bias=False,
            kernel_initializer=keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal"),
            name="head_lin5",
            dtype="float32",
        )
        x = lin5(x)
    return x


def head_logits(x: Any, heads: Mapping[str, Head]) -> dict[str, Any]:
    """Logits of every head on `(..., channels)`, before anything is averaged.

    Everything is float32 under every policy: bfloat16 has 8 bits for a probability.
    """
    logits = {}
    for name, head in heads.items():
        dense = keras.layers.Dense(
            head.classes,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
            name=f"head_{name}",
            dtype="float32",
        )
        logits[name] = dense(x)
    composed = {
        name: ComposedLogits(head.parts, name=f"head_{name}_parts", dtype="float32")(
            logits[name], [logits[part] for part in head.parts]
        )
        for name, head in heads.items()
        if head.parts
    }
    return logits | composed


def classify(logits: Any, name: str, head: Head, average: str) -> tuple[Any, Any]:
    """One head on its logits `(batch, h', w', classes)`.

    Args:
        logits: Of every position.
        name: Name of the head and of its output.
        head: Classes and activation.
        average: `logits` or `probabilities`, whichever is averaged over the positions.

    Returns:
        Logits, averaged over positions, and probabilities, both `(batch, classes)`.
    """
    averaged = AveragePositions(name=f"{name}_logits", dtype="float32")(logits)
    if average == "logits":
        return averaged, keras.layers.Activation(head.activation, name=name, dtype="float32")(averaged)
    scores = keras.layers.Activation(head.activation, name=f"{name}_scores", dtype="float32")(logits)
    return averaged, AveragePositions(name=name, dtype="float32")(scores)
