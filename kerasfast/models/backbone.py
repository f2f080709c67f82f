"""Both pathways, from pixels to the features of every stage."""

from __future__ import annotations

import functools
import math
from typing import Any

import keras

from kerasfast.models.blocks import bottleneck, stem
from kerasfast.models.fusion import fuse
from kerasfast.models.inputs import normalize, pathway_input
from kerasfast.models.layers import LayerOptions
from kerasfast.models.nonlocal_block import nonlocal_block
from kerasfast.models.row import Variant
from kerasfast.models.x3d import x3d_block, x3d_stem


def backbone(frames: Any, variant: Variant, options: LayerOptions) -> dict[str, Any]:
    """Features of every stage, in the order in which they arise.

    ```
    frames (T) --+-- T / alpha -------> slow: stem -> (+) res2 -> (+) res3 -> (+) res4 -> (+) res5
                 |                              ^         ^          ^          ^
                 |                           lateral   lateral    lateral    lateral   (T -> T / alpha)
                 |                              |         |          |          |
                 +-- all frames ------> fast: stem ---> res2 ----> res3 ----> res4 ----> res5
    ```

    Args:
        frames: `(batch, T, H, W, 3)`, RGB, 0..255.
        variant: The row of the table.
        options: Batch-norm policy and dtype.

    Returns:
        `slow_stem`, `fast_stem`, `slow_res2`, `fast_res2`, ... to `(batch, T', H', W', C)`, each before the
        lateral connection joins it and before a temporal pooling; rows with one pathway have the names of that
        pathway alone.
    """
    pixels = normalize(frames, variant)
    tensors = {path: pathway_input(pixels, variant, path, options) for path in variant.pathways}
    endpoints = {}
    for index in range(-1, variant.num_stages):  # -1 is the stem
        label = stage_label(index)
        for path in variant.pathways:
            tensors[path] = stage(tensors[path], variant, path, index, options=options)
            endpoints[f"{path}_{label}"] = tensors[path]
        if len(tensors) == 2 and index < variant.num_stages - 1:
            tensors["slow"] = fuse(tensors["slow"], tensors["fast"], variant, name=label, options=options)
        if index == 0 and variant.temporal_pool > 1:
            for path in variant.pathways:
                tensors[path] = _pool_time(tensors[path], variant.temporal_pool, f"{path}_temporal_pool", options)
    return endpoints


def stage(x: Any, variant: Variant, path: str, index: int, *, options: LayerOptions) -> Any:
    """The stem (`index` -1) or residual stage `index` (0 is res2) of a pathway; only a stage's first block strides."""
    pathway = getattr(variant, path)

    def width(slow_channels: int) -> int:
        return slow_channels if path == "slow" else math.ceil(variant.beta * slow_channels)

    name = f"{path}_{stage_label(index)}"
    is_x3d = variant.block == "x3d"
    if index < 0:
        make = x3d_stem if is_x3d else stem
        return make(x, width(variant.stem_channels), pathway.stem_kernel, variant.stem_size, name=name, options=options)
    channels = variant.stage_channels[index]
    for block in range(pathway.depths[index]):
        # X3D has squeeze-and-excitation in every other block.
        make = functools.partial(x3d_block, squeeze=block % 2 == 0) if is_x3d else bottleneck
        x = make(
            x,
            width(channels),
            width(round(channels / variant.bottleneck_ratio)),
            pathway.temporal_kernel(index, block),
            spatial_stride=variant.spatial_strides[index] if block == 0 else 1,
            spatial_dilation=variant.spatial_dilations[index],
            zero_init=variant.zero_init_residual,
            shortcut_norm=variant.first_shortcut_norm or (index, block) != (0, 0),
            name=f"{name}_block{block}",
            options=options,
        )
        if path == "slow" and (index + 2, block) in variant.nonlocal_after:
            x = nonlocal_block(x, variant, name=f"{name}_nonlocal{block}", options=options)
    return x


def stage_label(index: int) -> str:
    """Name of a stage counted from 0: `res2`, `res3`, ...; -1 is the stem."""
    return "stem" if index < 0 else f"res{index + 2}"


def _pool_time(x: Any, frames: int, name: str, options: LayerOptions) -> Any:
    size = (frames, 1, 1)
    return keras.layers.MaxPooling3D(size, strides=size, name=name, dtype=options.dtype)(x)
