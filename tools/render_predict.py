"""Write the figures of benchmarks/predict.json and benchmarks/explain.json into docs/predict.md, between its markers.

python tools/render_predict.py          # writes
python tools/render_predict.py --check  # exit code 1 where docs/predict.md is behind
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markdown_blocks import replace_block
from markdown_table import table

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "predict.md"
PREDICT, EXPLAIN = "benchmarks/predict.json", "benchmarks/explain.json"
METHODS = {"gradcam": "Grad-CAM", "gradcam++": "Grad-CAM++", "saliency": "saliency"}


def predict_block(result: Mapping[str, Any]) -> str:
    """Wall time, multiple of real time and memory of each video."""
    named = [*result["videos"].items(), *((f"generated, {name}", row) for name, row in result["1080p"].items())]
    rows = []
    for name, row in named:
        after = row["real_time_factor_after_first"]
        rows.append(
            [
                name,
                f"{row['size']}, {row['fps']:g}",
                f"{row['video_seconds']:g} s",
                f"{row['wall_seconds']:.1f} s",
                f"{row['real_time_factor']:.1f}",
                "" if after is None else f"{after:.0f}",
                f"{row['peak_mib']:.0f} MiB",
            ]
        )
    header = ["video", "pixels, frames/s", "length", "wall time", "times real time", "after the first window", "peak"]
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    model = min(row["model_mib"] for _, row in named)
    return (
        table(header, rows)
        + f"\n`{result['model']}`, windows side by side, {result['crops']} crop, {result['machine']['cores']} CPU "
        f"cores ({versions}), by `tools/bench_predict.py`. The first window holds the tracing of the network. The "
        f"process with the loaded model has {model:.0f} MiB; from the first to the last of the generated videos the "
        f"peak grows by {result['1080p_growth_mib']:.0f} MiB."
    )


def explain_block(result: Mapping[str, Any]) -> str:
    """How much of the maps lies on the object of the action, beside its controls."""
    trained, random = result["networks"]["trained"], result["networks"]["random_weights"]
    rows = []
    for method, paths in trained.items():
        for path, found in paths.items():
            low, high = found["ratio_95"]
            rows.append(
                [
                    METHODS[method],
                    path,
                    f"{found['mass_on_object']:.1%}",
                    f"{found['share_of_pixels']:.1%}",
                    f"**{found['ratio']:.2f}** ({low:.2f} to {high:.2f})",
                    f"{found['clips_above_chance']:.0%}",
                    f"{found['ratio_on_object_of_another_clip']:.2f}",
                    f"{random[method][path]['ratio']:.2f}",
                ]
            )
    header = [
        *("method", "pathway", "mass on the object", "chance: its share of the pixels", "times chance (95 %)"),
        *("clips above chance", "another clip's object", "random weights"),
    ]
    data = result["data"]
    silent = [
        f"{METHODS[method]}, {path}, {weights}: {found['maps_without_evidence']}"
        for weights, methods in (("trained", trained), ("random", random))
        for method, paths in methods.items()
        for path, found in paths.items()
        if found["maps_without_evidence"]
    ]
    left_out = f" Clips of which nothing speaks for the class are left out ({'; '.join(silent)})." if silent else ""
    return (
        table(header, rows)
        + f"\nMaps of `{result['model']}` for the action of {data['clips']} generated test clips (seed "
        f"{data['miniature_seed']}) that it recognises, by `tools/bench_explain.py`. The last two columns are "
        "controls, in times chance too: the maps held against the object of another clip, and maps of an "
        f"untrained network.{left_out}"
    )


def render(page: str, predict: Mapping[str, Any], explain: Mapping[str, Any]) -> str:
    """The page with its figures brought up to date."""
    return replace_block(replace_block(page, PREDICT, predict_block(predict)), EXPLAIN, explain_block(explain))


def main() -> None:
    page = PAGE.read_text("utf-8")
    predict, explain = (json.loads((ROOT / name).read_text("utf-8")) for name in (PREDICT, EXPLAIN))
    rendered = render(page, predict, explain)
    if "--check" in sys.argv:
        sys.exit(page != rendered)
    PAGE.write_text(rendered, "utf-8")


if __name__ == "__main__":
    main()
