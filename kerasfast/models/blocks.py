"""Stem and bottleneck block of a 3D ResNet, as functions of tensors."""

from __future__ import annotations

from typing import Any

import keras

from kerasfast.models.layers import LayerOptions, batch_norm, conv


def relu(x: Any, *, name: str, options: LayerOptions) -> Any:
    """ReLU."""
    return keras.layers.ReLU(name=name, dtype=options.dtype)(x)


def stem(x: Any, channels: int, temporal_kernel: int, size: int, *, name: str, options: LayerOptions) -> Any:
    """Convolution of `size` x `size` pixels, then 3x3 max pooling, each with spatial stride 2.

    `(batch, T, H, W, 3)` to `(batch, T, H / 4, W / 4, channels)`.
    """
    x = conv(x, channels, (temporal_kernel, size, size), strides=(1, 2, 2), name=f"{name}_conv", options=options)
    x = batch_norm(x, name=f"{name}_bn", options=options)
    x = relu(x, name=f"{name}_relu", options=options)
    # torch pads a max pool with -inf; after a ReLU zeros are the same.
    x = keras.layers.ZeroPadding3D((0, 1, 1), name=f"{name}_pool_pad", dtype=options.dtype)(x)
    return keras.layers.MaxPooling3D((1, 3, 3), strides=(1, 2, 2), name=name, dtype=options.dtype)(x)


def bottleneck(
    x: Any,
    channels: int,
    inner_channels: int,
    temporal_kernel: int,
    *,
    name: str,
    options: LayerOptions,
    spatial_stride: int = 1,
    spatial_dilation: int = 1,
    zero_init: bool = True,
    shortcut_norm: bool = True,
) -> Any:
    """(kt,1,1), (1,3,3) and (1,1,1) convolutions beside a shortcut, which is a convolution where shapes differ."""
    strides = (1, spatial_stride, spatial_stride)
    beside = shortcut(x, channels, spatial_stride, norm=shortcut_norm, name=name, options=options)
    y = conv(x, inner_channels, (temporal_kernel, 1, 1), name=f"{name}_conv_a", options=options)
    y = batch_norm(y, name=f"{name}_bn_a", options=options)
    y = relu(y, name=f"{name}_relu_a", options=options)
    y = conv(
        y,
        inner_channels,
        (1, 3, 3),
        strides=strides,
        spatial_dilation=spatial_dilation,
        name=f"{name}_conv_b",
        options=options,
    )
    y = batch_norm(y, name=f"{name}_bn_b", options=options)
    y = relu(y, name=f"{name}_relu_b", options=options)
    return join(beside, y, channels, zero_init=zero_init, name=name, options=options)


def shortcut(x: Any, channels: int, spatial_stride: int, *, norm: bool, name: str, options: LayerOptions) -> Any:
    """The input of a block, through a convolution (and batch norm, with `norm`) where the block changes its shape."""
    if x.shape[-1] == channels and spatial_stride == 1:
        return x
    strides = (1, spatial_stride, spatial_stride)
    x = conv(x, channels, (1, 1, 1), strides=strides, name=f"{name}_conv_short", options=options)
    return batch_norm(x, name=f"{name}_bn_short", options=options) if norm else x


def join(beside: Any, y: Any, channels: int, *, zero_init: bool, name: str, options: LayerOptions) -> Any:
    """The end of a block: the last convolution of its branch `y`, the sum with the shortcut `beside`, and ReLU."""
    y = conv(y, channels, (1, 1, 1), name=f"{name}_conv_c", options=options)
    y = batch_norm(y, name=f"{name}_bn_c", options=options, zero_gamma=zero_init)
    y = keras.layers.Add(name=f"{name}_add", dtype=options.dtype)([beside, y])
    return relu(y, name=f"{name}_relu", options=options)
