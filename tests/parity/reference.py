"""The PyTorchVideo network of a row of our table, with weights given by canonical names."""

import re
import sys
import types

import numpy as np
import torch

from kerasfast.models.layers import slow_frame_indices
from kerasfast.models.variants import Variant

_LEAVES = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "bias": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def import_pytorchvideo() -> types.ModuleType:
    """PyTorchVideo imports two names from torchvision.ops, of which there is no CPU build; neither is used here."""
    if "torchvision" not in sys.modules:
        vision, ops = types.ModuleType("torchvision"), types.ModuleType("torchvision.ops")
        ops.RoIAlign = ops.roi_align = None
        vision.ops = ops
        sys.modules.update({"torchvision": vision, "torchvision.ops": ops})
    import pytorchvideo.models.slowfast as slowfast

    return slowfast


# Temporal kernels of conv_a by stage, as PyTorchVideo's own builders of these networks give them.
_ONE, _THREE = (1, 1, 1), (3, 1, 1)
_SIX_OF_23 = (_THREE,) * 6 + (_ONE,) * 17
_SLOW, _FAST = (_ONE, _ONE, _THREE, _THREE), (_THREE,) * 4
_SLOW_50, _FAST_50 = (_ONE, _ONE, _SIX_OF_23, _THREE), (_THREE, _THREE, _SIX_OF_23, _THREE)
_KERNELS = {
    "slowfast_r101_50_101": (_SLOW_50, _FAST),
    "slowfast_r101_50_50": (_SLOW_50, _FAST_50),
    "slowfast": (_SLOW, _FAST),
    "slow_": _SLOW,
    "c2d": (_ONE,) * 4,
    "i3d": (_THREE, [_THREE, _ONE], [_THREE, _ONE], [_ONE, _THREE]),
}


def build(variant: Variant, classes: int) -> torch.nn.Module:
    """The reference in evaluation mode, its head pooling windows as published."""
    import_pytorchvideo()
    if variant.name.startswith("x3d"):
        return _x3d(variant, classes).eval()
    kernels = next(value for prefix, value in _KERNELS.items() if variant.name.startswith(prefix))
    make = _slowfast if variant.name.startswith("slowfast") else _resnet
    return make(variant, classes, kernels).eval()


def _slowfast(variant: Variant, classes: int, kernels: tuple) -> torch.nn.Module:
    from pytorchvideo.models.slowfast import FastToSlowFusionBuilder, create_slowfast

    frames = variant.clip.frames
    size, stride = (variant.lateral_kernel, 1, 1), (variant.alpha, 1, 1)
    plain = None
    if not variant.lateral_norm:  # MMAction2's form
        plain = FastToSlowFusionBuilder(8, 2, size, stride, norm=None, activation=None).create_module
    return create_slowfast(
        model_depth=101 if "r101" in variant.name else 50,
        model_num_class=classes,
        slowfast_fusion_conv_kernel_size=size,
        slowfast_fusion_conv_stride=stride,
        fusion_builder=plain,
        stage_conv_a_kernel_sizes=kernels,
        head_pool_kernel_sizes=((frames // variant.alpha, 7, 7), (frames, 7, 7)),
    )


def _resnet(variant: Variant, classes: int, kernels: tuple) -> torch.nn.Module:
    from pytorchvideo.models.resnet import create_resnet

    pooled = variant.name.startswith(("c2d_r", "i3d"))
    return create_resnet(
        model_depth=101 if "r101" in variant.name else 50,
        model_num_class=classes,
        stem_conv_kernel_size=(5 if variant.name.startswith("i3d") else 1, 7, 7),
        stage1_pool=torch.nn.MaxPool3d if pooled else None,
        stage_conv_a_kernel_size=kernels,
        head_pool_kernel_size=(variant.clip.frames // (2 if pooled else 1), 7, 7),
    )


def _x3d(variant: Variant, classes: int) -> torch.nn.Module:
    from pytorchvideo.models.x3d import create_x3d

    return create_x3d(
        input_clip_length=variant.clip.frames,
        input_crop_size=variant.crop_size,
        model_num_class=classes,
        depth_factor=5.0 if variant.name.startswith("x3d_l") else 2.2,
        head_activation=None,
    )


def _block_number(stage: str, variant: Variant) -> int:
    """Number of `stem`, `res2`, ... or `head` among PyTorchVideo's blocks; some poolings count as blocks."""
    slowfast, time_pool = len(variant.pathways) == 2, variant.temporal_pool > 1
    if stage == "head":
        return 6 if slowfast or time_pool else 5
    number = 0 if stage == "stem" else int(stage[3:]) - 1
    return number + (time_pool and number > 1)


def torch_name(canonical: str, variant: Variant) -> str:
    """PyTorchVideo's name of a weight.

    `slow/res2/block0/conv_a/kernel` of SlowFast is `blocks.1.multipathway_blocks.0.res_blocks.0.branch2.conv_a.weight`.
    """
    *parts, leaf = canonical.split("/")
    leaf = _LEAVES[leaf]
    if parts[0] == "head":
        inside = {"conv5": "pool.pre_conv", "bn5": "pool.pre_norm", "lin5": "pool.post_conv"}
        return f"blocks.{_block_number('head', variant)}.{inside.get(parts[1], 'proj')}.{leaf}"
    block = f"blocks.{_block_number(parts[1], variant)}"
    if parts[0] == "lateral":
        return f"{block}.multipathway_fusion.{'conv_fast_to_slow' if parts[2] == 'conv' else 'norm'}.{leaf}"
    path = block
    if len(variant.pathways) == 2:
        path = f"{block}.multipathway_blocks.{('slow', 'fast').index(parts[0])}"
    if parts[1] == "stem":
        # PyTorchVideo swaps the names of the two stem convolutions of X3D.
        inside = {"conv": "conv", "bn": "norm", "conv_xy": "conv.conv_t", "conv_t": "conv.conv_xy"}
        return f"{path}.{inside[parts[2]]}.{leaf}"
    index = int(re.fullmatch(r"block(\d+)", parts[2])[1])
    branch = f"{path}.res_blocks.{index}.branch2"
    if parts[3].startswith("se_fc"):
        return f"{branch}.norm_b.1.block.{ {'se_fc1': 0, 'se_fc2': 2}[parts[3]] }.{leaf}"
    kind, letter = parts[3].split("_")
    module = {"conv": "conv", "bn": "norm"}[kind]
    if letter == "short":
        return f"{path}.res_blocks.{index}.branch1_{module}.{leaf}"
    inside = "norm_b.0" if parts[3] == "bn_b" and variant.block == "x3d" else f"{module}_{letter}"
    return f"{branch}.{inside}.{leaf}"


def random_arrays(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> dict[str, np.ndarray]:
    """Seeded values of a size that keeps activations of order 1, drawn in the order of canonical names."""
    rng = np.random.Generator(np.random.PCG64(seed))
    arrays = {}
    for name in sorted(shapes):
        shape, leaf = shapes[name], name.rpartition("/")[2]
        if leaf == "kernel":
            fan_in = np.prod(shape[:-1])
            values = rng.standard_normal(shape) * 0.5 * np.sqrt(2.0 / fan_in)
        elif leaf in ("gamma", "moving_variance"):
            values = rng.uniform(0.5, 1.5, shape)
        else:  # beta, bias, moving_mean
            values = rng.standard_normal(shape) * 0.1
        arrays[name] = values.astype("float32")
    return arrays


def set_weights(module: torch.nn.Module, arrays: dict[str, np.ndarray], variant: Variant) -> None:
    """Strict: every parameter and statistic of the reference gets exactly one array."""
    state, wanted = {}, module.state_dict()
    for name, array in arrays.items():
        axes = {5: (4, 3, 0, 1, 2), 2: (1, 0), 1: (0,)}[array.ndim]  # THWIO -> OITHW, IO -> OI
        tensor = torch.from_numpy(np.ascontiguousarray(array.transpose(axes)))
        if name == "head/lin5/kernel":
            tensor = tensor[:, :, None, None, None]  # a convolution there
        state[torch_name(name, variant)] = tensor
    counters = {key: value for key, value in wanted.items() if key.endswith("num_batches_tracked")}
    module.load_state_dict({**state, **counters}, strict=True)


def run(module: torch.nn.Module, frames: np.ndarray, variant: Variant) -> dict[str, np.ndarray]:
    """Every stage of both pathways (before the lateral connection) and the logits, channels last.

    Args:
        module: From `build`.
        frames: `(batch, T, H, W, 3)`, 0..255.
        variant: The row that `module` was built from.
    """
    found = {}

    def keep(name):
        return lambda module, inputs, output: found.__setitem__(name, output.permute(0, 2, 3, 4, 1).numpy())

    stages = ["stem", "res2", "res3", "res4", "res5"]
    modules = {}
    for stage in stages:
        block = module.blocks[_block_number(stage, variant)]
        if len(variant.pathways) == 2:
            modules.update({f"{path}_{stage}": block.multipathway_blocks[i] for i, path in enumerate(("slow", "fast"))})
        else:
            modules[f"{variant.pathways[0]}_{stage}"] = block
    handles = [part.register_forward_hook(keep(name)) for name, part in modules.items()]
    x = torch.from_numpy((frames - np.float32(variant.pixel_mean)) / np.float32(variant.pixel_std))
    x = x.permute(0, 4, 1, 2, 3)
    with torch.no_grad():
        found["action_logits"] = module(
            [x[:, :, _slow_frames(variant)], x] if len(variant.pathways) == 2 else x
        ).numpy()
    for handle in handles:
        handle.remove()
    return found


def _slow_frames(variant: Variant) -> torch.Tensor:
    """FAIR's or MMAction2's Slow frames, as each computes them."""
    frames, alpha = variant.clip.frames, variant.alpha
    slow = torch.linspace(0, frames - 1, frames // alpha).long()
    if variant.slow_frames == "stride":
        slow = torch.arange(frames)[::alpha]
    if tuple(slow.tolist()) != slow_frame_indices(frames, alpha, variant.slow_frames):
        raise AssertionError("the reference takes other Slow frames")
    return slow
