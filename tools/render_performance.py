"""Write docs/performance.md and its plots from the results in benchmarks.

python tools/render_performance.py          # writes
python tools/render_performance.py --check  # exit code 1 where docs/performance.md is behind
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from performance_figures import WITHIN, Figure, inference_figures, share_left, training_figures
from performance_tables import (
    Result,
    contenders_table,
    figures_table,
    gpu_table,
    growth_tables,
    kernels_table,
    machine_text,
    rates_line,
    scores_text,
    training_table,
    winograd_table,
    winograd_text,
)

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "performance.md"
PLOTS = ROOT / "docs" / "performance"
NAMES = ("inference", "training", "winograd", "kernels", "gpu")


def read_results(folder: Path = ROOT / "benchmarks") -> dict[str, Any]:
    """The results that are there, by the name of their file."""
    files = {name: folder / f"{name}.json" for name in NAMES}
    return {name: json.loads(file.read_text("utf-8")) for name, file in files.items() if file.is_file()}


def page(results: Result) -> str:
    """The whole page."""
    parts = [
        "# How fast it is",
        "",
        "Written by `tools/render_performance.py` from the files of `benchmarks` that `tools/bench_inference.py`,"
        " `bench_training.py`, `bench_winograd.py`, `bench_kernels.py` and `bench_gpu.py` measured. `kerasfast bench`"
        " measures a model on your machine. Contenders are processes of their own that take turns; a figure is the"
        " median over the turns, a ratio the median of the ratios of each turn.",
        "",
    ]
    inference, training = results.get("inference", {}), results.get("training", {})
    figures: list[Figure] = []
    if "main" in inference:
        figures += inference_figures(inference["main"], inference.get("scores"))
    if training:
        figures += training_figures(next(iter(training["models"].values()))["contenders"])
    if figures:
        parts += ["## Asked and found", "", figures_table(figures)]
    if "main" in inference:
        parts += ["## A view", "", machine_text(inference), ""]
        for name, model in {inference["main"]["model"]: inference["main"], **inference.get("models", {})}.items():
            parts += [
                f"### `{name}`",
                "",
                f"One view of {model['frames']} frames of {model['size']}x{model['size']} pixels,"
                f" {model['giga_multiply_adds']:.2f} * 10^9 multiply-adds. {rates_line(model)}",
                "",
                contenders_table(model),
                *([winograd_text(model)] if share_left(model) < 1 else []),
            ]
        parts += ["![times of a view](performance/contenders.svg)", ""]
    if "growth" in inference:
        parts += [
            "## Growth",
            "",
            "Calls of the exported float32 model; multiply-adds are those of direct convolutions. One thing grows at a"
            " time, the others stay at the architecture's frames, a batch of one and 64 pixels. Overhead has ended from"
            f" the call on from which every larger one takes at most {1 + WITHIN:g} times as long for a multiply-add as"
            " the best of the largest three; views are left out of that, since the signature computes one after the"
            " other.",
            "",
            growth_tables(inference["growth"]),
            "![time against multiply-adds](performance/growth.svg)",
            "",
        ]
    if "scores" in inference:
        parts += ["## Scores in bfloat16", "", scores_text(inference["scores"])]
    if training:
        parts += ["## A training step", "", machine_text(training), ""]
        for name, model in training["models"].items():
            parts += [
                f"`{name}`, {model['batch']} clips at {model['size']} pixels, crossentropy, momentum; memory is the"
                " peak above what the process had before there was a network, the median of several processes.",
                "",
                training_table(model),
            ]
    if "winograd" in results:
        parts += [
            "## Convolutions by Winograd's algorithm",
            "",
            f"{machine_text(results['winograd'])} One process computes both in turns; a share is the median of"
            f" {results['winograd']['rounds']} ratios. An export uses the algorithm where the estimated share of the"
            " direct time is low enough (`kerasfast.serving.winograd`).",
            "",
            winograd_table(results["winograd"]),
        ]
    if "kernels" in results:
        kernels = results["kernels"]
        parts += [
            "## TensorFlow's kernels with oneDNN off and on",
            "",
            machine_text(kernels),
            "",
            kernels_table(kernels),
        ]
    if "gpu" in results:
        parts += ["## On a GPU", "", f"{results['gpu']['device']}.", "", gpu_table(results["gpu"])]
    return "\n".join(parts)


def main() -> None:
    results = read_results()
    rendered = page(results)
    if "--check" in sys.argv:
        sys.exit(not PAGE.exists() or PAGE.read_text("utf-8") != rendered)
    from performance_plots import contenders_plot, growth_plot

    PLOTS.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(rendered, "utf-8")
    inference = results.get("inference", {})
    if "main" in inference:
        contenders_plot(inference["main"], PLOTS / "contenders.svg")
    if "growth" in inference:
        growth_plot(inference["growth"], PLOTS / "growth.svg")


if __name__ == "__main__":
    main()
