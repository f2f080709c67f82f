"""Count multiply-adds of the networks of the SlowFast paper: writes benchmarks/multiply_adds.json.

python tools/bench_cost.py
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import keras

from kerasfast.models.classifier import build
from kerasfast.models.cost import multiply_adds
from kerasfast.models.variants import variant

RESULT = Path(__file__).resolve().parent.parent / "benchmarks" / "multiply_adds.json"
SIZE = 256

# Feichtenhofer et al. 2019 (arXiv:1812.03982), tables 2 to 5: 10^9 multiply-adds of a view of 256 pixels.
PAPER: list[tuple[str, dict[str, Any], float]] = [
    ("slowfast_r50_4x16", {}, 36.1),
    ("slowfast_r50_8x8", {}, 65.7),
    ("slowfast_r101_50_50_8x8", {}, 106),
    ("slowfast_r101_50_50_16x8", {}, 213),
    ("slowfast_r101_50_50_16x8_nl", {}, 234),
    ("slow_r50_8x8", {}, 54.5),
    ("slow_r50_4x16", {}, 27.3),
    ("slowfast_r50_4x16", {"lateral": "none"}, 34.2),
    ("slowfast_r50_4x16", {"lateral": "time_to_channel_sum"}, 34.2),
    ("slowfast_r50_4x16", {"lateral": "time_to_channel_concat"}, 39.8),
    ("slowfast_r50_4x16", {"lateral": "time_sample"}, 34.9),
    ("slowfast_r50_4x16", {"beta": 1 / 4}, 54.5),
    ("slowfast_r50_4x16", {"beta": 1 / 6}, 41.8),
    ("slowfast_r50_4x16", {"beta": 1 / 12}, 32.8),
    ("slowfast_r50_4x16", {"beta": 1 / 16}, 30.6),
    ("slowfast_r50_4x16", {"beta": 1 / 32}, 28.6),
    ("slowfast_r50_4x16", {"fast_input": "gray"}, 34.1),
    ("slowfast_r50_4x16", {"fast_input": "time_difference"}, 34.2),
]

# Figures of the paper that its own description does not give, and why.
MISMATCHES: list[tuple[str, dict[str, Any], float, str]] = [
    (
        "fast_r50_8x8",
        {},
        6.4,
        "the paper prints 0.53 M parameters with it; the Fast pathway of its Table 1 has 616,952 and costs this",
    ),
    (
        "slowfast_r50_4x16",
        {"fast_input": "half_resolution", "beta": 1 / 4},
        34.4,
        "how halved features meet the Slow ones is not said; here they are repeated after the lateral convolution",
    ),
]


def rows() -> list[tuple[str, dict[str, Any], float, str]]:
    """Network, fields, the paper's figure and, where ours differs by more than 2 %, why."""
    return [(*row, "") for row in PAPER] + MISMATCHES


def count(name: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Multiply-adds of a view in 10^9, and trainable parameters."""
    model = build(variant(name, **fields))
    return {
        "giga_multiply_adds": round(multiply_adds(model, SIZE) / 1e9, 2),
        "parameters": sum(math.prod(weight.shape) for weight in model.trainable_weights),
    }


def main() -> None:
    results = []
    for name, fields, paper, why in rows():
        results.append({"network": name, "fields": fields, "paper": paper, **count(name, fields), "mismatch": why})
        keras.backend.clear_session()
        print(f"{name} {fields or ''}: {results[-1]['giga_multiply_adds']} (paper {paper})")
    RESULT.write_text(json.dumps({"size": SIZE, "rows": results}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
