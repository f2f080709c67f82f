"""Time against multiply-adds, for bench_inference.py: `python tools/growth_points.py WORK ROUNDS [MODEL ...]`.

One thing grows at a time: frames of a clip, side of a view, clips of a batch, views of a video. Every point is a call
of an exported float32 model; they take turns in one process. The last line that is printed is JSON.
"""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

from kerasfast.models.classifier import build
from kerasfast.models.cost import multiply_adds
from kerasfast.models.variants import override, variant
from kerasfast.serving.saved_model import export

# Of the calls; the others are at the architecture's frames, a batch of one, and this side in pixels.
SIDE = 64
AXES: dict[str, dict[str, tuple[int, ...]]] = {
    "slowfast_r50_8x8": {
        "frames": (8, 16, 32, 64, 128),
        "side": (64, 96, 128, 160, 192, 224, 256),
        "batch": (1, 2, 4, 8, 16),
        "views": (1, 3, 10),
    },
    "slowfast_nano": {
        "frames": (8, 16, 32, 64, 128, 256),
        "side": (64, 96, 128, 192, 256),
        "batch": (1, 2, 4, 8, 16, 32),
        "views": (1, 3, 10, 30),
    },
}
_TURN_SECONDS = 0.3


@dataclass(frozen=True)
class Point:
    """A call: what grows, to which value, its 10^9 multiply-adds, and the function to time."""

    axis: str
    value: int
    giga_multiply_adds: float
    run: Callable[[], object]


def points(name: str, axes: dict[str, tuple[int, ...]], work: Path) -> list[Point]:
    """Every call of a model that is measured; views only where the export has that signature."""
    import tensorflow as tf

    row = variant(name)
    loaded: dict[int, tuple[Any, Any]] = {}

    def signatures(frames: int) -> tuple[Any, Any]:
        if frames not in loaded:
            clip = dataclasses.replace(row.clip, frames=frames)
            model = build(override(row, clip=clip))
            folder = work / f"{name}-{frames}" / "1"
            if not folder.exists():
                export(model, folder)
            served = tf.saved_model.load(str(folder))
            loaded[frames] = served, model
        served, model = loaded[frames]
        return served.signatures, model

    found = []
    for axis, values in axes.items():
        for value in values:
            sizes = {"frames": row.clip.frames, "side": SIDE, "batch": 1, "views": 1, axis: value}
            served, model = signatures(sizes["frames"])
            name_of = "views" if axis == "views" else "serving_default"
            if name_of not in served:
                continue
            shape = (sizes["frames"], sizes["side"], sizes["side"], 3)
            batch = (1, value) if axis == "views" else (sizes["batch"],)
            cost = sizes["batch"] * sizes["views"] * multiply_adds(model, sizes["side"]) / 1e9
            found.append(Point(axis, value, cost, _call(served[name_of], (*batch, *shape))))
    return found


def _call(function: Any, shape: tuple[int, ...]) -> Callable[[], object]:
    import tensorflow as tf

    frames = tf.constant(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
    return lambda: [scores.numpy() for scores in function(frames=frames).values()]


def measured(calls: list[Point], rounds: int) -> list[dict[str, Any]]:
    """Median seconds of each call, which take turns."""
    turns: list[list[float]] = [[] for _ in calls]
    repeats = []
    for point in calls:
        point.run()  # the first prepares the graph for that shape
        repeats.append(max(1, int(_TURN_SECONDS / _timed(point.run))))
    for _ in range(rounds):
        for number, point in enumerate(calls):
            turns[number].append(statistics.median(_timed(point.run) for _ in range(repeats[number])))
    return [
        {
            "axis": point.axis,
            "value": point.value,
            "giga_multiply_adds": round(point.giga_multiply_adds, 4),
            "seconds": round(statistics.median(seconds), 5),
        }
        for point, seconds in zip(calls, turns, strict=True)
    ]


def _timed(run: Callable[[], object]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def main() -> None:
    work, rounds, *names = sys.argv[1:]
    found = {
        name: measured(points(name, AXES.get(name, AXES["slowfast_nano"]), Path(work)), int(rounds))
        for name in names or AXES
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
