"""3D convolution and pooling written as those of pictures, for runtimes that have nothing else that is fast or int8.

LiteRT pools no volumes at all, and its 3D convolution has one kernel, in float32.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerasfast.serving.copying import copy_with


def with_image_layers(model: keras.Model) -> keras.Model:
    """A copy of a functional model in which `ImageConv` and `ImagePool` stand for Keras' 3D layers.

    Layers keep their names and weights. Grouped convolutions and those dilated in time stay as they are.
    """
    pools = {keras.layers.MaxPooling3D: "max", keras.layers.AveragePooling3D: "average"}

    def copy(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if type(layer) in pools:
            fields = {key: config[key] for key in ("name", "dtype", "pool_size", "strides", "padding")}
            return ImagePool(pools[type(layer)], **fields)
        if type(layer) is keras.layers.Conv3D and layer.groups == 1 and layer.dilation_rate[0] == 1:
            return ImageConv.from_config(config)
        return type(layer).from_config(config)

    return copy_with(model, copy)


@keras.saving.register_keras_serializable("kerasfast")
class ImageConv(keras.layers.Conv3D):
    """A `Conv3D` computed by one 2D convolution.

    A kernel of one position in height and width convolves pictures of T rows and H * W columns. Any other one
    convolves frames, each with those that it is combined with in time beside it in its channels.

    Configuration, weights, input and output are those of `keras.layers.Conv3D`, without groups and dilation in time.
    """

    def call(self, inputs: Any) -> Any:
        taps, stride = self.kernel_size[0], self.strides[0]
        x = _padded_in_time(inputs, taps, stride) if self.padding == "same" else inputs
        length = (x.shape[1] - taps) // stride + 1
        if taps > 1 and self.kernel_size[1:] == self.strides[1:] == (1, 1):
            x = self._over_time(x)
        else:
            x = self._over_frames(x, length)
        return x if self.activation is None else self.activation(x)

    def _over_time(self, x: Any) -> Any:
        _, length, height, width, channels = _sizes(x)
        x = ops.reshape(x, (-1, length, height * width, channels))
        x = self._with_bias(_convolved(x, ops.squeeze(self.kernel, 2), (self.strides[0], 1), "valid"))
        return ops.reshape(x, (-1, _sizes(x)[1], height, width, self.filters))

    def _over_frames(self, x: Any, length: int) -> Any:
        taps, stride = self.kernel_size[0], self.strides[0]
        _, _, height, width, channels = _sizes(x)
        if taps > 1 or stride > 1:
            seen = stride * (length - 1) + 1
            x = ops.concatenate([x[:, tap : tap + seen : stride] for tap in range(taps)], axis=-1)
        kernel = ops.reshape(
            ops.transpose(self.kernel, (1, 2, 0, 3, 4)), (*self.kernel_size[1:], taps * channels, self.filters)
        )
        x = ops.reshape(x, (-1, height, width, taps * channels))
        x = self._with_bias(_convolved(x, kernel, self.strides[1:], self.padding, self.dilation_rate[1:]))
        _, height, width, _ = _sizes(x)
        return ops.reshape(x, (-1, length, height, width, self.filters))

    def _with_bias(self, x: Any) -> Any:
        """Right after the convolution, where converters make one operation of both."""
        return x + self.bias if self.use_bias else x


@keras.saving.register_keras_serializable("kerasfast")
class ImagePool(keras.layers.Layer):
    """3D pooling as two poolings of pictures: over height and width of every frame, then over time.

    Maxima and means over a box are those over its sides, one side after the other, also where `same` pads.

    Args:
        operation: `max` or `average`.
        pool_size: Length, height and width of a window.
        strides: Along the same axes.
        padding: `valid` or `same`.
        **kwargs: Those of `keras.layers.Layer`.

    Input shape: `(batch, T, H, W, channels)`; output shape: that of Keras' own 3D pooling.
    """

    def __init__(
        self,
        operation: str,
        pool_size: tuple[int, int, int],
        strides: tuple[int, int, int],
        padding: str = "valid",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.operation = operation
        self.pool_size = tuple(pool_size)
        self.strides = tuple(strides)
        self.padding = padding

    def call(self, inputs: Any) -> Any:
        _, length, height, width, channels = _sizes(inputs)
        x = self._pool(ops.reshape(inputs, (-1, height, width, channels)), self.pool_size[1:], self.strides[1:])
        _, height, width, _ = _sizes(x)
        if self.pool_size[0] > 1 or self.strides[0] > 1:
            x = ops.reshape(x, (-1, length, height * width, channels))
            x = self._pool(x, (self.pool_size[0], 1), (self.strides[0], 1))
            length = _sizes(x)[1]
        return ops.reshape(x, (-1, length, height, width, channels))

    def _pool(self, x: Any, size: tuple[int, ...], strides: tuple[int, ...]) -> Any:
        pool = ops.max_pool if self.operation == "max" else ops.average_pool
        return pool(x, size, strides, self.padding, "channels_last")

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        layer = keras.layers.MaxPooling3D(self.pool_size, self.strides, self.padding)
        return layer.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("operation", "pool_size", "strides", "padding")}
        return {**super().get_config(), **own}


def _sizes(x: Any) -> Any:
    """The shape, a number or a scalar tensor for each axis."""
    return ops.shape(x)


def _convolved(x: Any, kernel: Any, strides: Any, padding: str, dilation: Any = 1) -> Any:
    """Pictures `(batch, height, width, channels)` convolved."""
    return ops.conv(x, kernel, strides, padding, "channels_last", dilation)


def _padded_in_time(x: Any, taps: int, stride: int) -> Any:
    """With zeros before and after, as TensorFlow's `SAME` has them."""
    length = x.shape[1]
    total = max((-(-length // stride) - 1) * stride + taps - length, 0)
    return ops.pad(x, [(0, 0), (total // 2, total - total // 2), (0, 0), (0, 0), (0, 0)]) if total else x
