"""The PyTorchVideo network of a row of our table, and what it computes at every stage."""

import math
import sys
import types

import numpy as np
import torch

from kerasfast.models.layers import slow_frame_indices
from kerasfast.models.variants import Variant
from parity.nonlocal_torch import NonLocal
from parity.torch_names import block_number

STAGES = ("stem", "res2", "res3", "res4", "res5")
TOTAL_STRIDE = 32  # along H and W, of every network here


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
    "fast_": _FAST,
    "c2d": (_ONE,) * 4,
    "i3d": (_THREE, [_THREE, _ONE], [_THREE, _ONE], [_ONE, _THREE]),
}


def build(variant: Variant, classes: int) -> torch.nn.Module:
    """The reference in evaluation mode, its head pooling windows as published.

    What PyTorchVideo has no argument for is added to its network: the non-local blocks (`NonLocal`), the batch norm of
    PySlowFast and MMAction2 on the first shortcut of X3D.
    """
    import_pytorchvideo()
    if variant.name.startswith("x3d"):
        module = _x3d(variant, classes)
    else:
        kernels = next(value for prefix, value in _KERNELS.items() if variant.name.startswith(prefix))
        make = _slowfast if variant.name.startswith("slowfast") else _resnet
        module = make(variant, classes, kernels)
    _add_nonlocal_blocks(module, variant)
    if variant.head_pool == "global":
        _pool_all_positions(module)
    return module.eval()


def _slowfast(variant: Variant, classes: int, kernels: tuple) -> torch.nn.Module:
    from pytorchvideo.models.slowfast import FastToSlowFusionBuilder, create_slowfast

    frames = variant.clip.frames
    size, stride = (variant.lateral_kernel, 1, 1), (variant.alpha, 1, 1)
    plain = None
    if not variant.lateral_norm:  # MMAction2's form
        plain = FastToSlowFusionBuilder(8, 2, size, stride, norm=None, activation=None).create_module

    def make(depth: int) -> torch.nn.Module:
        return create_slowfast(
            model_depth=depth,
            model_num_class=classes,
            slowfast_fusion_conv_kernel_size=size,
            slowfast_fusion_conv_stride=stride,
            fusion_builder=plain,
            stage_conv_a_kernel_sizes=kernels,
            head_pool_kernel_sizes=((frames // variant.alpha, 7, 7), (frames, 7, 7)),
        )

    module = make(101 if "r101" in variant.name else 50)
    if "r101_r50" in variant.name:  # a Fast pathway of another depth: that of the other network
        for block, other in zip(module.blocks[:5], make(50).blocks[:5], strict=True):
            block.multipathway_blocks[1] = other.multipathway_blocks[1]
    return module


def _resnet(variant: Variant, classes: int, kernels: tuple) -> torch.nn.Module:
    from pytorchvideo.models.resnet import create_resnet

    pooled = variant.name.startswith(("c2d_r", "i3d"))
    return create_resnet(
        model_depth=101 if "r101" in variant.name else 50,
        model_num_class=classes,
        stem_dim_out=8 if variant.name.startswith("fast") else 64,
        stem_conv_kernel_size=(5 if variant.name.startswith(("i3d", "fast")) else 1, 7, 7),
        stage1_pool=torch.nn.MaxPool3d if pooled else None,
        stage_conv_a_kernel_size=kernels,
        head_pool_kernel_size=(variant.clip.frames // (2 if pooled else 1), 7, 7),
    )


def _x3d(variant: Variant, classes: int) -> torch.nn.Module:
    from pytorchvideo.models.x3d import create_x3d

    module = create_x3d(
        input_clip_length=variant.clip.frames,
        input_crop_size=variant.crop_size,
        model_num_class=classes,
        depth_factor=5.0 if variant.name.startswith("x3d_l") else 2.2,
        head_activation=None,
    )
    if variant.first_shortcut_norm:
        module.blocks[1].res_blocks[0].branch1_norm = torch.nn.BatchNorm3d(24)
    return module


def _add_nonlocal_blocks(module: torch.nn.Module, variant: Variant) -> None:
    """Each as a child `nonlocal3` of its stage, working on what comes out of block 3 of the Slow pathway."""
    for number, index in variant.nonlocal_after:
        stage = module.blocks[block_number(f"res{number}", variant)]
        stage = stage.multipathway_blocks[0] if len(variant.pathways) == 2 else stage
        added = NonLocal(256 * 2 ** (number - 2), variant.nonlocal_instantiation, variant.nonlocal_pool)
        stage.add_module(f"nonlocal{index}", added)
        stage.res_blocks[index].register_forward_hook(lambda module, inputs, output, added=added: added(output))


def _pools(module: torch.nn.Module) -> list[torch.nn.Module]:
    """The average pools of the head."""
    return [part for part in module.blocks[-2:].modules() if isinstance(part, torch.nn.AvgPool3d)]


def _pool_all_positions(module: torch.nn.Module) -> None:
    """The head of MMAction2."""
    for parent in list(module.blocks[-2:].modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, torch.nn.AvgPool3d):
                setattr(parent, name, torch.nn.AdaptiveAvgPool3d(1))


def run(module: torch.nn.Module, frames: np.ndarray, variant: Variant) -> dict[str, np.ndarray]:
    """Every stage of each pathway (before the lateral connection), channels last, and what the head says.

    Args:
        module: From `build`. On frames too small for its head's windows these shrink to the whole map.
        frames: `(batch, T, H, W, 3)`, 0..255.
        variant: The row that `module` was built from; its `head_average` does not matter.

    Returns:
        `slow_stem`, ...; `action_logits` as PyTorchVideo averages them; `action_mean`, the mean over the positions of
        their softmax, as PySlowFast has it.
    """
    found = {}

    def keep(name):
        return lambda module, inputs, output: found.__setitem__(name, output.permute(0, 2, 3, 4, 1).numpy())

    modules = {}
    for stage in STAGES:
        block = module.blocks[block_number(stage, variant)]
        if len(variant.pathways) == 2:
            modules.update({f"{path}_{stage}": block.multipathway_blocks[i] for i, path in enumerate(("slow", "fast"))})
        else:
            modules[f"{variant.pathways[0]}_{stage}"] = block
    handles = [part.register_forward_hook(keep(name)) for name, part in modules.items()]
    positions = []
    average = module.blocks[-1].output_pool
    handles.append(average.register_forward_pre_hook(lambda module, inputs: positions.append(inputs[0])))
    published = [pool.kernel_size for pool in _pools(module)]
    for pool in _pools(module):
        largest = [math.ceil(side / TOTAL_STRIDE) for side in frames.shape[2:4]]
        pool.kernel_size = (pool.kernel_size[0], *map(min, pool.kernel_size[1:], largest))
    x = torch.from_numpy((frames - np.float32(variant.pixel_mean)) / np.float32(variant.pixel_std))
    x = x.permute(0, 4, 1, 2, 3)
    with torch.no_grad():
        logits = module([x[:, :, _slow_frames(variant)], x] if len(variant.pathways) == 2 else x)
    for handle in handles:
        handle.remove()
    for pool, size in zip(_pools(module), published, strict=True):
        pool.kernel_size = size
    found["action_logits"] = logits.numpy()
    found["action_mean"] = torch.softmax(positions[0], 1).mean((2, 3, 4)).numpy()
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
