"""Lateral connections: what the Slow pathway hears of the Fast one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kerasfast.models.blocks import relu
from kerasfast.models.layers import LayerOptions, SelectFrames, batch_norm, conv
from kerasfast.models.row import Variant


def fuse(slow: Any, fast: Any, variant: Variant, *, name: str, options: LayerOptions) -> Any:
    """Slow features joined by the Fast features of the same stage (Feichtenhofer et al. 2019, section 3.3).

    Args:
        slow: `(batch, T / alpha, H, W, C)`.
        fast: `(batch, T, H, W, ceil(beta * C))`; half of H and W, rounded up, where the Fast input is halved.
        variant: Says which kind of lateral connection.
        name: Stage after which it stands: `stem`, `res2`, ...
        options: Those of the network.

    Returns:
        `(batch, T / alpha, H, W, C + lateral channels)`, or C channels for a sum.
    """
    if variant.lateral == "none":
        return slow
    prefix = f"lateral_{name}"
    if variant.lateral == "time_conv":
        x = _time_conv(fast, variant, prefix, options)
    elif variant.lateral == "time_sample":
        every = range(0, fast.shape[1], variant.alpha)
        x = SelectFrames(every, name=f"{prefix}_sample", dtype=options.dtype)(fast)
    else:
        x = TimeToChannel(variant.alpha, name=f"{prefix}_to_channel", dtype=options.dtype)(fast)
    x = match_size(x, slow, variant, name=f"{prefix}_upsample", options=options)
    if variant.lateral == "time_to_channel_sum":
        return keras.layers.Add(name=prefix, dtype=options.dtype)([slow, x])
    return keras.layers.Concatenate(name=prefix, dtype=options.dtype)([slow, x])


def _time_conv(fast: Any, variant: Variant, prefix: str, options: LayerOptions) -> Any:
    x = conv(
        fast,
        variant.lateral_ratio * fast.shape[-1],
        (variant.lateral_kernel, 1, 1),
        strides=(variant.alpha, 1, 1),
        name=f"{prefix}_conv",
        options=options,
    )
    if variant.lateral_norm:
        x = batch_norm(x, name=f"{prefix}_bn", options=options)
        x = relu(x, name=f"{prefix}_relu", options=options)
    return x


def match_size(fast: Any, slow: Any, variant: Variant, *, name: str, options: LayerOptions) -> Any:
    """Fast features at the height and width of the Slow ones, which differ where the Fast input is halved."""
    if variant.fast_input != "half_resolution":
        return fast
    return UpsampleTo(name=name, dtype=options.dtype)([fast, slow])


@keras.saving.register_keras_serializable("kerasfast")
class TimeToChannel(keras.layers.Layer):
    """Packs `alpha` neighbouring frames into the channels of one, the channels of the first frame first.

    Args:
        alpha: Frames to pack.
        **kwargs: Those of `keras.layers.Layer`.

    Input shape: `(batch, T, H, W, channels)`; output shape: `(batch, T / alpha, H, W, alpha * channels)`.
    """

    def __init__(self, alpha: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = alpha

    def call(self, inputs: Any) -> Any:
        batch, _, height, width, _ = ops.shape(inputs)
        length, channels = inputs.shape[1], inputs.shape[-1]
        x = ops.reshape(inputs, (batch, length // self.alpha, self.alpha, height, width, channels))
        x = ops.transpose(x, (0, 1, 3, 4, 2, 5))
        return ops.reshape(x, (batch, length // self.alpha, height, width, self.alpha * channels))

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        batch, length, height, width, channels = input_shape
        return (batch, length // self.alpha, height, width, self.alpha * channels)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": self.alpha}


@keras.saving.register_keras_serializable("kerasfast")
class UpsampleTo(keras.layers.Layer):
    """Repeats every position twice along height and width, and cuts off what another map does not have.

    Input shape: a list of `(batch, T, ceil(H / 2), ceil(W / 2), channels)` and any map `(batch, T', H, W, channels')`.
    Output shape: `(batch, T, H, W, channels)`.
    """

    def call(self, inputs: Any) -> Any:
        x, like = inputs
        _, _, height, width, _ = ops.shape(like)
        return ops.repeat(ops.repeat(x, 2, axis=2), 2, axis=3)[:, :, :height, :width]

    def compute_output_shape(self, input_shape: Sequence[Sequence[int | None]]) -> tuple[int | None, ...]:
        (batch, length, _, _, channels), like = input_shape
        return (batch, length, like[2], like[3], channels)

    def get_config(self) -> dict[str, Any]:
        return super().get_config()  # without this line Keras refuses to save a layer whose dtype is a policy object
