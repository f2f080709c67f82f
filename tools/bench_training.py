"""A training step of SlowFast against PyTorchVideo's, time and peak memory: benchmarks/training.json.

    python tools/bench_training.py                  # about 18 minutes on two cores
    python tools/bench_training.py --only-memory    # a part of that
    python tools/bench_training.py --rounds 3 --contenders kerasfast_float32 torch_float32

4 clips at 112 pixels. Each contender is a process of its own and they take turns, a step each. How much memory a step
takes differs from process to process, most of all PyTorch's, so that a contender that answers in time is started again
for the median of several peaks. Needs torch 2.13.0 and
pytorchvideo 0.1.5 beside kerasfast.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterable
from pathlib import Path

from contest import ROOT, Entrant, contest, script, write_result
from training_contenders import CONTENDERS

RESULT = ROOT / "benchmarks" / "training.json"


def peaks(entrants: Iterable[Entrant], runs: int, limit: float) -> dict[str, list[float]]:
    """MiB that two steps took at their peak above what the process had before, in each of several processes."""
    found: dict[str, list[float]] = {}
    for _ in range(runs):
        for key, values in contest(entrants, 1, limit=limit).items():
            if values.get("peak_mib"):
                found.setdefault(key, []).append(values["peak_mib"] - values["facts"]["start_mib"])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["slowfast_r50_8x8"])
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--size", type=int, default=112, help="side of a clip in pixels")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--limit", type=float, default=90.0, help="seconds of a first step")
    parser.add_argument("--processes", type=int, default=3, help="of each contender, for its memory")
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--only-memory", action="store_true", help="the times stay as they are in the result")
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    result = json.loads(arguments.out.read_text("utf-8")) if arguments.out.is_file() else {}
    for name in arguments.models:
        print(name, flush=True)
        entrants = [
            Entrant(one, script("training_contenders.py", one, name, arguments.batch, arguments.size))
            for one in arguments.contenders
        ]
        if arguments.only_memory:
            found = result["models"][name]["contenders"]
        else:
            found = contest(entrants, arguments.rounds, limit=arguments.limit)
        for key, values in found.items():
            contender = CONTENDERS[key]
            values |= {"title": contender.title, "precision": contender.precision, "family": contender.family}
        answered = [one for one in entrants if "median_seconds" in found.get(one.name, {})]
        for key, memory in peaks(answered, arguments.processes, arguments.limit).items():
            found[key] |= {"step_mib": statistics.median(memory), "step_mib_of_each": memory}
        result.setdefault("models", {})[name] = {
            "batch": arguments.batch,
            "size": arguments.size,
            "contenders": found,
        }
        write_result(arguments.out, result, "tensorflow", "keras", "numpy", "torch", "pytorchvideo")


if __name__ == "__main__":
    main()
