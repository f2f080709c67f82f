"""A training step of SlowFast against PyTorchVideo's, time and peak memory: benchmarks/training.json.

    python tools/bench_training.py                  # about 12 minutes on two cores
    python tools/bench_training.py --rounds 3 --contenders kerasfast_float32 torch_float32

4 clips at 112 pixels. Each contender is a process of its own and they take turns, a step each. Needs torch 2.13.0 and
pytorchvideo 0.1.5 beside kerasfast.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from contest import ROOT, Entrant, contest, machine, script, versions
from training_contenders import CONTENDERS

RESULT = ROOT / "benchmarks" / "training.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["slowfast_r50_8x8"])
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--size", type=int, default=112, help="side of a clip in pixels")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--limit", type=float, default=90.0, help="seconds of a first step")
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    result = json.loads(arguments.out.read_text("utf-8")) if arguments.out.is_file() else {}
    for name in arguments.models:
        print(name, flush=True)
        entrants = [
            Entrant(one, script("training_contenders.py", one, name, arguments.batch, arguments.size))
            for one in arguments.contenders
        ]
        found = contest(entrants, arguments.rounds, limit=arguments.limit)
        for key, values in found.items():
            contender = CONTENDERS[key]
            values |= {"title": contender.title, "precision": contender.precision, "family": contender.family}
            if values.get("peak_mib"):
                values["step_mib"] = values["peak_mib"] - values["facts"]["start_mib"]
        result.setdefault("models", {})[name] = {
            "batch": arguments.batch,
            "size": arguments.size,
            "contenders": found,
        }
        result["machine"] = machine()
        result["versions"] = versions("tensorflow", "keras", "numpy", "torch", "pytorchvideo")
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
