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


def build(variant: Variant, classes: int) -> torch.nn.Module:
    """The reference in evaluation mode, its head pooling 7x7 windows as published."""
    depths = {(3, 4, 6, 3): 50, (3, 4, 23, 3): 101}
    frames = variant.clip.frames
    return (
        import_pytorchvideo()
        .create_slowfast(
            model_depth=depths[variant.slow.depths],
            model_num_class=classes,
            slowfast_fusion_conv_kernel_size=(variant.lateral_kernel, 1, 1),
            slowfast_fusion_conv_stride=(variant.alpha, 1, 1),
            head_pool_kernel_sizes=((frames // variant.alpha, 7, 7), (frames, 7, 7)),
        )
        .eval()
    )


def torch_name(canonical: str) -> str:
    """PyTorchVideo's name of a SlowFast weight.

    `slow/res2/block0/conv_a/kernel` is `blocks.1.multipathway_blocks.0.res_blocks.0.branch2.conv_a.weight`.
    """
    *parts, leaf = canonical.split("/")
    leaf = _LEAVES[leaf]
    if parts[0] == "head":
        return f"blocks.6.proj.{leaf}"
    block = "blocks.0" if parts[1] == "stem" else f"blocks.{int(parts[1][3:]) - 1}"
    if parts[0] == "lateral":
        return f"{block}.multipathway_fusion.{'conv_fast_to_slow' if parts[2] == 'conv' else 'norm'}.{leaf}"
    path = f"{block}.multipathway_blocks.{('slow', 'fast').index(parts[0])}"
    if parts[1] == "stem":
        return f"{path}.{'conv' if parts[2] == 'conv' else 'norm'}.{leaf}"
    index = int(re.fullmatch(r"block(\d+)", parts[2])[1])
    kind, letter = parts[3].split("_")
    module = {"conv": "conv", "bn": "norm"}[kind]
    branch = f"branch1_{module}" if letter == "short" else f"branch2.{module}_{letter}"
    return f"{path}.res_blocks.{index}.{branch}.{leaf}"


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


def set_weights(module: torch.nn.Module, arrays: dict[str, np.ndarray]) -> None:
    """Strict: every parameter and statistic of the reference gets exactly one array."""
    state = {}
    for name, array in arrays.items():
        axes = {5: (4, 3, 0, 1, 2), 2: (1, 0), 1: (0,)}[array.ndim]  # THWIO -> OITHW, IO -> OI
        state[torch_name(name)] = torch.from_numpy(np.ascontiguousarray(array.transpose(axes)))
    counters = {key: value for key, value in module.state_dict().items() if key.endswith("num_batches_tracked")}
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

    handles = [
        block.multipathway_blocks[side].register_forward_hook(keep(f"{path}_{'stem' if i == 0 else f'res{i + 1}'}"))
        for i, block in enumerate(module.blocks[:5])
        for side, path in enumerate(("slow", "fast"))
    ]
    x = (torch.from_numpy(frames.astype("float32")) / 255.0 - 0.45) / 0.225
    x = x.permute(0, 4, 1, 2, 3)
    slow = torch.linspace(0, variant.clip.frames - 1, variant.clip.frames // variant.alpha).long()
    if tuple(slow.tolist()) != slow_frame_indices(variant.clip.frames, variant.alpha):
        raise AssertionError("the reference takes other Slow frames")
    with torch.no_grad():
        found["action_logits"] = module([x[:, :, slow], x]).numpy()
    for handle in handles:
        handle.remove()
    return found
