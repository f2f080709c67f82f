"""PyTorchVideo's networks in every mode of PyTorch that a user would try, for the benchmarks."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

# What the tests of parity share needs Keras, and no backend of it: TensorFlow stays out of PyTorch's processes.
os.environ.setdefault("KERAS_BACKEND", "numpy")

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from parity import reference

from kerasfast.models.layers import slow_frame_indices
from kerasfast.models.row import Variant

CLASSES = 400
# Mode -> (memory format, how it runs, type of its weights, type of autocast).
MODES: dict[str, tuple[torch.memory_format, str, torch.dtype, torch.dtype | None]] = {
    "eager": (torch.contiguous_format, "eager", torch.float32, None),
    "channels_last": (torch.channels_last_3d, "eager", torch.float32, None),
    "frozen": (torch.contiguous_format, "frozen", torch.float32, None),
    "frozen_channels_last": (torch.channels_last_3d, "frozen", torch.float32, None),
    "compiled": (torch.channels_last_3d, "compiled", torch.float32, None),
    "bfloat16_autocast": (torch.contiguous_format, "eager", torch.float32, torch.bfloat16),
    "bfloat16_autocast_channels_last": (torch.channels_last_3d, "eager", torch.float32, torch.bfloat16),
    "bfloat16_frozen": (torch.contiguous_format, "frozen", torch.bfloat16, None),
    "bfloat16_frozen_channels_last": (torch.channels_last_3d, "frozen", torch.bfloat16, None),
}


class Clip(torch.nn.Module):
    """A network that takes its pathways as arguments, since PyTorchVideo's writes into the list that it is given."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *pathways: torch.Tensor) -> torch.Tensor:
        """Scores of a clip."""
        return self.network(list(pathways) if len(pathways) > 1 else pathways[0])


def network(variant: Variant, size: int) -> torch.nn.Module:
    """PyTorchVideo's network of a row, with random weights, the windows of its head no larger than what they pool.

    Args:
        variant: The row.
        size: Side of the frames in pixels.
    """
    torch.manual_seed(0)
    module = reference.build(variant, CLASSES)
    largest = -(-size // reference.TOTAL_STRIDE)
    for pool in module.modules():
        if isinstance(pool, torch.nn.AvgPool3d):
            pool.kernel_size = (pool.kernel_size[0], *(min(side, largest) for side in pool.kernel_size[1:]))
    return Clip(module)


def pathways(variant: Variant, batch: int, size: int, device: str = "cpu") -> list[torch.Tensor]:
    """Normalised frames `(batch, 3, T, size, size)` of noise, of each pathway."""
    generator = torch.Generator().manual_seed(0)
    frames = torch.rand((batch, 3, variant.clip.frames, size, size), generator=generator) * 4 - 2
    found = [frames]
    if len(variant.pathways) == 2:
        rows = list(slow_frame_indices(variant.clip.frames, variant.alpha, variant.slow_frames))
        found = [frames[:, :, rows].contiguous(), frames]
    return [path.to(device) for path in found]


def parameters(module: torch.nn.Module) -> int:
    """How many a network has."""
    return sum(parameter.numel() for parameter in module.parameters())


def inference(mode: str, variant: Variant, batch: int, size: int) -> tuple[Callable[[], object], dict[str, Any]]:
    """A call of a network in a mode, and its facts."""
    layout, way, dtype, autocast = MODES[mode]
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    module = network(variant, size)
    facts = {"parameters": parameters(module)}
    module = module.to(memory_format=layout)
    clip = [path.contiguous(memory_format=layout) for path in pathways(variant, batch, size)]
    if way == "frozen":
        with torch.no_grad():
            # In float32, since tracing runs the network once. Then the weights get their type.
            module = torch.jit.trace(module, tuple(clip), check_trace=False).to(dtype).eval()
            module = torch.jit.optimize_for_inference(torch.jit.freeze(module))
    elif way == "compiled":
        module = torch.compile(module)
    clip = [path.to(dtype) for path in clip]
    context = nullcontext if autocast is None else lambda: torch.autocast("cpu", dtype=autocast)

    # Compiled, PyTorchVideo's network fails in inference mode: torch's check of a stride that is a NumPy number does.
    without_gradients = torch.no_grad if way == "compiled" else torch.inference_mode

    def run() -> object:
        with without_gradients(), context():
            return module(*clip)

    if way == "compiled":
        run()  # compiles, which is no part of a first call
    return run, facts
