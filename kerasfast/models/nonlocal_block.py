"""The non-local block (Wang et al. 2018, arXiv:1711.07971): every position of a clip sees every other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kerasfast.models.layers import LayerOptions, batch_norm, conv
from kerasfast.models.row import NONLOCAL_INSTANTIATIONS, Variant

POINT = (1, 1, 1)


def nonlocal_block(x: Any, variant: Variant, *, name: str, options: LayerOptions) -> Any:
    """X plus what `NonLocalOperation` gathers from all its positions, in half as many channels.

    The pooling stands before phi and g, as in PySlowFast; behind them, as in MMAction2, it gives other numbers.

    Args:
        x: `(batch, T, H, W, C)`.
        variant: Says which instantiation and pooling.
        name: Of the block: `slow_res3_nonlocal1` after block 1 of res3.
        options: Those of the network.

    Returns:
        The shape of `x`.
    """
    channels, inner = x.shape[-1], x.shape[-1] // 2
    pooled, size = x, variant.nonlocal_pool
    if size != POINT:
        pooled = keras.layers.MaxPooling3D(size, strides=size, name=f"{name}_pool", dtype=options.dtype)(x)
    theta, phi, g = (
        conv(source, inner, POINT, use_bias=True, name=f"{name}_{part}", options=options)
        for part, source in (("theta", x), ("phi", pooled), ("g", pooled))
    )
    operation = NonLocalOperation(variant.nonlocal_instantiation, name=f"{name}_sum", dtype=options.dtype)
    y = operation([theta, phi, g])
    y = conv(y, channels, POINT, use_bias=True, name=f"{name}_out", options=options)
    y = batch_norm(y, name=f"{name}_bn", options=options, zero_gamma=variant.zero_init_residual)
    return keras.layers.Add(name=name, dtype=options.dtype)([x, y])


@keras.saving.register_keras_serializable("kerasfast")
class NonLocalOperation(keras.layers.Layer):
    """The sum over all positions j of f(theta_i, phi_j) g_j, for each position i; f is a scaled dot product.

    Args:
        instantiation: `softmax` scales by 1 / sqrt(channels) and takes the softmax over j; `dot_product` divides by
            the number of positions j.
        **kwargs: Those of `keras.layers.Layer`.

    Input shape: a list of theta `(batch, T, H, W, channels)`, and phi and g, both `(batch, T', H', W', channels)`.
    Output shape: that of theta.

    Raises:
        ValueError: An unknown instantiation.
    """

    def __init__(self, instantiation: str = "softmax", **kwargs: Any) -> None:
        if instantiation not in NONLOCAL_INSTANTIATIONS:
            raise ValueError(
                f"The instantiation of a non-local block must be one of {', '.join(NONLOCAL_INSTANTIATIONS)}. "
                f"Received: {instantiation!r}."
            )
        super().__init__(**kwargs)
        self.instantiation = instantiation

    def call(self, inputs: Any) -> Any:
        theta, phi, g = (_flatten_positions(x) for x in inputs)
        affinity = ops.matmul(theta, ops.transpose(phi, (0, 2, 1)))  # (batch, THW, T'H'W')
        if self.instantiation == "softmax":
            # Over thousands of positions: bfloat16 would lose most of them.
            scores = ops.cast(affinity, "float32") * theta.shape[-1] ** -0.5
            affinity = ops.cast(ops.softmax(scores, axis=-1), self.compute_dtype)
        else:
            affinity = affinity / ops.cast(ops.shape(phi)[1], self.compute_dtype)
        return ops.reshape(ops.matmul(affinity, g), ops.shape(inputs[0]))

    def compute_output_shape(self, input_shape: Sequence[Sequence[int | None]]) -> tuple[int | None, ...]:
        return tuple(input_shape[0])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "instantiation": self.instantiation}


def _flatten_positions(x: Any) -> Any:
    """`(batch, T, H, W, channels)` to `(batch, T * H * W, channels)`."""
    return ops.reshape(x, (ops.shape(x)[0], -1, x.shape[-1]))
