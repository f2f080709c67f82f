"""What each pathway sees of a clip: normalised pixels, the Slow frames, and the Fast inputs of the paper's ablation."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerasfast.models.layers import LayerOptions, SelectFrames, slow_frame_indices
from kerasfast.models.row import Variant

# ITU-R BT.601, as in every library that turns RGB into gray.
LUMA = (0.299, 0.587, 0.114)


def normalize(frames: Any, variant: Variant) -> Any:
    """(pixel - mean) / std, in float32 whatever the policy: a bfloat16 product would round the pixels."""
    scale = [1.0 / std for std in variant.pixel_std]
    offset = [-mean / std for mean, std in zip(variant.pixel_mean, variant.pixel_std, strict=True)]
    # Channels that are alike share one number: a clip of 32x256x256 pixels then takes 15 ms of an AVX2 core, and 52 ms
    # with three numbers along an axis of three.
    alike = len(set(scale)) == len(set(offset)) == 1
    numbers = (scale[0], offset[0]) if alike else (scale, offset)
    return keras.layers.Rescaling(*numbers, name="normalize", dtype="float32")(frames)


def pathway_input(pixels: Any, variant: Variant, path: str, options: LayerOptions) -> Any:
    """The frames of one pathway.

    Args:
        pixels: Normalised frames, `(batch, T, H, W, 3)`.
        variant: The row of the table.
        path: `slow` or `fast`.
        options: Those of the network.

    Returns:
        Slow beside a Fast pathway: `(batch, T / alpha, H, W, 3)`. Fast: `(batch, T, H, W, 3)`, one channel for `gray`
        and `time_difference`, half the height and width for `half_resolution`.
    """
    if path == "slow":
        if variant.fast is None:
            return pixels
        indices = slow_frame_indices(variant.clip.frames, variant.alpha, variant.slow_frames)
        return SelectFrames(indices, name="slow_frames", dtype=options.dtype)(pixels)
    if variant.fast_input == "gray":
        return Gray(name="fast_gray", dtype="float32")(pixels)
    if variant.fast_input == "time_difference":
        # In float32: the difference of two bfloat16 numbers is mostly their rounding.
        gray = Gray(name="fast_gray", dtype="float32")(pixels)
        return TimeDifference(name="fast_time_difference", dtype="float32")(gray)
    if variant.fast_input == "half_resolution":
        # `same` rounds odd sides up, as every stride of the network does, so that twice a side always covers Slow's.
        pool = keras.layers.AveragePooling3D(
            (1, 2, 2), padding="same", name="fast_half_resolution", dtype=options.dtype
        )
        return pool(pixels)
    return pixels


@keras.saving.register_keras_serializable("kerasfast")
class Gray(keras.layers.Layer):
    """RGB to one channel: `(batch, T, H, W, 3)` to `(batch, T, H, W, 1)`."""

    def call(self, inputs: Any) -> Any:
        weights = ops.convert_to_tensor(LUMA, dtype=self.compute_dtype)
        return ops.sum(inputs * weights, axis=-1, keepdims=True)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        return (*input_shape[:-1], 1)


@keras.saving.register_keras_serializable("kerasfast")
class TimeDifference(keras.layers.Layer):
    """Every frame less the one before; the first, which has none before it, is zero. The shape stays the same."""

    def call(self, inputs: Any) -> Any:
        return inputs - ops.concatenate([inputs[:, :1], inputs[:, :-1]], axis=1)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        return tuple(input_shape)
