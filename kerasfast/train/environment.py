"""What a run was made on: the versions that computed it and the machine."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from kerasfast.data.files import write_json
from kerasfast.train.scoring.result import versions

ENVIRONMENT_FILE = "environment.json"


def write_environment(folder: str | Path, **more: Any) -> None:
    """Write `environment.json` into the folder of a run.

    Args:
        folder: The folder.
        **more: What else it shall say, such as how long the run took.
    """
    write_json(Path(folder) / ENVIRONMENT_FILE, {"versions": versions(), "machine": machine(), **more})


def machine() -> dict[str, Any]:
    """The machine: `system`, `architecture`, `processor`, `cores` that this process may use, `memory_bytes` (None
    where the system does not say) and `accelerators`, the names of what TensorFlow sees beside the processor.
    """
    import tensorflow as tf

    devices = [device for device in tf.config.list_physical_devices() if device.device_type != "CPU"]
    named = (tf.config.experimental.get_device_details(device).get("device_name") for device in devices)
    return {
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": _memory_bytes(),
        "accelerators": [name or device.name for name, device in zip(named, devices, strict=True)],
    }


def _processor() -> str:
    file = Path("/proc/cpuinfo")  # Python's own answer on Linux is the architecture, or nothing
    lines = file.read_text("utf-8", "replace").splitlines() if file.exists() else []
    found = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return found.get("model name") or platform.processor() or platform.machine()


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
