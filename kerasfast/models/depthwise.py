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

    def call(self, inputs: Any) -> Any:
        outputs = self.convolution_op(inputs, self.kernel)
        return outputs if self.activation is None else self.activation(outputs)

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """The convolution, and the bias if there is one."""
        taps, height, width = self.kernel_size
        if (height, width) == (1, 1) and self.strides == (1, 1, 1):
            return self._over_time(inputs, kernel)
        if self.padding == "same":
            before = (taps - 1) // 2
            inputs = ops.pad(inputs, [(0, 0), (before, taps - 1 - before), (0, 0), (0, 0), (0, 0)])
        length = inputs.shape[1] - taps + 1
        total = None
        for tap in range(taps):
            # Of one tap, TensorFlow's kernel adds the bias as it computes; to the sum it would be a pass of its own.
            bias = self.bias if self.use_bias and tap == 0 else None
            term = self._by_image(inputs[:, tap : tap + length], kernel[tap], bias)
            total = term if total is None else total + term
        return total

    def _over_time(self, frames: Any, kernel: Any) -> Any:
        """The frames as one picture of a row for each: a kernel along time is one of columns then."""
        batch, length, height, width, channels = ops.shape(frames)
        rows = ops.reshape(frames, (batch, length, height * width, channels))
        rows = self._depthwise(rows, kernel[:, :, 0], self.bias if self.use_bias else None)
        return ops.reshape(rows, (batch, ops.shape(rows)[1], height, width, channels))

    def _by_image(self, frames: Any, kernel: Any, bias: Any) -> Any:
        """Each frame under `kernel` `(height, width, 1, channels)`: `(batch, T, H, W, channels)` in and out."""
        batch, length, height, width, channels = ops.shape(frames)
        images = ops.reshape(frames, (-1, height, width, channels))
        images = self._depthwise(images, kernel, bias, strides=self.strides[1:], dilation_rate=self.dilation_rate[1:])
        _, height, width, _ = ops.shape(images)
        return ops.reshape(images, (batch, length, height, width, channels))

    def _depthwise(self, images: Any, kernel: Any, bias: Any, **options: Any) -> Any:
        """`images` `(batch, H, W, channels)` under `kernel` `(height, width, 1, channels)`."""
        kernel = ops.transpose(kernel, (0, 1, 3, 2))  # TensorFlow's order
        images = ops.depthwise_conv(images, kernel, padding=self.padding, data_format="channels_last", **options)
        return images if bias is None else images + bias
