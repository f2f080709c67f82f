"""kerasfast on an NVIDIA GPU against PyTorchVideo, in bfloat16: benchmarks/gpu.json.

    python tools/bench_gpu.py                                # on the machine with the GPU
    python tools/bench_gpu.py --dry-run --out out/gpu.json   # on a CPU: tiny, in float32, to see that it runs

Inference and training under KERAS_BACKEND=jax and torch, against PyTorchVideo in channels_last_3d, with and without
torch.compile. Needs CUDA builds of torch and jax, and pytorchvideo. Contenders are processes that take turns; all hold
their memory on the GPU at once, so make the batches smaller where it is short.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from contest import ROOT, Entrant, contest, script, write_result
from gpu_contenders import CONTENDERS, WORK

RESULT = ROOT / "benchmarks" / "gpu.json"
BATCHES, SIZES = {"inference": 8, "training": 8}, {"inference": 256, "training": 224}
# For the dry run: PyTorchVideo has no smaller network than the second.
TINY = {"kerasfast": "slow_nano", "torch": "slow_r50_4x16"}
_ENVIRONMENT = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}


def entrants(name: str, work: str, batch: int, size: int, device: str) -> list[Entrant]:
    """The contenders of a network; each has its backend in its environment."""
    found = []
    for key, (_, backend) in CONTENDERS.items():
        network = name if device == "gpu" else TINY["kerasfast" if backend else "torch"]
        variables = _ENVIRONMENT | ({"KERAS_BACKEND": backend} if backend else {})
        found.append(Entrant(key, script("gpu_contenders.py", key, network, work, batch, size, device), "", variables))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["slowfast_r50_8x8", "slowfast_r101_8x8"])
    parser.add_argument("--work", nargs="+", choices=WORK, default=WORK)
    parser.add_argument("--batch", type=int, help="clips of a call or step; by default 8")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--limit", type=float, default=300.0, help="seconds of a first call, compilation included")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--dry-run", action="store_true", help="tiny networks on the CPU")
    arguments = parser.parse_args()
    device = "cpu" if arguments.dry_run else "gpu"
    if arguments.dry_run and arguments.out == RESULT:
        parser.error(f"a dry run does not write {RESULT}; give --out")
    runs: list[dict[str, Any]] = []
    for name in arguments.models[:1] if arguments.dry_run else arguments.models:
        for work in arguments.work:
            batch = arguments.batch or (2 if arguments.dry_run else BATCHES[work])
            size = 64 if arguments.dry_run else SIZES[work]
            print(name, work, flush=True)
            found = contest(entrants(name, work, batch, size, device), arguments.rounds, limit=arguments.limit)
            for key, values in found.items():
                values["title"] = CONTENDERS[key][0]
            runs.append({"model": name, "work": work, "batch": batch, "size": size, "contenders": found})
    facts = [found["facts"] for run in runs for found in run["contenders"].values() if "facts" in found]
    if not facts:
        reasons = {found["skipped"] for run in runs for found in run["contenders"].values()}
        parser.exit(1, "no contender ran: " + "; ".join(sorted(reasons)) + "\n")
    result = {
        "device": facts[0]["device"],
        "dry_run": arguments.dry_run,
        "runs": runs,
    }
    write_result(arguments.out, result, "jax", "keras", "torch", "pytorchvideo", "numpy")


if __name__ == "__main__":
    main()
