"""Lateral connections: what the Slow pathway hears of the Fast one."""

from __future__ import annotations

from typing import Any

import keras

from kerasfast.models.blocks import relu
from kerasfast.models.layers import LayerOptions, batch_norm, conv
from kerasfast.models.row import Variant


def fuse(slow: Any, fast: Any, variant: Variant, *, name: str, options: LayerOptions) -> Any:
    """Slow features with the Fast features of the same stage beside them.

    Args:
        slow: `(batch, T / alpha, H, W, C)`.
        fast: `(batch, T, H, W, ceil(beta * C))`.
        variant: Says which kind of lateral connection.
        name: Stage after which it stands: `stem`, `res2`, ...
        options: Those of the network.

    Returns:
        `(batch, T / alpha, H, W, C + lateral channels)`.
    """
    if variant.lateral == "none":
        return slow
    prefix = f"lateral_{name}"
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
    return keras.layers.Concatenate(name=prefix, dtype=options.dtype)([slow, x])
