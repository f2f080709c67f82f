"""Seconds and peak memory of porting a PyTorchVideo checkpoint: benchmarks/porting.json.

    python tools/bench_porting.py --work out/porting

The files are those of `torch.save` in both containers, with the momentum of SGD beside the weights, as a training run
leaves them. Each figure is the median over processes that do one thing; networks, containers and things take turns, so
that a slow minute hits them alike. Peaks are VmHWM of /proc/self/status (Linux). Times begin when TensorFlow is
imported. torch and pytorchvideo write the files, in a process of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "porting.json"
NETWORKS = ("slowfast_r101_8x8", "slowfast_r50_8x8")
CONTAINERS = ("zip", "legacy")
LIBRARIES = ("tensorflow", "keras", "numpy", "h5py", "torch", "pytorchvideo")
# What a process does: build without weights; load a checkpoint by its path; port it into an empty cache; load by name
# with an empty cache (copy, check, port, load); load by name from the cache, twice.
TASKS = ("build", "load_checkpoint", "port", "first_load", "cached_load")
TAG = "benchmark"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("out/porting"), help="folder of checkpoints and caches")
    parser.add_argument("--repeats", type=int, default=5, help="processes for each figure")
    arguments = parser.parse_args()
    work = arguments.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    found: dict[tuple[str, str, str, str], list[float]] = defaultdict(list)
    for network in NETWORKS:
        _child("write", network, "", work)
    loads: list[float] = []
    for _ in range(arguments.repeats):
        for network in NETWORKS:
            for container in CONTAINERS:
                loads.append(os.getloadavg()[0])
                for task in TASKS:
                    for key, value in _child(task, network, container, work).items():
                        found[network, task, container, key].append(value)

    def median(network: str, task: str, key: str) -> dict[str, float]:
        return {
            container: round(statistics.median(found[network, task, container, key]), 2) for container in CONTAINERS
        }

    def either(network: str, task: str, key: str) -> float:
        """Of what does not depend on the container."""
        return round(
            statistics.median(value for container in CONTAINERS for value in found[network, task, container, key]), 2
        )

    result: dict[str, Any] = {
        "command": f"python tools/bench_porting.py --repeats {arguments.repeats}",
        "machine": {
            "cpu": _cpu(),
            "cores": os.cpu_count(),
            "malloc": os.environ.get("GLIBC_TUNABLES", ""),
            # Above the number of cores others were at work: seconds are then too many.
            "median_load": round(statistics.median(loads), 1),
        },
        "versions": {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
        "repeats": arguments.repeats,
    }
    for network in NETWORKS:
        build = either(network, "build", "peak_mib")
        weights = either(network, "build", "weights_mib")
        peaks = {task: median(network, task, "peak_mib") for task in ("load_checkpoint", "port", "first_load")}
        result[network] = {
            "parameters": int(either(network, "build", "parameters")),
            "weights_mib": weights,
            "checkpoint_mib": {
                kind: round(_file(work, network, kind).stat().st_size / 2**20, 2) for kind in CONTAINERS
            },
            "port_seconds": median(network, "port", "seconds"),
            "load_checkpoint_seconds": median(network, "load_checkpoint", "seconds"),
            "first_load_seconds": median(network, "first_load", "seconds"),
            "cached_load_seconds": either(network, "cached_load", "seconds"),
            "second_cached_load_seconds": either(network, "cached_load", "second_seconds"),
            "build_seconds": either(network, "build", "seconds"),
            "peak_mib": {"build": build, **peaks, "cached_load": either(network, "cached_load", "peak_mib")},
            "peak_above_build_in_weights": {
                task: {kind: round((peak - build) / weights, 2) for kind, peak in of.items()}
                for task, of in peaks.items()
            },
        }
    RESULT.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(RESULT)


def _file(work: Path, network: str, container: str) -> Path:
    return work / f"{network}.{container}.pyth"


def _child(task: str, network: str, container: str, work: Path) -> dict[str, float]:
    """What a process of its own measures."""
    command = [sys.executable, __file__, task, network, container, str(work)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERASFAST_HOME": str(work / f"home.{container}")}
    process = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    figures = json.loads(process.stdout.splitlines()[-1])
    print(task, network, container, figures, flush=True)
    return figures


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


# --- in a process of its own -----------------------------------------------------------------------------------------


def _write(network: str, work: Path) -> dict[str, float]:
    """The checkpoints of a network with random weights, where they are not there yet."""
    sys.path.insert(0, str(ROOT / "tests"))
    import torch
    from parity import reference

    from kerasfast.models.variants import variant

    module = reference.build(variant(network), 400)
    optimizer = torch.optim.SGD(module.parameters(), 0.1, momentum=0.9)
    for parameter in module.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    state = {"epoch": 195, "model_state": module.state_dict(), "optimizer_state": optimizer.state_dict(), "cfg": "A: 1"}
    for container in CONTAINERS:
        torch.save(state, _file(work, network, container), _use_new_zipfile_serialization=container == "zip")
    return {}


def _measure(task: str, network: str, container: str, work: Path) -> dict[str, float]:
    import keras
    import tensorflow  # noqa: F401 - its import is not what is measured

    from kerasfast import cache, registry
    from kerasfast.models.classifier import build

    keras.config.disable_interactive_logging()
    checkpoint = _file(work, network, container)
    heads = {"action": {"classes": 400, "activation": "softmax"}}
    source = registry.Source(checkpoint.as_uri(), "pytorchvideo")
    row = registry.Entry(f"{network}.{TAG}", "benchmark", heads=heads, source=source)
    rows = {**registry.index(), row.name: row}
    registry.index = lambda: rows
    if task in ("port", "first_load"):
        for path in cache.cache_folder().glob("*"):
            path.unlink()
    figures: dict[str, float] = {}
    start = time.perf_counter()
    if task == "build":
        model = build(row.variant, heads=row.head_rows())
    elif task == "load_checkpoint":
        model = registry.load(network, weights=checkpoint)
    elif task == "port":
        cache.add(row.name, source, registry.published_network(row), checkpoint)
    else:
        model = registry.load(row.name)
    figures["seconds"] = time.perf_counter() - start
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    figures["peak_mib"] = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    if task == "cached_load":
        start = time.perf_counter()
        registry.load(row.name)
        figures["second_seconds"] = time.perf_counter() - start
    if task == "build":
        figures["parameters"] = sum(weight.value.shape.num_elements() for weight in model.trainable_weights)
        figures["weights_mib"] = sum(weight.value.shape.num_elements() for weight in model.weights) * 4 / 2**20
    return figures


if __name__ == "__main__":
    if len(sys.argv) == 5 and sys.argv[1] in ("write", *TASKS):
        which, name, kind, folder = sys.argv[1:]
        print(json.dumps(_write(name, Path(folder)) if which == "write" else _measure(which, name, kind, Path(folder))))
    else:
        main()
