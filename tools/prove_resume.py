"""Kill a training at random steps, start it again each time, and compare it with one that was left alone.

    python tools/prove_resume.py --work out/resume

Writes benchmarks/resume.json. The killed training gets SIGKILL from outside, wherever it is after that step; each start
is the same command. Both train with deterministic operations, with dropout, and with a validation that picks the best
weights. Compared are the loss of every step, every epoch's line of history.csv without its seconds, the best weights,
and all variables of model and optimizer at the end: bit for bit.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

RESULT = Path(__file__).resolve().parent.parent / "benchmarks" / "resume.json"
STEPS = "steps.csv"


def train_once(recipe: str, records: str, out: str) -> None:
    """Train, or go on; what the other functions start as a process of its own."""
    import keras

    from kerasfast.train.callbacks import StepLog
    from kerasfast.train.fit import train

    class Last(keras.callbacks.Callback):
        """Save all variables as they are after the last epoch."""

        def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
            if epoch + 1 == self.params["epochs"]:
                variables = [*self.model.variables, *self.model.optimizer.variables]
                np.savez(Path(out) / "last.npz", *(keras.ops.convert_to_numpy(variable) for variable in variables))

    Path(out).mkdir(parents=True, exist_ok=True)
    result = train(recipe, records, out, deterministic=True, verbose=0, callbacks=[StepLog(Path(out) / STEPS), Last()])
    print(f"went on from step {result.resumed}")


def start(recipe: Path, records: Path, out: Path) -> subprocess.Popen:
    """Start a training as a process."""
    command = [sys.executable, __file__, "--run", str(recipe), str(records), str(out)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen) -> int:
    """Wait for a training.

    Returns:
        The step from which it went on.

    Raises:
        RuntimeError: It failed.
    """
    told, error = process.communicate()
    if process.returncode:
        raise RuntimeError(f"The training failed ({process.returncode}): {error[-2000:]}")
    return int(told.split()[-1])


def kill_after(process: subprocess.Popen, file: Path, step: int) -> int:
    """Kill a training once it has taken a step.

    Returns:
        The steps that it had taken.

    Raises:
        RuntimeError: It ended before.
    """
    while steps_of(file) < step:
        if process.poll() is not None:
            raise RuntimeError(f"The training ended before step {step}: {process.communicate()[1][-2000:]}")
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return steps_of(file)


def steps_of(file: Path) -> int:
    """The last whole line's step; 0 where there is none."""
    lines = file.read_text("utf-8").rpartition("\n")[0].splitlines() if file.is_file() else []
    return int(lines[-1].partition(",")[0]) if len(lines) > 1 else 0


def prove(recipe: Path, records: Path, work: Path, kills: list[int]) -> dict[str, Any]:
    """Train undisturbed and with kills, and compare.

    Args:
        recipe: File of a recipe.
        records: Folder of its records.
        work: Folder for both runs; neither is there yet.
        kills: Rising steps after which to kill.
    """
    whole, killed = work / "whole", work / "killed"
    undisturbed = start(recipe, records, whole)
    try:
        taken = [kill_after(start(recipe, records, killed), killed / STEPS, step) for step in kills]
        went_on = finish(start(recipe, records, killed))
    finally:
        finish(undisturbed)
    steps = [(folder / STEPS).read_text("utf-8") for folder in (whole, killed)]
    histories = [history_of(folder) for folder in (whole, killed)]
    last = [arrays_of(folder / "last.npz") for folder in (whole, killed)]
    return {
        "steps": steps_of(whole / STEPS),
        "killed_after_steps": taken,
        "last_start_from_step": went_on,
        "variables": len(last[0]),
        "equal": {
            "step_losses": steps[0] == steps[1],
            "history": histories[0] == histories[1],
            "best_weights": best_of(whole) == best_of(killed),
            "last_variables": last[0] == last[1],
        },
    }


def history_of(folder: Path) -> list[dict[str, str]]:
    """The lines of history.csv, without what a clock says."""
    with (folder / "history.csv").open(newline="") as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def arrays_of(file: Path) -> list[tuple[str, tuple[int, ...], bytes]]:
    """Type, shape and bytes of each array of a file."""
    with np.load(file) as arrays:
        return [(array.dtype.str, array.shape, array.tobytes()) for array in (arrays[name] for name in arrays.files)]


def best_of(folder: Path) -> dict[str, bytes]:
    """Bytes of each of the best weights."""
    from kerasfast.weights import SavedWeights

    return {name: array.tobytes() for name, array in SavedWeights(folder / "best.weights.h5").items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("out/resume"), help="folder of data and runs")
    parser.add_argument("--kills", type=int, default=5, help="how often to kill")
    parser.add_argument("--seed", type=int, default=100, help="seed of the steps at which to kill")
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        train_once(*arguments.run)
        return
    from kerasfast.cli.demo import build_miniature_records
    from kerasfast.train.recipes.recipe import load
    from kerasfast.train.scoring.result import versions

    videos, batch, epochs, every = 40, 8, 4, 3
    records = build_miniature_records(arguments.work, videos, 0)
    recipe = load("miniature_slowfast_nano").override(
        data={"validation_split": "test"},
        training={"epochs": epochs, "batch_size": batch, "checkpoint_steps": every},
    )
    file = arguments.work / "recipe.toml"
    file.write_text(recipe.to_toml(), "utf-8")
    steps = epochs * (videos // batch)
    kills = sorted(random.Random(arguments.seed).sample(range(1, steps), arguments.kills))
    result = {
        "command": f"python tools/prove_resume.py --kills {arguments.kills} --seed {arguments.seed}",
        "machine": {"cores": os.cpu_count(), "architecture": platform.machine()},
        "versions": versions(),
        "recipe": "miniature_slowfast_nano",
        "checkpoint_steps": every,
        **prove(file, records, arguments.work / f"seed{arguments.seed}", kills),
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(RESULT)
    if not all(result["equal"].values()):
        sys.exit("The runs differ.")


if __name__ == "__main__":
    main()
