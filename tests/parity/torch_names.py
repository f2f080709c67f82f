"""Weights by canonical name into the reference, and its state dict as a checkpoint of each family."""

import functools
import re

import numpy as np
import torch
from checkpoint_names import counters, mmaction2, pyslowfast

from kerasfast.models.variants import Variant

_LEAVES = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "bias": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
# Channels of the Slow features, which stand in front of PyTorchVideo's head and behind the Fast ones in MMAction2's.
_SLOW_FEATURES = 2048


def block_number(stage: str, variant: Variant) -> int:
    """Number of `stem`, `res2`, ... or `head` among PyTorchVideo's blocks; some poolings count as blocks."""
    slowfast, time_pool = len(variant.pathways) == 2, variant.temporal_pool > 1
    if stage == "head":
        return 6 if slowfast or time_pool else 5
    number = 0 if stage == "stem" else int(stage[3:]) - 1
    return number + (time_pool and number > 1)


def torch_name(canonical: str, variant: Variant) -> str:
    """The reference's name of a weight: PyTorchVideo's, and for a non-local block that of `reference`.

    `slow/res2/block0/conv_a/kernel` of SlowFast is `blocks.1.multipathway_blocks.0.res_blocks.0.branch2.conv_a.weight`.
    """
    *parts, leaf = canonical.split("/")
    leaf = _LEAVES[leaf]
    if parts[0] == "head":
        inside = {"conv5": "pool.pre_conv", "bn5": "pool.pre_norm", "lin5": "pool.post_conv"}
        return f"blocks.{block_number('head', variant)}.{inside.get(parts[1], 'proj')}.{leaf}"
    path = f"blocks.{block_number(parts[1], variant)}"
    if parts[0] == "lateral":
        return f"{path}.multipathway_fusion.{'conv_fast_to_slow' if parts[2] == 'conv' else 'norm'}.{leaf}"
    if len(variant.pathways) == 2:
        path = f"{path}.multipathway_blocks.{('slow', 'fast').index(parts[0])}"
    if parts[1] == "stem":
        # PyTorchVideo swaps the names of the two stem convolutions of X3D.
        inside = {"conv": "conv", "bn": "norm", "conv_xy": "conv.conv_t", "conv_t": "conv.conv_xy"}
        return f"{path}.{inside[parts[2]]}.{leaf}"
    if parts[2].startswith("nonlocal"):
        return f"{path}.{parts[2]}.{'bn' if parts[3] == 'bn' else 'conv_' + parts[3]}.{leaf}"
    block = f"{path}.res_blocks.{int(re.fullmatch(r'block([0-9]+)', parts[2])[1])}"
    if parts[3].startswith("se_fc"):
        return f"{block}.branch2.norm_b.1.block.{ {'se_fc1': 0, 'se_fc2': 2}[parts[3]] }.{leaf}"
    kind, letter = parts[3].split("_")
    module = {"conv": "conv", "bn": "norm"}[kind]
    if letter == "short":
        return f"{block}.branch1_{module}.{leaf}"
    inside = "norm_b.0" if parts[3] == "bn_b" and variant.block == "x3d" else f"{module}_{letter}"
    return f"{block}.branch2.{inside}.{leaf}"


def set_weights(module: torch.nn.Module, arrays: dict[str, np.ndarray], variant: Variant) -> None:
    """Strict: every parameter and statistic of the reference gets exactly one array."""
    state = {}
    for name, array in arrays.items():
        axes = {5: (4, 3, 0, 1, 2), 2: (1, 0), 1: (0,)}[array.ndim]  # THWIO -> OITHW, IO -> OI
        tensor = torch.from_numpy(np.ascontiguousarray(array.transpose(axes)))
        if name == "head/lin5/kernel":
            tensor = tensor[:, :, None, None, None]  # a convolution there
        state[torch_name(name, variant)] = tensor
    kept = {key: value for key, value in module.state_dict().items() if key.endswith("num_batches_tracked")}
    module.load_state_dict({**state, **kept}, strict=True)


def checkpoint(module: torch.nn.Module, names: list[str], variant: Variant, family: str) -> dict[str, dict]:
    """What a file of a family holds: its names, the order of the head's columns, the counters of torch.

    Args:
        module: The reference.
        names: Canonical names of its weights.
        variant: The row that it was built from.
        family: `pytorchvideo` (the reference's own state dict), `pyslowfast` or `mmaction2`.
    """
    state = module.state_dict()
    if family == "pytorchvideo":
        return {"model_state": state}
    x3d, single = variant.block == "x3d", len(variant.pathways) == 1
    rename = functools.partial(mmaction2, single=single, x3d=x3d) if family == "mmaction2" else pyslowfast
    renamed = {rename(name): state[torch_name(name, variant)] for name in names}
    renamed |= {name: torch.tensor(0) for name in counters(renamed)}
    if family == "pyslowfast":
        return {"epoch": 195, "model_state": renamed, "cfg": "TRAIN:\n  ENABLE: true\n"}
    if x3d:
        renamed["cls_head.fc1.weight"] = renamed["cls_head.fc1.weight"][:, :, 0, 0, 0]
    if not single:
        columns = renamed["cls_head.fc_cls.weight"]
        renamed["cls_head.fc_cls.weight"] = torch.cat([columns[:, _SLOW_FEATURES:], columns[:, :_SLOW_FEATURES]], 1)
    return {"meta": {"epoch": 256}, "state_dict": renamed}
