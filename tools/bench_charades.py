"""What kerasfast claims about Charades, on miniature Charades: benchmarks/charades.json.

    python tools/bench_charades.py --work out/charades [--seeds 100 101 102]

For each seed of the generator it trains the networks of `RUNS`, one after the other, and scores them on the same test
videos. A run that is there is not repeated, and one that was ended goes on from its last checkpoint, so the command may
be given again at any time. `tools/render_charades.py` makes docs/charades.md of the result.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from charades_claims import novel_scores, score_run, summary
from charades_data import Miniature, prepare

from kerasfast.data.memory import keep_freed_memory
from kerasfast.train.evaluate import versions
from kerasfast.train.fit import train
from kerasfast.train.recipe import Recipe, load
from kerasfast.train.run import RECIPE_FILE, WEIGHTS_FILE, load_model

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "charades.json"
LOSSES = (
    "weighted_bce",
    "focal",
    "asymmetric",
    "class_balanced",
    "distribution_balanced",
    "partial_label_masking",
)


@dataclass(frozen=True)
class Run:
    """A network to train.

    Args:
        changes: What it changes of the recipe `miniature_slowfast_nano`, table by table.
        transferred: Whether it starts from the weights of the run `pretrain`.
        data: `charades`, or `kinetics` for the single-label videos.
    """

    changes: dict[str, Any] = field(default_factory=dict)
    transferred: bool = False
    data: str = "charades"


HEADS = {"verb": 8, "object": 6, "action": 40}
RUNS: dict[str, Run] = {
    "scratch": Run(),
    "slow": Run({"model": {"name": "slow_nano"}}),
    "fast": Run({"model": {"name": "fast_nano"}}),
    "no_lateral": Run({"model": {"variant": {"lateral": "none"}}}),
    "pretrain": Run(
        {
            "model": {"heads": {"verb": None, "object": None, "action": {"classes": 40, "activation": "softmax"}}},
            "data": {"train_split": "kinetics_train"},
        },
        data="kinetics",
    ),
    "transfer": Run(transferred=True),
    **{name: Run({"loss": {"name": name}}, transferred=True) for name in LOSSES},
    "composed": Run(
        {"model": {"heads": {"action": {"classes": 40, "composed_of": ["verb", "object"]}}}}, transferred=True
    ),
}


def recipe_of(name: str, work: Path, epochs: int, pretrain_epochs: int) -> Recipe:
    """The recipe of a run."""
    run = RUNS[name]
    recipe = load("miniature_slowfast_nano").override(
        training={"epochs": pretrain_epochs if name == "pretrain" else epochs}
    )
    if run.transferred:
        recipe = recipe.override(model={"weights": str((work / "runs" / "pretrain" / WEIGHTS_FILE).absolute())})
    return recipe.override(**run.changes)


def run_one(name: str, data: Miniature, work: Path, recipe: Recipe) -> dict[str, Any]:
    """Train and score one network, unless it has been."""
    folder = work / "runs" / name
    done = folder / "bench.json"
    if done.is_file() and load(folder / RECIPE_FILE) == recipe:
        return json.loads(done.read_text("utf-8"))
    begin, cpu = time.perf_counter(), _cpu_seconds()
    stale = (folder / RECIPE_FILE).is_file() and load(folder / RECIPE_FILE) != recipe
    result = train(recipe, getattr(data, RUNS[name].data), folder, verbose=2, overwrite=stale)
    seconds: dict[str, float] = {"training": result.seconds}
    if name != "pretrain":
        model = load_model(folder)
        np.savez(
            folder / "scores.npz", **score_run(model, data, views=name == "scratch", validation=name == "transfer")
        )
        np.savez(folder / "novel.npz", **novel_scores(model, data))
    seconds |= {"all": time.perf_counter() - begin, "cpu": _cpu_seconds() - cpu}
    found = {"seconds": {key: round(value, 1) for key, value in seconds.items()}, "loss": result.history["loss"][-1]}
    done.write_text(json.dumps(found) + "\n", "utf-8")
    return found


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=ROOT / "out" / "charades", help="folder of data and runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[100, 101, 102], help="below 10 is for development")
    parser.add_argument("--videos", type=int, default=1200, help="training videos, a sixth of them for validation")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--pretrain-epochs", type=int, default=12)
    parser.add_argument("--only", nargs="+", choices=tuple(RUNS), default=tuple(RUNS))
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    keep_freed_memory()
    seeds: dict[str, Any] = {}
    for seed in arguments.seeds:
        work = arguments.work / f"seed{seed}-videos{arguments.videos}"
        begin, cpu = time.perf_counter(), _cpu_seconds()
        data = prepare(work, seed, arguments.videos)
        times = work / "data.json"
        if not times.is_file():
            times.write_text(json.dumps({"all": time.perf_counter() - begin, "cpu": _cpu_seconds() - cpu}), "utf-8")
        runs = {"data": {"seconds": json.loads(times.read_text("utf-8"))}}
        for name in arguments.only:
            recipe = recipe_of(name, work, arguments.epochs, arguments.pretrain_epochs)
            runs[name] = run_one(name, data, work, recipe)
            print(seed, name, json.dumps(runs[name]), flush=True)
        if set(arguments.only) == set(RUNS):
            seeds[str(seed)] = {"runs": runs, **summary(work / "runs", data)}
    if not seeds:
        return
    result = {
        "command": f"python tools/bench_charades.py --seeds {' '.join(map(str, arguments.seeds))} "
        f"--videos {arguments.videos} --epochs {arguments.epochs} --pretrain-epochs {arguments.pretrain_epochs}",
        "machine": {"cores": os.cpu_count(), "architecture": platform.machine()},
        "versions": versions(),
        "seeds": seeds,
    }
    arguments.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(arguments.out)


if __name__ == "__main__":
    main()
