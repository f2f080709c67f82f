"""TensorFlow's CPU kernels with oneDNN on, as kerasfast turns it, and off: benchmarks/kernels.json.

    python tools/bench_kernels.py

A training step and a prediction of 8 clips of slowfast_nano, in processes of their own that take turns.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from contest import ROOT, Entrant, contest, script, write_result

RESULT = ROOT / "benchmarks" / "kernels.json"
WORK = {"training step": "kerasfast_float32", "prediction": "predict"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs=1, default=["slowfast_nano"])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=64, help="side of a clip in pixels")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    (name,) = arguments.models
    entrants = [
        Entrant(
            f"{work} {switch}",
            script("training_contenders.py", contender, name, arguments.batch, arguments.size),
            environment={"TF_ENABLE_ONEDNN_OPTS": switch},
        )
        for work, contender in WORK.items()
        for switch in "01"
    ]
    found = contest(entrants, arguments.rounds)
    rows: dict[str, Any] = {}
    for work in WORK:
        off, on = (found[f"{work} {switch}"]["median_seconds"] for switch in "01")
        rows[work] = {"seconds_off": round(off, 4), "seconds_on": round(on, 4), "off_to_on": round(off / on, 2)}
    result = {
        "model": name,
        "batch": arguments.batch,
        "size": arguments.size,
        "rounds": arguments.rounds,
        "work": rows,
    }
    write_result(arguments.out, result, "tensorflow", "keras", "numpy")
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
