"""What kerasfast claims about Charades, on miniature Charades: benchmarks/charades.json.

    python tools/bench_charades.py --work out/charades [--seeds 100 101 102]

For each seed of the generator it trains the networks of `RUNS`, one after the other, then heads on the features of one
of them (tools/charades_heads.py), and scores all on the same test videos. A run that is there is not repeated, and one
that was ended goes on from its last checkpoint, so the command may be given again at any time.
`tools/render_charades.py` makes docs/charades.md of the result.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import platform
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from charades_claims import Scores, summary
from charades_data import Miniature, prepare
from charades_heads import BATCH, CLIPS, LOSSES, features, save_arrays, scores_of, train_heads

from kerasfast.data.memory import keep_freed_memory
from kerasfast.models.composition import learned_scales
from kerasfast.train.fit import train
from kerasfast.train.long_range import clip_outputs
from kerasfast.train.recipes.recipe import Recipe, load
from kerasfast.train.run import RECIPE_FILE, WEIGHTS_FILE, load_model
from kerasfast.train.scoring.result import versions

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "charades.json"
THRESHOLDS_OF = "transfer"  # the network that is scored on the validation videos too
HEADS = (*LOSSES, "composed")  # on frozen features: by loss, and one that composes actions with BCE


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


RUNS: dict[str, Run] = {
    "scratch": Run(),
    "slow": Run({"model": {"name": "slow_nano"}}),
    "fast": Run({"model": {"name": "fast_nano"}}),
    "no_lateral": Run({"model": {"variant": {"lateral": "none"}}}),
    "pretrain": Run(
        {
            "model": {
                "heads": {"verb": None, "object": None, "action": None}
                | {"kind": {"classes": 40, "activation": "softmax"}}
            },
            "data": {"train_split": "kinetics_train"},
        },
        data="kinetics",
    ),
    "transfer": Run(transferred=True),
}
# The pathways once more, trained for longer: whether the limit of time decides about them.
LONGER = "_longer"
LONGER_RUNS = tuple(f"{name}{LONGER}" for name in ("scratch", "no_lateral"))


def recipe_of(name: str, work: Path, epochs: Mapping[str, int], seed: int) -> Recipe:
    """The recipe of a run.

    Args:
        name: Its name.
        work: Folder of the seed.
        epochs: Epochs of `pretrain`, of `longer` runs and of all `others`.
        seed: Seed of the training.
    """
    run = RUNS[name.removesuffix(LONGER)]
    kind = "pretrain" if name == "pretrain" else "longer" if name.endswith(LONGER) else "others"
    recipe = load("miniature_slowfast_nano").override(training={"epochs": epochs[kind], "seed": seed})
    if run.transferred:
        recipe = recipe.override(model={"weights": str((work / "runs" / "pretrain" / WEIGHTS_FILE).absolute())})
    return recipe.override(**run.changes)


def run_one(name: str, data: Miniature, work: Path, recipe: Recipe) -> dict[str, float]:
    """Train a network and keep its scores, unless that has been done; what it took."""
    folder, seconds = work / "runs" / name, work / f"{name}.seconds.json"
    # Weights that it starts from count as part of a recipe: another pretraining makes another transfer.
    begun_from = folder / "begun_from.txt"
    weights = _sha256(Path(recipe.model.weights)) if RUNS[name.removesuffix(LONGER)].transferred else ""
    same = load(folder / RECIPE_FILE) == recipe if (folder / RECIPE_FILE).is_file() else True
    if begun_from.is_file():
        same = same and begun_from.read_text("utf-8") == weights
    stale = not same
    if stale:
        seconds.unlink(missing_ok=True)
        (folder / "scores.npz").unlink(missing_ok=True)
    if stale or not (folder / "scores.npz").is_file():
        trained = (folder / "history.csv").is_file() and not (folder / "checkpoints").exists() and not stale
        with timed(seconds):
            if not trained:
                folder.mkdir(parents=True, exist_ok=True)
                begun_from.write_text(weights, "utf-8")
                train(recipe, getattr(data, RUNS[name.removesuffix(LONGER)].data), folder, verbose=2, overwrite=stale)
            model = load_model(folder)
            splits = {"test": data.charades, "novel": data.novel} if name != "pretrain" else {}
            if name == THRESHOLDS_OF:
                splits["val"] = data.charades
            scores = {
                f"{split}_{head}": values
                for split, records in splits.items()
                for head, values in clip_outputs(model, model, records, split, clips=CLIPS, batch_size=BATCH).items()
            }
            save_arrays(folder / "scores.npz", scores)
    return json.loads(seconds.read_text("utf-8"))


def heads_of(data: Miniature, work: Path, seed: int) -> tuple[dict[str, Scores], dict[str, float], dict[str, float]]:
    """Scores of the heads on the features of the transferred network, what `composed` learned, and what it took."""
    weights = work / "runs" / "transfer" / WEIGHTS_FILE
    # Of these very weights: a network that is trained anew gets new heads.
    folder = work / f"heads-{_sha256(weights)[:12]}"
    folder.mkdir(exist_ok=True)
    seconds, learned = folder / "seconds.json", folder / "scales.json"
    missing = [name for name in HEADS if not (folder / f"{name}.npz").is_file()]
    if missing:
        with timed(seconds):
            kept = features(load_model(weights.parent), data, folder / "features.npz")
            for name in missing:
                model = train_heads(kept, data, "bce" if name == "composed" else name, name == "composed", seed)
                given = {split: scores_of(model, kept[split]) for split in ("test", "novel")}
                arrays = {f"{split}_{head}": values for split in given for head, values in given[split].items()}
                if scales := learned_scales(model, "action"):
                    learned.write_text(json.dumps(scales) + "\n", "utf-8")
                save_arrays(folder / f"{name}.npz", arrays)
    scores = {name: dict(np.load(folder / f"{name}.npz")) for name in HEADS}
    return scores, json.loads(learned.read_text("utf-8")), json.loads(seconds.read_text("utf-8"))


@contextlib.contextmanager
def timed(path: Path) -> Iterator[None]:
    """Add to a file what the block took, also where it fails: seconds, and CPU seconds of the process and its children.

    A process that is killed leaves its last stretch out.
    """
    begin, cpu = time.perf_counter(), _cpu_seconds()
    before = json.loads(path.read_text("utf-8")) if path.is_file() else {"all": 0.0, "cpu": 0.0}
    try:
        yield
    finally:
        took = {"all": time.perf_counter() - begin, "cpu": _cpu_seconds() - cpu}
        path.write_text(json.dumps({key: round(before[key] + took[key], 1) for key in took}) + "\n", "utf-8")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=ROOT / "out" / "charades", help="folder of data and runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[100, 101, 102], help="below 10 is for development")
    parser.add_argument("--videos", type=int, default=900, help="training videos, a sixth of them for validation")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--pretrain-epochs", type=int, default=12)
    parser.add_argument("--longer-epochs", type=int, default=10, help="of the pathways alone, beside the others")
    parser.add_argument("--longer-seeds", type=int, nargs="*", default=[], help="seeds to train longer on too")
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    keep_freed_memory()
    epochs = {
        "others": arguments.epochs,
        "pretrain": arguments.pretrain_epochs,
        "longer": arguments.longer_epochs,
    }
    seeds: dict[str, Any] = {}
    for seed in arguments.seeds:
        work = arguments.work / f"seed{seed}-videos{arguments.videos}"
        times = work / "data.seconds.json"
        work.mkdir(parents=True, exist_ok=True)
        with timed(times):
            data = prepare(work, seed, arguments.videos)
        seconds = {"data": json.loads(times.read_text("utf-8"))}
        names = [*RUNS, *(LONGER_RUNS if seed in arguments.longer_seeds else ())]
        for name in names:
            recipe = recipe_of(name, work, epochs, seed)
            seconds[name] = run_one(name, data, work, recipe)
            print(seed, name, json.dumps(seconds[name]), flush=True)
        heads, scales, seconds["heads"] = heads_of(data, work, seed)
        scores = {name: dict(np.load(work / "runs" / name / "scores.npz")) for name in names if name != "pretrain"}
        seeds[str(seed)] = {"seconds": seconds, **summary(scores, heads, scales, data)}
    result = {
        "command": f"python tools/bench_charades.py --seeds {' '.join(map(str, arguments.seeds))} "
        f"--videos {arguments.videos} --epochs {arguments.epochs} --pretrain-epochs {arguments.pretrain_epochs}"
        + (
            f" --longer-epochs {arguments.longer_epochs} --longer-seeds {' '.join(map(str, arguments.longer_seeds))}"
            if arguments.longer_seeds
            else ""
        ),
        "epochs": epochs,
        "machine": {"cores": os.cpu_count(), "architecture": platform.machine()},
        "versions": versions(),
        "seeds": seeds,
    }
    arguments.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(arguments.out)


if __name__ == "__main__":
    main()
