"""The depthwise 3D convolution, which Keras has only as a grouped one."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("kerasfast")
class DepthwiseConv3D(keras.layers.Conv3D):
    """A `Conv3D` with a group for every channel, computed as a sum over time of depthwise 2D convolutions.

    Configuration and weights are those of `keras.layers.Conv3D(channels, ..., groups=channels)`. Keras itself
    compiles a grouped 3D convolution with XLA where TensorFlow runs on a CPU, anew for every size of frames and in
    every eager call; the sum takes TensorFlow's own kernel.

    Args:
        filters: Channels of input and output.
        kernel_size: Length, height and width of the kernel.
        groups: Also the channels; the default takes `filters`.
        **kwargs: Those of `keras.layers.Conv3D`; one frame at a time (no stride and no dilation along time).

    Input shape: `(batch, T, H, W, channels)`; output shape: that of `keras.layers.Conv3D`.

    Raises:
        ValueError: Groups that are not the channels, or a stride or dilation along time.
    """

    def __init__(self, filters: int, kernel_size: Any, groups: int | None = None, **kwargs: Any) -> None:
        groups = filters if groups is None else groups
        super().__init__(filters, kernel_size, groups=groups, **kwargs)
        if groups != filters or self.strides[0] != 1 or self.dilation_rate[0] != 1:
            raise ValueError(
                "DepthwiseConv3D has one group for each channel and takes every frame. "
                f"Received: filters={filters}, groups={groups}, strides={self.strides}, "
                f"dilation_rate={self.dilation_rate}. Use keras.layers.Conv3D for others."
            )

    def build(self, input_shape: Any) -> None:
        if input_shape[-1] != self.filters:
            raise ValueError(
                "DepthwiseConv3D has as many channels in its output as in its input. "
                f"Received: {input_shape[-1]} input channels, filters={self.filters}. Use filters={input_shape[-1]}."
            )
        super().build(input_shape)

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        taps, height, width = self.kernel_size
        if self.padding == "same":
            before = (taps - 1) // 2
            inputs = ops.pad(inputs, [(0, 0), (before, taps - 1 - before), (0, 0), (0, 0), (0, 0)])
        length = inputs.shape[1] - taps + 1
        total = None
        for tap in range(taps):
            frames = inputs[:, tap : tap + length]
            if (height, width) == (1, 1) and self.strides == (1, 1, 1):
                term = frames * kernel[tap, 0, 0, 0]
            else:
                term = self._by_image(frames, ops.transpose(kernel[tap], (0, 1, 3, 2)))
            total = term if total is None else total + term
        return total

    def _by_image(self, frames: Any, kernel: Any) -> Any:
        """Each frame under `kernel` `(height, width, channels, 1)`: `(batch, T, H, W, channels)` in and out."""
        batch, length, height, width, channels = ops.shape(frames)
        images = ops.depthwise_conv(
            ops.reshape(frames, (-1, height, width, channels)),
            kernel,
            strides=self.strides[1:],
            padding=self.padding,
            dilation_rate=self.dilation_rate[1:],
            data_format="channels_last",
        )
        _, height, width, _ = ops.shape(images)
        return ops.reshape(images, (batch, length, height, width, channels))
