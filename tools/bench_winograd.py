"""When Winograd's algorithm pays on a CPU: benchmarks/winograd.json.

    python tools/bench_winograd.py            # a minute

Convolutions of SlowFast networks at 256 and 224 pixels, each directly and by `kerasfast.serving.winograd`, with a ReLU
behind it, in turns in one process; batch, height and width are open in their graphs, as in an export. What was measured
stands beside the estimate by which an export chooses.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

from contest import ROOT, write_result

import kerasfast  # noqa: F401 - turns on oneDNN's kernels, before TensorFlow is imported

RESULT = ROOT / "benchmarks" / "winograd.json"
# Along time or in pictures, (T, H, W, channels) of the input, filters.
CONVOLUTIONS = [
    (True, (8, 16, 16, 1024), 256),
    (True, (8, 8, 8, 2048), 512),
    (True, (8, 7, 7, 2048), 512),
    (True, (4, 16, 16, 1024), 256),
    (True, (8, 32, 32, 640), 256),
    (True, (8, 64, 64, 256), 64),
    (True, (32, 16, 16, 128), 32),
    (True, (32, 8, 8, 256), 64),
    (False, (8, 64, 64, 64), 64),
    (False, (8, 32, 32, 128), 128),
    (False, (8, 28, 28, 128), 128),
    (False, (8, 16, 16, 256), 256),
    (False, (8, 14, 14, 256), 256),
    (False, (8, 8, 8, 512), 512),
    (False, (8, 7, 7, 512), 512),
    (False, (32, 16, 16, 32), 32),
    (False, (32, 8, 8, 64), 64),
]


def measured(over_time: bool, sizes: tuple[int, ...], filters: int, rounds: int) -> dict[str, Any]:
    """Median seconds of a convolution, both ways."""
    import keras
    import tensorflow as tf

    from kerasfast.serving.winograd import TAPS, Cost, WinogradConv3D, transformed_kernel

    shape = (1, *sizes)
    kernel = (TAPS, 1, 1) if over_time else (1, TAPS, TAPS)
    direct = keras.layers.Conv3D(filters, kernel, padding="same")
    winograd = WinogradConv3D(filters, over_time)
    for layer in (direct, winograd):
        layer.build(shape)
    weights, bias = direct.get_weights()
    winograd.set_weights([transformed_kernel(weights), bias])
    features = tf.nn.relu(tf.random.stateless_normal(shape, (0, 0)))
    spec = tf.TensorSpec((None, sizes[0], None, None, sizes[-1]))
    calls = [
        tf.function(lambda x, layer=layer: tf.nn.relu(layer(x)), input_signature=[spec], autograph=False)
        for layer in (direct, winograd)
    ]
    seconds: list[list[float]] = [[], []]
    for call in calls:
        call(features)
    cost = Cost.of(shape, filters, over_time)
    for _ in range(rounds):
        for call, found in zip(calls, seconds, strict=True):
            started = time.perf_counter()
            call(features).numpy()
            found.append(time.perf_counter() - started)
    return {
        "over_time": over_time,
        "input": list(sizes),
        "filters": filters,
        "seconds_direct": round(statistics.median(seconds[0]), 5),
        "seconds_winograd": round(statistics.median(seconds[1]), 5),
        "share": round(statistics.median(b / a for a, b in zip(*seconds, strict=True)), 3),
        "estimated_share": round(cost.estimated_share, 3),
        "used": cost.worthwhile,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--first", type=int, default=len(CONVOLUTIONS), help="measure so many of them")
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    rows = []
    for convolution in CONVOLUTIONS[: arguments.first]:
        rows.append(measured(*convolution, arguments.rounds))
        print(rows[-1], flush=True)
    result = {
        "rounds": arguments.rounds,
        "convolutions": rows,
    }
    write_result(arguments.out, result, "tensorflow", "keras", "numpy")


if __name__ == "__main__":
    main()
