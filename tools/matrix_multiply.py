"""The rate at which this machine multiplies matrices: `python tools/matrix_multiply.py LIBRARY PRECISION [LARGEST]`.

It takes its turns with the best of several sizes; the facts give the rates of all, in 10^9 multiply-adds a second.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import kerasfast  # noqa: F401 - it chooses TensorFlow's kernels, as for the contenders
from kerasfast.serving.turns import take_turns

LIBRARIES, PRECISIONS = ("tensorflow", "torch"), ("float32", "bfloat16")
SIZES = (512, 768, 1024, 1536, 2048, 3072)
_LONGEST = 3.0  # seconds of a multiplication; without arithmetic of that type the larger sizes take minutes


def _tensorflow(size: int, precision: str) -> Callable[[], object]:
    import tensorflow as tf

    left, right = (tf.cast(tf.random.stateless_normal((size, size), (seed, 0)), precision) for seed in (0, 1))
    product = tf.function(lambda a, b: tf.matmul(a, b), autograph=False)
    return lambda: product(left, right)


def _torch(size: int, precision: str) -> Callable[[], object]:
    import torch

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    left, right = (torch.randn(size, size, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    left, right = left.to(getattr(torch, precision)), right.to(getattr(torch, precision))
    return lambda: torch.matmul(left, right)


def prepare(library: str, precision: str, largest: int) -> tuple[Callable[[], object], dict[str, Any]]:
    """The multiplication of the best size, its multiply-adds, and the rate of every size."""
    make = {"tensorflow": _tensorflow, "torch": _torch}[library]
    rates: dict[int, float] = {}
    expected = 0.0
    for size in (size for size in SIZES if size <= largest):
        if expected > _LONGEST:
            break
        product = make(size, precision)
        product()
        repeats = max(3, min(20, int(0.2 / max(expected, 0.01))))
        seconds = statistics.median(_timed(product) for _ in range(repeats))
        rates[size] = size**3 / seconds / 1e9
        expected = 3.5 * seconds  # at the next size
    best = max(rates, key=rates.__getitem__)
    facts = {
        "size": best,
        "multiply_adds": best**3,
        "rates": {str(size): round(rate, 2) for size, rate in rates.items()},
    }
    return make(best, precision), facts


def _timed(run: Callable[[], object]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


if __name__ == "__main__":
    take_turns(lambda: prepare(sys.argv[1], sys.argv[2], int((*sys.argv, SIZES[-1])[3])))
