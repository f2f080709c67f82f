"""What this machine computes with, as far as it decides how fast a model runs."""

from __future__ import annotations

import os
import platform
from pathlib import Path

# Flags of /proc/cpuinfo, x86 and ARM, of instructions that multiply bfloat16.
_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
# With one of these oneDNN has kernels for it. Without, TensorFlow computes it by other means: on a processor with AVX2
# a training step of slow_nano, 4 clips, took 16 to 21 s in place of 0.2 s in float32 (two busy cores), and a view of
# SlowFast R50 minutes.
_BFLOAT16_KERNELS = _BFLOAT16_FLAGS | {"avx512f"}


def available_cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor_flags(path: str | os.PathLike[str] = "/proc/cpuinfo") -> frozenset[str]:
    """What the processor says that it can do, as Linux lists it; empty on other systems."""
    file = Path(path)
    lines = file.read_text().splitlines() if file.is_file() else []
    return frozenset(
        flag for line in lines if line.lower().startswith(("flags", "features")) for flag in line.split(":")[1].split()
    )


def bfloat16_arithmetic(flags: frozenset[str] | None = None) -> bool | None:
    """Whether the processor multiplies bfloat16; `None` where the system does not tell.

    Args:
        flags: Those of the processor, by default of this one.
    """
    known = processor_flags() if flags is None else flags
    return bool(known & _BFLOAT16_FLAGS) if known else None


def bfloat16_has_kernels(flags: frozenset[str] | None = None) -> bool | None:
    """Whether TensorFlow has oneDNN's kernels for bfloat16 here; `None` where the system does not tell."""
    known = processor_flags() if flags is None else flags
    return bool(known & _BFLOAT16_KERNELS) if known else None


def on_gpu() -> bool:
    """Whether TensorFlow sees a GPU."""
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def onednn_is_on() -> bool | None:
    """Whether this process' TensorFlow has oneDNN's kernels on; `None` on another processor than x86."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return None
    from tensorflow.python.util import _pywrap_util_port

    return bool(_pywrap_util_port.IsMklEnabled())
