"""The table of architectures: one frozen row each, read by one builder."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Any

from kerasfast.data.clips import ClipSpec
from kerasfast.models.row import Pathway as Pathway
from kerasfast.models.row import Variant as Variant

_R50, _R101 = (3, 4, 6, 3), (3, 4, 23, 3)
_SLOW_KERNELS, _FAST_KERNELS = (1, 1, 3, 3), (3, 3, 3, 3)
# I3D as in PySlowFast (Wang et al. 2018, arXiv:1711.07971, section 5): every other block looks along time.
_I3D_KERNELS = (3, (3, 1), (3, 1), (1, 3))
# "50" in the name of an R101 policy: only the first 6 of the 23 blocks of res4 look along time.
_FIRST_SIX_OF_RES4 = (None, None, 6, None)


def _slow(depths: tuple[int, ...], **fields: Any) -> Pathway:
    return Pathway(depths, stem_kernel=1, temporal_kernels=_SLOW_KERNELS, **fields)


def _fast(depths: tuple[int, ...], **fields: Any) -> Pathway:
    return Pathway(depths, stem_kernel=5, temporal_kernels=_FAST_KERNELS, **fields)


# Non-local blocks: 5 in R50 (every other block of res3 and res4), 3 in SlowFast R101; PySlowFast's configurations.
_NONLOCAL_R50 = ((3, 1), (3, 3), (4, 1), (4, 3), (4, 5))
_NONLOCAL_R101 = ((4, 6), (4, 13), (4, 20))


def _c2d(depths: tuple[int, ...]) -> Pathway:
    return Pathway(depths, stem_kernel=1, temporal_kernels=(1, 1, 1, 1))


def _i3d(depths: tuple[int, ...]) -> Pathway:
    return Pathway(depths, stem_kernel=5, temporal_kernels=_I3D_KERNELS)


def _nl(row: Variant, **fields: Any) -> Variant:
    """The non-local form of a row."""
    values = {"nonlocal_after": _NONLOCAL_R50, "nonlocal_instantiation": "dot_product", **fields}
    return dataclasses.replace(row, name=f"{row.name}_nl", **values)


# Three stages on 64-pixel crops at 24 fps: small enough to train on two CPU cores in minutes.
_NANO: dict[str, Any] = {
    "alpha": 8,
    "beta": 1 / 4,
    "stem_channels": 32,
    "stem_size": 5,  # the Fast stem sees every frame at full size: 7x7 would double the time of a training step
    "stage_channels": (64, 128, 256),
    "spatial_strides": (1, 2, 2),
    "spatial_dilations": (1, 1, 1),
    # The published schedules give a block tens of epochs to leave its shortcut; the nano has few. On development data
    # slow_nano reached an action mAP of 0.16 in 12 epochs from a start at zero, 0.25 from ones.
    "zero_init_residual": False,
    "crop_size": 64,
    "test_crop_size": 64,
    "short_side": (64, 67),
}
_NANO_SLOW = Pathway((1, 1, 1), 1, (1, 3, 3), (None, None, None))
_NANO_FAST = Pathway((1, 1, 1), 3, (3, 3, 3), (None, None, None))

_PLAIN = (
    Variant("slowfast_r50_4x16", ClipSpec(32, 2), _slow(_R50), _fast(_R50), alpha=8, lateral_kernel=5),
    Variant("slowfast_r50_8x8", ClipSpec(32, 2), _slow(_R50), _fast(_R50)),
    Variant("slowfast_r50_16x8", ClipSpec(64, 2), _slow(_R50), _fast(_R50)),
    Variant("slowfast_r101_8x8", ClipSpec(32, 2), _slow(_R101), _fast(_R101), lateral_kernel=5),
    Variant(
        "slowfast_r101_50_101_8x8",
        ClipSpec(32, 2),
        _slow(_R101, temporal_blocks=_FIRST_SIX_OF_RES4),
        _fast(_R101),
        lateral_kernel=5,
    ),
    Variant(
        "slowfast_r101_50_50_8x8",
        ClipSpec(32, 2),
        _slow(_R101, temporal_blocks=_FIRST_SIX_OF_RES4),
        _fast(_R101, temporal_blocks=_FIRST_SIX_OF_RES4),
        lateral_kernel=5,
    ),
    Variant(
        "slowfast_r101_50_50_16x8",
        ClipSpec(64, 2),
        _slow(_R101, temporal_blocks=_FIRST_SIX_OF_RES4),
        _fast(_R101, temporal_blocks=_FIRST_SIX_OF_RES4),
        lateral_kernel=5,
    ),
    # MMAction2's: a Slow pathway of 101 layers beside a Fast one of 50.
    Variant("slowfast_r101_r50_4x16", ClipSpec(32, 2), _slow(_R101), _fast(_R50), alpha=8, lateral_kernel=5),
    Variant("slow_r50_4x16", ClipSpec(4, 16), _slow(_R50), None),
    Variant("slow_r50_8x8", ClipSpec(8, 8), _slow(_R50), None),
    Variant("slow_r101_8x8", ClipSpec(8, 8), _slow(_R101), None),
    Variant("slow_r101_16x8", ClipSpec(16, 8), _slow(_R101), None),
    Variant("fast_r50_8x8", ClipSpec(32, 2), None, _fast(_R50)),
    Variant("c2d_r50_8x8", ClipSpec(8, 8), _c2d(_R50), None, temporal_pool=2),
    Variant("c2d_nopool_r50_8x8", ClipSpec(8, 8), _c2d(_R50), None),
    Variant("i3d_r50_8x8", ClipSpec(8, 8), _i3d(_R50), None, temporal_pool=2),
    Variant("i3d_r101_8x8", ClipSpec(8, 8), _i3d(_R101), None, temporal_pool=2),
)
# X3D (Feichtenhofer 2020, arXiv:2004.04730, Table 1): one thin, deep pathway.
_X3D: dict[str, Any] = {
    "block": "x3d",
    "stem_channels": 24,
    "stem_size": 3,
    "stage_channels": (24, 48, 96, 192),
    "spatial_strides": (2, 2, 2, 2),
    "bottleneck_ratio": 1 / 2.25,  # the inner channels are the wide ones
    "head_widths": (432, 2048),
}


def _x3d(depths: tuple[int, ...]) -> Pathway:
    return Pathway(depths, stem_kernel=5, temporal_kernels=(3, 3, 3, 3))


_X3D_SMALL, _X3D_LARGE = _x3d((3, 5, 11, 7)), _x3d((5, 10, 25, 15))
_X3D_160 = {"crop_size": 160, "test_crop_size": 182, "short_side": (182, 228), "head_window": 5}
_X3D_312 = {"crop_size": 312, "test_crop_size": 356, "short_side": (356, 446), "head_window": 10}
_X3D_ROWS = (
    Variant("x3d_xs_4x12", ClipSpec(4, 12), _X3D_SMALL, None, **_X3D, **_X3D_160),
    Variant("x3d_s_13x6", ClipSpec(13, 6), _X3D_SMALL, None, **_X3D, **_X3D_160),
    Variant("x3d_m_16x5", ClipSpec(16, 5), _X3D_SMALL, None, **_X3D),
    Variant("x3d_l_16x5", ClipSpec(16, 5), _X3D_LARGE, None, **_X3D, **_X3D_312),
)
_ROW = {row.name: row for row in _PLAIN}
_NONLOCAL = (
    _nl(_ROW["slowfast_r50_4x16"]),
    # PySlowFast's configuration of this one has lateral kernels of 5, unlike the plain network.
    _nl(_ROW["slowfast_r50_8x8"], lateral_kernel=5),
    # Pooling along time too, as in PySlowFast's 101-layer networks for AVA: with (1, 2, 2) it costs
    # 242 G multiply-adds instead of 234.
    _nl(_ROW["slowfast_r101_50_50_16x8"], nonlocal_after=_NONLOCAL_R101, nonlocal_pool=(2, 2, 2)),
    _nl(_ROW["slow_r50_4x16"]),
    _nl(_ROW["slow_r50_8x8"]),
    _nl(_ROW["c2d_r50_8x8"], nonlocal_instantiation="softmax"),
    _nl(_ROW["i3d_r50_8x8"], nonlocal_instantiation="softmax"),
)
_NANO_ROWS = (
    Variant("slowfast_nano", ClipSpec(32, 1, 24.0), _NANO_SLOW, _NANO_FAST, **_NANO),
    Variant("slow_nano", ClipSpec(4, 8, 24.0), _NANO_SLOW, None, **_NANO),
    Variant("fast_nano", ClipSpec(32, 1, 24.0), None, _NANO_FAST, **_NANO),
)
VARIANTS: Mapping[str, Variant] = {row.name: row for row in (*_PLAIN, *_NONLOCAL, *_X3D_ROWS, *_NANO_ROWS)}


def variant(name: str, **overrides: Any) -> Variant:
    """A row of the table, with fields replaced.

    Args:
        name: An architecture such as `slowfast_r50_8x8`.
        **overrides: Fields of `Variant` to replace.

    Raises:
        ValueError: There is no such architecture or field; the message names the nearest.

    >>> variant("slowfast_r50_4x16", beta=1 / 4).beta
    0.25
    """
    if name not in VARIANTS:
        raise ValueError(
            f"There is no architecture {name!r}.{nearest(name, VARIANTS)} All names: {', '.join(VARIANTS)}."
        )
    return override(VARIANTS[name], **overrides)


def override(row: Variant, **overrides: Any) -> Variant:
    """A row with fields replaced.

    Raises:
        ValueError: There is no such field; the message names the nearest.
    """
    fields = [field.name for field in dataclasses.fields(Variant)]
    for key in overrides:
        if key not in fields:
            raise ValueError(f"A variant has no field {key!r}.{nearest(key, fields)} Fields: {', '.join(fields)}.")
    return dataclasses.replace(row, **overrides)


def nearest(name: str, names: Any) -> str:
    """A sentence ` Did you mean 'x'?`, or nothing where no name is near."""
    close = difflib.get_close_matches(name, list(names), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
