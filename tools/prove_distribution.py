"""Train with one replica, with two and in two processes, and compare the weights: writes benchmarks/distribution.json.

python tools/prove_distribution.py

The same clips in batches of the same size, two epochs of two steps, float32 on CPUs, dropout 0; two replicas are two
logical CPU devices, two workers two processes on the loopback device.

Rounding differs where sums are added up in another order, and batch norm over few clips multiplies what differs from
one step to the next. So there is a control: one replica whose weights start one rounding step away, up or down at
random. What replicas and workers differ by after the last step is to be read against it; after the first step nothing
has been multiplied yet.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from kerasfast.models.variants import Variant, variant

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "distribution.json"
POLICIES = ("sync", "frozen")
SETUPS = {"2 replicas": "mirrored", "2 workers": "multi_worker"}
# The number is the seed of the rounding.
CONTROLS = {f"1 replica, rounded otherwise ({seed})": f"none:{seed}" for seed in (1, 2, 3)}
VARIANT = "slowfast_nano"
BATCH, EPOCHS, STEPS_PER_EPOCH = 4, 2, 2
VIDEOS = BATCH * STEPS_PER_EPOCH + 1  # one is too many for whole batches, so the validation ends with a part of one
TIMEOUT_SECONDS = 900  # a worker whose partner is gone would wait forever


def train(row: Variant, records: str, setup: str) -> dict[str, np.ndarray]:
    """Weights before and after a training with each policy, and its losses, by `<policy>/<name>`."""
    import tensorflow as tf

    strategy_name, _, rounding = setup.partition(":")

    if strategy_name == "mirrored":
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

    from kerasfast.train.distribute import make_strategy

    strategy = make_strategy(strategy_name)
    arrays: dict[str, np.ndarray] = {}
    for bn in POLICIES:
        found = _train(row, records, strategy, bn, int(rounding) if rounding else None)
        arrays |= {f"{bn}/{name}": array for name, array in found.items()}
    return arrays


def _train(row: Variant, records: str, strategy: Any, bn: str, rounding: int | None) -> dict[str, np.ndarray]:
    import keras

    from kerasfast.data.pipeline.training import VALIDATION, training_clips
    from kerasfast.data.records.read import read_manifest
    from kerasfast.models.classifier import build
    from kerasfast.train import distribute
    from kerasfast.train.losses import head_losses
    from kerasfast.train.optimizers.optim import L2SGD

    keras.utils.set_random_seed(0)
    heads = read_manifest(records, "train").labels.sizes
    with distribute.scope(strategy):
        model = build(row, heads=heads, dropout=0.0, bn=bn)
        model.compile(
            L2SGD(0.05, weight_decay=1e-2),
            head_losses(dict.fromkeys(heads, "sigmoid")),
            metrics={head: [keras.metrics.BinaryAccuracy(name="accuracy")] for head in heads},
            jit_compile=False,
        )

    def make_dataset(worker: tuple[int, int] | None) -> Any:
        return training_clips(records, model.clip, BATCH, crop_size=64, short_side=(64, 72), seed=1, worker=worker)

    clips, steps = distribute.distribute_clips(strategy, make_dataset, BATCH)
    validation = training_clips(records, model.clip, BATCH, crop_size=64, short_side=(64, 64), **VALIDATION)
    if rounding is not None:
        random = np.random.default_rng(rounding)
        for weight in model.trainable_weights:
            value = np.asarray(weight.value)
            weight.assign(np.nextafter(value, random.choice([-np.inf, np.inf], value.shape).astype(value.dtype)))
    before = {f"before/{weight.path}": np.asarray(weight.value) for weight in model.weights}
    first: dict[str, np.ndarray] = {}

    def keep_first(batch: int, logs: Any = None) -> None:
        if not first:
            first.update({f"first/{weight.path}": np.asarray(weight.value) for weight in model.weights})

    with distribute.no_batch_taken_ahead(model):
        history = model.fit(
            clips,
            steps_per_epoch=steps,
            epochs=EPOCHS,
            validation_data=validation,
            callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=keep_first)],
            shuffle=False,
            verbose=0,
        ).history
    after = {f"after/{weight.path}": np.asarray(weight.value) for weight in model.weights}
    return before | first | after | {f"history/{name}": np.asarray(values) for name, values in history.items()}


def run(row: Variant, records: str | Path, strategy_name: str) -> list[dict[str, np.ndarray]]:
    """`train` in processes of their own; what each of them gave."""
    workers = 2 if strategy_name == "multi_worker" else 1
    cluster = {"worker": [f"127.0.0.1:{port}" for port in _free_ports(workers)]}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        processes = []
        for index in range(workers):
            environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
            if workers > 1:
                task = {"type": "worker", "index": index}
                environment["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": task})
            child = [json.dumps(row.to_dict()), str(records), strategy_name, str(folder / f"{index}.npz")]
            with (folder / f"{index}.log").open("w") as log:
                command = [sys.executable, __file__, "--child", *child]
                processes.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
        _wait(processes)
        failed = [index for index, process in enumerate(processes) if process.returncode]
        if failed:
            logs = "\n".join((folder / f"{index}.log").read_text("utf-8", "replace") for index in failed)
            raise RuntimeError(f"Processes {failed} of {workers} under {strategy_name!r} failed or hung:\n{logs}")
        results = []
        for index in range(workers):
            with np.load(folder / f"{index}.npz") as arrays:
                results.append(dict(arrays))
    return results


def _wait(processes: list[subprocess.Popen]) -> None:
    """Until all have ended; where one fails or the time is up, the others are killed: they would wait for it."""
    end = time.monotonic() + TIMEOUT_SECONDS
    try:
        while any(process.poll() is None for process in processes):
            if any(process.returncode for process in processes) or time.monotonic() > end:
                return
            time.sleep(0.1)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in sockets]
    for server in sockets:
        server.close()
    return ports


def differences(one: dict[str, np.ndarray], other: dict[str, np.ndarray], bn: str) -> dict[str, float]:
    """How far two trainings with a policy are apart.

    Returns:
        `initial_weights`: largest difference before the first step. `first_step` and `weights`: largest difference of
        a weight after the first and the last step, over the largest change of a weight until then. `history`: largest
        relative difference of a value of the history; without the validation loss of each head, which Keras averages
        over batches and replicas without regard to their clips, so that the last part of a batch counts as a whole one.
    """

    def of_batches(name: str) -> bool:
        return name.startswith(f"{bn}/history/val_") and name.endswith("_loss") and not name.endswith("/val_loss")

    def pairs(kind: str) -> list[tuple[np.ndarray, np.ndarray]]:
        names = [name for name in one if name.startswith(f"{bn}/{kind}/") and not of_batches(name)]
        return [(one[name], other[name]) for name in names]

    def largest(values: list[np.ndarray]) -> float:
        return float(max(np.abs(value).max() for value in values))

    starts = [a for a, _ in pairs("before")]

    def of_change(kind: str) -> float:
        changes = [a - start for (a, _), start in zip(pairs(kind), starts, strict=True)]
        return largest([a - b for a, b in pairs(kind)]) / largest(changes)

    return {
        "initial_weights": largest([a - b for a, b in pairs("before")]),
        "first_step": of_change("first"),
        "weights": of_change("after"),
        "history": largest([(a - b) / a for a, b in pairs("history")]),
    }


def prove(row: Variant, records: str | Path, setups: dict[str, str] = SETUPS) -> dict[str, Any]:
    """Differences from one replica, by setup and policy."""
    with ThreadPoolExecutor(2) as pool:
        (one,), *others = pool.map(lambda name: run(row, records, name), ("none", *setups.values()))
    table: dict[str, Any] = {}
    for setup, results in zip(setups, others, strict=True):
        table[setup] = {}
        for bn in POLICIES:
            found = [differences(one, result, bn) for result in results]
            table[setup][bn] = {key: max(values[key] for values in found) for key in found[0]}
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--child", nargs=4, metavar=("ROW", "RECORDS", "STRATEGY", "FILE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        row, records, strategy_name, file = args.child
        np.savez(file, **train(Variant.from_dict(json.loads(row)), records, strategy_name))
        return
    sys.path.insert(0, str(ROOT / "tests"))
    import train_records

    from kerasfast.train.scoring.result import versions

    with tempfile.TemporaryDirectory() as folder:
        table = prove(variant(VARIANT), train_records.make(Path(folder), "train", VIDEOS), SETUPS | CONTROLS)
    result = {
        "command": "python tools/prove_distribution.py",
        "versions": versions(),
        "variant": VARIANT,
        "batch": BATCH,
        "steps": EPOCHS * STEPS_PER_EPOCH,
        "meaning": "Largest differences from one replica: of a weight after the first and the last step, over the "
        "largest change of a weight until then; of a value of the history, relative to it.",
        "differences": table,
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
