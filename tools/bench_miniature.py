"""SlowFast, Slow alone and Fast alone at equal training on miniature Charades: benchmarks/miniature.json.

    python tools/bench_miniature.py --work out/benchmark

Each network is trained by its recipe in training/recipes, which differ in the architecture only, and scored on the
same test videos. The line that the comparison is about is `motion`: the actions that only motion faster than the Slow
pathway's frame rate tells apart. Training is repeated over seeds; the data are the same.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

from kerasfast.cli.demo import build_miniature_records
from kerasfast.data.miniature.generate import motion_actions
from kerasfast.train.evaluate import evaluate
from kerasfast.train.fit import train
from kerasfast.train.recipes.recipe import load
from kerasfast.train.run import RECIPE_FILE

NETWORKS = ("slowfast_nano", "slow_nano", "fast_nano")
RESULT = Path(__file__).resolve().parent.parent / "benchmarks" / "miniature.json"


def run_one(network: str, records: Path, folder: Path, train_seed: int) -> dict[str, Any]:
    """Train and score one network; a finished run is not repeated."""
    metrics_file = folder / "metrics.json"
    seconds_file = folder / "seconds.json"
    recipe = load(f"miniature_{network}").override(training={"seed": train_seed})
    if not metrics_file.is_file() or load(folder / RECIPE_FILE).to_toml() != recipe.to_toml():
        shutil.rmtree(folder, ignore_errors=True)
        result = train(recipe, records, folder, verbose=2)
        seconds_file.write_text(json.dumps({"training": round(result.seconds, 1)}), "utf-8")
        protocol = recipe.evaluation
        evaluate(
            result.model,
            records,
            clips=protocol.clips,
            crops=protocol.crops,
            merge=protocol.merge,
            batch_size=protocol.batch_size,
            subsets={"motion": motion_actions()},
            out=metrics_file,
        )
    metrics = json.loads(metrics_file.read_text("utf-8"))
    scores = {head: _score(values) for head, values in metrics["heads"].items()}
    return {
        **scores,
        "motion": _score(metrics["subsets"]["motion"]),
        "overall_map": round(metrics["overall_map"], 4),
        "training_seconds": json.loads(seconds_file.read_text("utf-8"))["training"],
        "protocol": metrics["protocol"],
        "versions": metrics["versions"],
    }


def _score(values: dict[str, Any]) -> dict[str, float]:
    return {"map": round(values["map"], 4), "chance": round(values["chance"], 4)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("out/benchmark"), help="folder of data and runs")
    parser.add_argument("--seed", type=int, default=100, help="seed of the miniature; below 10 is for development")
    parser.add_argument("--train-seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds of the trainings")
    parser.add_argument("--videos", type=int, default=1200, help="training videos")
    arguments = parser.parse_args()
    # A folder for each data set: runs on one are not those on another.
    work = arguments.work / f"seed{arguments.seed}-videos{arguments.videos}"
    records = build_miniature_records(work, arguments.videos, arguments.seed)
    runs: dict[str, list[dict[str, Any]]] = {network: [] for network in NETWORKS}
    for train_seed in arguments.train_seeds:  # networks take turns, so that a slow hour hits them alike
        for network in NETWORKS:
            folder = work / "runs" / f"{network}-{train_seed}"
            runs[network].append(run_one(network, records, folder, train_seed))
    result = {
        "command": f"python tools/bench_miniature.py --seed {arguments.seed} --videos {arguments.videos} --train-seeds "
        + " ".join(map(str, arguments.train_seeds)),
        "machine": {"cores": os.cpu_count(), "architecture": platform.machine(), "python": platform.python_version()},
        "data": {"miniature_seed": arguments.seed, "training_videos": arguments.videos},
        "train_seeds": arguments.train_seeds,
        "networks": {
            network: {
                "mean": {
                    key: {part: round(float(np.mean([run[key][part] for run in of])), 4) for part in ("map", "chance")}
                    for key in ("verb", "object", "action", "motion")
                },
                "spread": {
                    key: round(float(np.ptp([run[key]["map"] for run in of])), 4)
                    for key in ("verb", "object", "action", "motion")
                },
                "runs": of,
            }
            for network, of in runs.items()
        },
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(RESULT)


if __name__ == "__main__":
    main()
