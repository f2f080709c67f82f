"""One row of the table of architectures: its fields, their defaults and what it refuses."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kerasfast.data.clips import ClipSpec

LATERALS = ("time_conv", "time_sample", "time_to_channel_sum", "time_to_channel_concat", "none")
BLOCKS = ("bottleneck", "x3d")
SLOW_FRAMES = ("linspace", "stride")
FAST_INPUTS = ("rgb", "gray", "time_difference", "half_resolution")
NONLOCAL_INSTANTIATIONS = ("softmax", "dot_product")
HEAD_POOLS = ("window", "global")
HEAD_AVERAGES = ("probabilities", "logits")
HEAD_FUSIONS = ("pool_then_concat", "interpolate_then_concat")


@dataclass(frozen=True)
class Pathway:
    """One 3D ResNet: how deep it is and where it looks along time.

    Args:
        depths: Blocks of each residual stage, res2 first.
        stem_kernel: Temporal length of the stem convolution, in frames of this pathway.
        temporal_kernels: Per stage, the temporal length of `conv_a` (of `conv_b` in X3D); several lengths repeat in
            turn over the blocks.
        temporal_blocks: Per stage, how many leading blocks use that length (the others use 1); `None` is all.
    """

    depths: tuple[int, ...]
    stem_kernel: int
    temporal_kernels: tuple[int | tuple[int, ...], ...]
    temporal_blocks: tuple[int | None, ...] = (None, None, None, None)

    def temporal_kernel(self, stage: int, block: int) -> int:
        """Temporal length of `conv_a` in `block` (from 0) of `stage` (from 0)."""
        leading = self.temporal_blocks[stage]
        if leading is not None and block >= leading:
            return 1
        kernel = self.temporal_kernels[stage]
        return kernel if isinstance(kernel, int) else kernel[block % len(kernel)]


@dataclass(frozen=True)
class Variant:
    """An architecture. Constants and their sources: Feichtenhofer et al. 2019 (arXiv:1812.03982), Table 1, and the
    configurations of PySlowFast.

    Args:
        name: Name in the zoo, without a weights tag.
        clip: The frames of a view, as the Fast pathway sees them (Slow-only rows: as the Slow pathway does).
        slow: The Slow pathway, or `None`.
        fast: The Fast pathway, or `None`.
        alpha: Fast frames for each Slow frame.
        beta: Fast channels for each Slow channel; a Fast layer has ceil(beta * C) channels.
        block: `bottleneck`, or `x3d` for the stem and the depthwise blocks of X3D.
        stem_channels: Slow channels after the stem.
        stem_size: Height and width of the stem's kernel, in pixels.
        stage_channels: Slow channels after res2, res3, ...
        bottleneck_ratio: Channels of a block's output for each of its inner channels.
        first_shortcut_norm: Whether batch norm follows the shortcut convolution of res2's first block; PyTorchVideo's
            X3D has none there.
        spatial_strides: Spatial stride of each stage's first block.
        spatial_dilations: Spatial dilation of each stage's 3x3 convolutions.
        temporal_pool: Frames that a max pooling between res2 and res3 makes one; 1 is no pooling.
        zero_init_residual: Whether a block starts as its shortcut (gamma 0 in its last batch norm; Goyal et al. 2017,
            section 5.1), as the published networks do. Only a new network's start depends on it.
        slow_frames: Which frames Slow sees: `linspace` spreads them from the first to the last (FAIR), `stride` takes
            every alpha-th (MMAction2).
        fast_input: What Fast sees: `rgb`, `gray`, `time_difference` (one channel: each gray frame less the one
            before) or `half_resolution` (half of height and width).
        lateral: How Fast features reach Slow: `time_conv` (a convolution strided by alpha), `time_sample` (every
            alpha-th frame), `time_to_channel_sum`, `time_to_channel_concat` (alpha frames as channels of one, added
            or concatenated) or `none`.
        lateral_kernel: Temporal length of the lateral convolution, in Fast frames.
        lateral_ratio: Channels of a lateral convolution for each Fast channel.
        lateral_norm: Whether batch norm and ReLU follow a lateral convolution.
        nonlocal_after: Where a non-local block follows a block of the Slow pathway, as (number of the stage, block
            from 0): `((3, 1),)` is behind the second block of res3.
        nonlocal_instantiation: Weights of the positions in a non-local block: `softmax` or `dot_product`.
        nonlocal_pool: Window, along T, H and W, of the max pooling before phi and g of a non-local block.
        pixel_mean: Mean of each of R, G, B on the scale 0..255.
        pixel_std: Standard deviation of each of R, G, B on the scale 0..255.
        head_pool: `window` pools all frames of a window of positions with stride 1; `global` pools all positions.
        head_window: Height and width of that window (less on a smaller map): a 32nd of the training crop.
        head_widths: Channels of a convolution before the pooling and of a dense layer behind it (X3D), or none.
        head_average: Average over window positions of `probabilities` (PySlowFast) or `logits` (PyTorchVideo).
        head_fusion: `pool_then_concat` (the paper), or `interpolate_then_concat`: Fast features brought to the
            Slow length in time before both are concatenated and pooled.
        crop_size: Height and width of a training crop, in pixels.
        test_crop_size: Height and width of a testing crop, in pixels.
        short_side: Range of the short side before a training crop, in pixels.
    """

    name: str
    clip: ClipSpec
    slow: Pathway | None
    fast: Pathway | None
    alpha: int = 4
    beta: float = 1 / 8
    block: str = "bottleneck"
    stem_channels: int = 64
    stem_size: int = 7
    stage_channels: tuple[int, ...] = (256, 512, 1024, 2048)
    bottleneck_ratio: float = 4
    first_shortcut_norm: bool = True
    spatial_strides: tuple[int, ...] = (1, 2, 2, 2)
    spatial_dilations: tuple[int, ...] = (1, 1, 1, 1)
    temporal_pool: int = 1
    zero_init_residual: bool = True
    slow_frames: str = "linspace"
    fast_input: str = "rgb"
    lateral: str = "time_conv"
    lateral_kernel: int = 7
    lateral_ratio: int = 2
    lateral_norm: bool = True
    nonlocal_after: tuple[tuple[int, int], ...] = ()
    nonlocal_instantiation: str = "softmax"
    nonlocal_pool: tuple[int, int, int] = (1, 2, 2)
    # 0.45 and 0.225 on the scale 0..1, the same for every channel, are what the Kinetics checkpoints were trained with.
    pixel_mean: tuple[float, float, float] = (114.75, 114.75, 114.75)
    pixel_std: tuple[float, float, float] = (57.375, 57.375, 57.375)
    head_pool: str = "window"
    head_window: int = 7
    head_widths: tuple[int, ...] = ()
    head_average: str = "probabilities"
    head_fusion: str = "pool_then_concat"
    crop_size: int = 224
    test_crop_size: int = 256
    short_side: tuple[int, int] = (256, 320)

    def __post_init__(self) -> None:
        if self.slow is None and self.fast is None:
            raise ValueError(f"A variant needs a Slow or a Fast pathway. Received neither for {self.name!r}.")
        for field, allowed in (
            ("block", BLOCKS),
            ("slow_frames", SLOW_FRAMES),
            ("fast_input", FAST_INPUTS),
            ("lateral", LATERALS),
            ("nonlocal_instantiation", NONLOCAL_INSTANTIATIONS),
            ("head_pool", HEAD_POOLS),
            ("head_average", HEAD_AVERAGES),
            ("head_fusion", HEAD_FUSIONS),
        ):
            if getattr(self, field) not in allowed:
                raise ValueError(
                    f"Variant.{field} must be one of {', '.join(allowed)}. Received: {getattr(self, field)!r}."
                )
        self._check_pathways()
        self._check_stages()
        self._check_time()

    def _check_pathways(self) -> None:
        """Two pathways must fit each other, and the head one or both of them."""
        if self.slow and self.fast:
            if self.alpha < 1 or self.clip.frames % self.alpha:
                raise ValueError(
                    "The frames of a clip must be a multiple of alpha. "
                    f"Received: frames={self.clip.frames}, alpha={self.alpha}."
                )
            if self.lateral_kernel % 2 == 0:
                raise ValueError(
                    "lateral_kernel must be odd, so that a window has a middle frame. "
                    f"Received: {self.lateral_kernel}. Use {self.lateral_kernel + 1}."
                )
            widths = (self.stem_channels, *self.stage_channels)
            if self.lateral == "time_to_channel_sum":
                for channels in widths[:-1]:  # no lateral follows the last stage
                    packed = self.alpha * math.ceil(self.beta * channels)
                    if packed != channels:
                        raise ValueError(
                            "The lateral time_to_channel_sum adds alpha * ceil(beta * C) channels to C and needs them "
                            f"equal. Received: alpha={self.alpha}, beta={self.beta:g}, which makes {packed} of "
                            f"{channels}. Use beta=1/{self.alpha}, or lateral='time_to_channel_concat'."
                        )

        if self.head_widths and (len(self.head_widths) != 2 or len(self.pathways) == 2):
            raise ValueError(
                "head_widths takes the channels of two layers around the pooling of a single pathway. "
                f"Received: {self.head_widths} with the pathways {', '.join(self.pathways)}."
            )

    def _check_stages(self) -> None:
        """Fields with an entry for every stage must have as many."""
        stages = len(self.stage_channels)
        for field in ("spatial_strides", "spatial_dilations"):
            if len(getattr(self, field)) != stages:
                raise ValueError(
                    f"Variant.{field} needs one entry for each of stage_channels. "
                    f"Received: {getattr(self, field)} for {stages} stages."
                )
        for pathway in filter(None, (self.slow, self.fast)):
            if len(pathway.depths) != stages or len(pathway.temporal_kernels) != stages:
                raise ValueError(
                    "depths and temporal_kernels need one entry for each of stage_channels. "
                    f"Received: {len(pathway.depths)} and {len(pathway.temporal_kernels)} for {stages} stages."
                )
            if len(pathway.temporal_blocks) < stages:
                raise ValueError(
                    "temporal_blocks needs an entry, a number of blocks or None, for each of stage_channels. "
                    f"Received: {pathway.temporal_blocks} for {stages} stages."
                )

        for stage, block in self.nonlocal_after:
            if self.slow is None or not (2 <= stage < 2 + stages and 0 <= block < self.slow.depths[stage - 2]):
                raise ValueError(
                    "nonlocal_after takes pairs (stage, block) of the Slow pathway: stages from 2, blocks from 0. "
                    f"Received: {(stage, block)}, where depths={self.slow and self.slow.depths}."
                )

    def _check_time(self) -> None:
        """Poolings along time must leave a frame."""
        shortest = self.clip.frames // (self.alpha if len(self.pathways) == 2 else 1)
        if not 1 <= self.temporal_pool <= shortest:
            raise ValueError(
                f"temporal_pool must be from 1 to the {shortest} frames of the shortest pathway. "
                f"Received: {self.temporal_pool}."
            )
        if self.nonlocal_after:
            length = shortest // self.temporal_pool
            if len(self.nonlocal_pool) != 3 or min(self.nonlocal_pool) < 1 or self.nonlocal_pool[0] > length:
                raise ValueError(
                    f"nonlocal_pool must be three sizes (T, H, W) from 1, the first at most the {length} frames that "
                    f"the Slow pathway has there. Received: {self.nonlocal_pool}."
                )

    @property
    def pathways(self) -> tuple[str, ...]:
        """Names of the pathways, Slow first."""
        return tuple(name for name in ("slow", "fast") if getattr(self, name) is not None)

    @property
    def num_stages(self) -> int:
        """Residual stages; they are called res2, res3, ..."""
        return len(self.stage_channels)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Variant:
        """The inverse of `to_dict`; lists, as JSON gives them, become tuples."""

        def plain(value: Any) -> Any:
            return tuple(plain(item) for item in value) if isinstance(value, (list, tuple)) else value

        row = {key: plain(value) for key, value in values.items()}
        row["clip"] = ClipSpec(**row["clip"])
        for name in ("slow", "fast"):
            if row[name] is not None:
                row[name] = Pathway(**{key: plain(value) for key, value in row[name].items()})
        return cls(**row)
