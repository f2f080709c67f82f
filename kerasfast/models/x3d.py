"""Stem and block of X3D (Feichtenhofer 2020, arXiv:2004.04730): depthwise convolutions and squeeze-and-excitation."""

from __future__ import annotations

from typing import Any

import keras

from kerasfast.models.blocks import join, relu, shortcut
from kerasfast.models.layers import LayerOptions, batch_norm, conv

# Squeeze-and-excitation has a sixteenth of a block's inner channels, in multiples of 8.
SQUEEZE_RATIO, SQUEEZE_DIVISOR = 1 / 16, 8


def x3d_stem(x: Any, channels: int, temporal_kernel: int, size: int, *, name: str, options: LayerOptions) -> Any:
    """A convolution in space with stride 2, then a depthwise one in time; no pooling.

    `(batch, T, H, W, 3)` to `(batch, T, H / 2, W / 2, channels)`.
    """
    x = conv(x, channels, (1, size, size), strides=(1, 2, 2), name=f"{name}_conv_xy", options=options)
    x = conv(x, channels, (temporal_kernel, 1, 1), depthwise=True, name=f"{name}_conv_t", options=options)
    x = batch_norm(x, name=f"{name}_bn", options=options)
    return relu(x, name=name, options=options)


def x3d_block(
    x: Any,
    channels: int,
    inner_channels: int,
    temporal_kernel: int,
    *,
    squeeze: bool,
    name: str,
    options: LayerOptions,
    spatial_stride: int = 1,
    spatial_dilation: int = 1,
    zero_init: bool = True,
    shortcut_norm: bool = True,
) -> Any:
    """(1,1,1), depthwise (kt,3,3) and (1,1,1) convolutions beside a shortcut; `squeeze` adds squeeze-and-excitation."""
    strides = (1, spatial_stride, spatial_stride)
    beside = shortcut(x, channels, spatial_stride, norm=shortcut_norm, name=name, options=options)
    y = conv(x, inner_channels, (1, 1, 1), name=f"{name}_conv_a", options=options)
    y = batch_norm(y, name=f"{name}_bn_a", options=options)
    y = relu(y, name=f"{name}_relu_a", options=options)
    y = conv(
        y,
        inner_channels,
        (temporal_kernel, 3, 3),
        strides=strides,
        spatial_dilation=spatial_dilation,
        depthwise=True,
        name=f"{name}_conv_b",
        options=options,
    )
    y = batch_norm(y, name=f"{name}_bn_b", options=options)
    if squeeze:
        y = squeeze_excite(y, name=f"{name}_se", options=options)
    y = keras.layers.Activation("silu", name=f"{name}_swish_b", dtype=options.dtype)(y)
    return join(beside, y, channels, zero_init=zero_init, name=name, options=options)


def squeeze_excite(x: Any, *, name: str, options: LayerOptions) -> Any:
    """Each channel scaled by what two small layers make of all channels' means (Hu et al. 2018, arXiv:1709.01507)."""
    channels = x.shape[-1]
    means = keras.layers.GlobalAveragePooling3D(keepdims=True, name=f"{name}_mean", dtype=options.dtype)(x)
    y = conv(means, squeeze_width(channels), (1, 1, 1), use_bias=True, name=f"{name}_fc1", options=options)
    y = relu(y, name=f"{name}_relu", options=options)
    y = conv(y, channels, (1, 1, 1), use_bias=True, name=f"{name}_fc2", options=options)
    y = keras.layers.Activation("sigmoid", name=f"{name}_sigmoid", dtype=options.dtype)(y)
    return keras.layers.Multiply(name=name, dtype=options.dtype)([x, y])


def squeeze_width(channels: int) -> int:
    """Channels between the two layers: `SQUEEZE_RATIO` of them rounded to the divisor, but not down by over 10 %.

    >>> [squeeze_width(channels) for channels in (54, 108, 216, 432)]
    [8, 8, 16, 32]
    """
    exact = channels * SQUEEZE_RATIO
    width = max(SQUEEZE_DIVISOR, int(exact + SQUEEZE_DIVISOR / 2) // SQUEEZE_DIVISOR * SQUEEZE_DIVISOR)
    return width + SQUEEZE_DIVISOR if width < 0.9 * exact else width
