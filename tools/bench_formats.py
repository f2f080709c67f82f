"""One network in every format that it is exported to, scored and timed: benchmarks/formats.json.

    python tools/bench_formats.py --work out/formats             # about a quarter of an hour on two cores
    python tools/bench_formats.py --work out/formats --no-times    # on a machine that has other work,
    python tools/bench_formats.py --work out/formats --only-times  # and once it is idle, of the same exports

`slowfast_nano.miniature` is exported, compared with the Keras model and scored on the test videos of miniature Charades
in each format. int8 is calibrated with generated training videos, of other subjects than the test videos. For the
times all formats are held in one process and take turns with one view. Needs kerasfast[onnx,openvino,litert].
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import shutil
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

import kerasfast as kf
from kerasfast.cli.demo import build_miniature_records
from kerasfast.serving.formats.export import export_format, load_format
from kerasfast.serving.saved_model import export
from kerasfast.train.evaluate import evaluate
from kerasfast.train.scoring.videos import score_videos

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "formats.json"
MODEL = "slowfast_nano.miniature"
SEED = 100  # that of the published tables
# Name of the row -> format and precision.
FORMATS = {
    "saved_model": ("saved_model", "float32"),
    "onnx": ("onnx", "float32"),
    "openvino": ("openvino", "float32"),
    "litert": ("litert", "float32"),
    "openvino_int8": ("openvino", "int8"),
    "litert_int8": ("litert", "int8"),
}
PACKAGES = (*("tensorflow", "keras", "numpy", "tf2onnx", "onnx", "onnxruntime", "openvino", "nncf", "ai-edge-litert"),)
PAUSE_SECONDS = 0.05  # threads of a runtime go on for a while after its answer, in case that more comes
Run = Callable[[np.ndarray], dict[str, np.ndarray]]


def write(model: Any, name: str, folder: Path, calibration: Path) -> tuple[dict[str, Any], Run]:
    """Export the model to `folder` anew; what the report says, and the network in its runtime."""
    format, precision = FORMATS[name]
    shutil.rmtree(folder, ignore_errors=True)
    if format == "saved_model":
        report = export(model, folder, signatures=("serving_default",))
        run = saved_model(folder)
    else:
        int8 = {"quantize": "int8", "calibration": calibration} if precision == "int8" else {}
        report = export_format(model, folder, format, **int8)
        run = load_format(folder)
    fields = {
        "format": format,
        "precision": precision,
        "bytes": report.bytes,
        "largest_difference": float(f"{report.largest_difference:.2g}"),
    }
    return fields, run


def saved_model(folder: Path) -> Run:
    """The signature `serving_default` in TensorFlow."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))
    serve = loaded.signatures["serving_default"]

    def run(frames: np.ndarray, _: Any = loaded) -> dict[str, np.ndarray]:  # a signature does not keep its variables
        return {head: values.numpy() for head, values in serve(frames=tf.constant(frames)).items()}

    return run


def scores(model: Any, run: Run, records: Path, clips: int) -> dict[str, np.ndarray]:
    """Scores of the test videos by head, `(videos, classes)`."""
    # What is asked of a model while videos are scored; its views come as they do for the Keras model.
    stands_in = SimpleNamespace(
        variant=model.variant,
        clip=model.clip,
        heads=model.heads,
        sampling=model.sampling,
        predict_on_batch=lambda frames: run(np.asarray(frames)),
    )
    return score_videos(stands_in, records, clips=clips, crops=1, batch_size=4)


def average_precision(model: Any, records: Path, found: Mapping[str, np.ndarray], clips: int) -> dict[str, float]:
    """The mAP of each head, and the mean of all."""
    metrics = evaluate(model, records, clips=clips, crops=1, scores=found, resamples=0)
    heads = {head: round(values["map"], 4) for head, values in metrics["heads"].items()}
    return {**heads, "overall": round(metrics["overall_map"], 4)}


def times(runs: Mapping[str, Run], frames: np.ndarray, rounds: int) -> dict[str, float]:
    """Median seconds of one view; one call each in turn, so that a slow moment hits all alike."""
    spent: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 2):
        for name, run in runs.items():
            time.sleep(PAUSE_SECONDS)
            begin = time.perf_counter()
            run(frames)
            if number > 1:  # the first calls fill caches and pools
                spent[name].append(time.perf_counter() - begin)
    return {name: float(f"{statistics.median(values):.3g}") for name, values in spent.items()}


def add_times(result: dict[str, Any], model: Any, runs: Mapping[str, Run], rounds: int) -> None:
    """Time a view in every format, into the rows of the result."""
    side = model.variant.test_crop_size
    frames = np.random.default_rng(0).integers(0, 256, (1, model.clip.frames, side, side, 3), np.uint8)
    for name, seconds in times(runs, frames, rounds).items():
        result["formats"][name]["median_seconds"] = seconds
    result["rounds"] = rounds


def loaded(folder: Path) -> dict[str, Run]:
    """The networks that an earlier run exported."""
    return {
        name: saved_model(folder / name) if format == "saved_model" else load_format(folder / name)
        for name, (format, _) in FORMATS.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("out/formats"), help="folder of data and exports")
    parser.add_argument("--videos", type=int, default=400, help="test videos")
    parser.add_argument("--calibration-videos", type=int, default=120, help="generated training videos")
    parser.add_argument("--clips", type=int, default=3, help="clips of a test video")
    parser.add_argument("--rounds", type=int, default=25, help="timed calls of each format")
    parser.add_argument("--no-times", action="store_true", help="scores and sizes alone")
    parser.add_argument("--only-times", action="store_true", help="add times to the result of an earlier run")
    parser.add_argument("--out", type=Path, default=RESULT, help="file of the result")
    arguments = parser.parse_args()
    work = arguments.work / f"seed{SEED}-test{arguments.videos}"
    if arguments.only_times:
        result = json.loads(arguments.out.read_text("utf-8"))
        add_times(result, kf.load(MODEL), loaded(work / "formats"), arguments.rounds)
        arguments.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
        return
    records = build_miniature_records(work, arguments.calibration_videos, SEED, arguments.videos)
    model = kf.load(MODEL)
    clips, runs, rows = arguments.clips, {}, {}

    def keras_model(frames: np.ndarray) -> dict[str, np.ndarray]:
        return {head: np.asarray(values) for head, values in model.predict_on_batch(frames).items()}

    expected = scores(model, keras_model, records, clips)
    keras_map = average_precision(model, records, expected, clips)
    print("keras", keras_map, flush=True)
    for name in FORMATS:
        rows[name], runs[name] = write(model, name, work / "formats" / name, records)
        found = scores(model, runs[name], records, clips)
        rows[name]["map"] = average_precision(model, records, found, clips)
        distance = max(float(np.abs(found[head] - expected[head]).max()) for head in expected)
        rows[name]["largest_difference_of_videos"] = float(f"{distance:.2g}")
        print(name, rows[name], flush=True)
    result = {
        "command": f"python tools/bench_formats.py --videos {arguments.videos} --calibration-videos "
        f"{arguments.calibration_videos} --clips {clips}",
        "machine": {"cores": os.cpu_count(), "architecture": platform.machine(), "python": platform.python_version()},
        "versions": {package: importlib.metadata.version(package) for package in PACKAGES},
        "model": MODEL,
        "data": {"miniature_seed": SEED, "test_videos": arguments.videos, "clips": clips, "crops": 1, "merge": "max"},
        "view": [1, model.clip.frames, model.variant.test_crop_size, model.variant.test_crop_size, 3],
        "rounds": None,
        "keras": {"map": keras_map},
        "formats": rows,
    }
    if not arguments.no_times:
        add_times(result, model, runs, arguments.rounds)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(arguments.out)


if __name__ == "__main__":
    main()
