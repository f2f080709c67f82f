"""Write docs/formats.md: what each format of an export gives, from benchmarks/formats.json.

python tools/render_formats.py          # writes
python tools/render_formats.py --check  # exit code 1 where docs/formats.md is behind
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markdown_table import table

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "formats.md"
RESULT = ROOT / "benchmarks" / "formats.json"
NAMES = {"saved_model": "SavedModel", "onnx": "ONNX", "openvino": "OpenVINO", "litert": "LiteRT"}
HEADS = ("verb", "object", "action", "overall")


def formats_table(result: Mapping[str, Any]) -> str:
    """Difference, size and time of each format."""
    timed = result["rounds"] is not None
    rows = []
    for row in result["formats"].values():
        cells = [
            NAMES[row["format"]],
            row["precision"],
            f"{row['largest_difference']:.1e}",
            f"{row['bytes'] / 1e6:.2f} MB",
        ]
        rows.append([*cells, f"{1e3 * row['median_seconds']:.1f} ms"] if timed else cells)
    header = ["format", "precision", "largest difference", "size"]
    return table([*header, "one view"] if timed else header, rows)


def scores_table(result: Mapping[str, Any]) -> str:
    """The mAP of each head, and what is lost of the Keras model's."""
    exact = result["keras"]["map"]
    rows = [["Keras", "float32", *(f"{exact[head]:.4f}" for head in HEADS), "", ""]]
    for row in result["formats"].values():
        found = row["map"]
        rows.append(
            [
                NAMES[row["format"]],
                row["precision"],
                *(f"{found[head]:.4f}" for head in HEADS),
                f"{found['overall'] - exact['overall']:+.4f}",
                f"{row['largest_difference_of_videos']:.1e}",
            ]
        )
    header = ["", "precision", "verb", "object", "action", "mean", "change", "largest difference of a video's score"]
    return table(header, rows)


def page(result: Mapping[str, Any]) -> str:
    """The whole page."""
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    data, view = result["data"], result["view"]
    shape = "x".join(map(str, view[1:4]))
    timed = (
        f" Times are medians of {result['rounds']} calls with one view of {shape} pixels, all formats in turn in one"
        " process, each with the threads that it takes by itself."
        if result["rounds"] is not None
        else ""
    )
    return "\n".join(
        [
            "# Formats for other runtimes",
            "",
            f"Written by `tools/render_formats.py` from `benchmarks/formats.json`, which `tools/bench_formats.py`"
            f" measured with `{result['model']}` on {result['machine']['cores']} cores ({versions}).",
            "",
            "Largest difference is that of a probability to the Keras model in float32: on a clip of noise, in int8 on"
            " clips of the calibration." + timed,
            "",
            formats_table(result),
            f"mAP on {data['test_videos']} test videos of miniature Charades (seed {data['miniature_seed']}),"
            f" {data['clips']} clips x {data['crops']} crop, {data['merge']}. int8 is calibrated with 64 clips of"
            " generated training videos.",
            "",
            scores_table(result),
        ]
    )


def main() -> None:
    rendered = page(json.loads(RESULT.read_text("utf-8")))
    if "--check" in sys.argv:
        sys.exit(not PAGE.exists() or PAGE.read_text("utf-8") != rendered)
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(rendered, "utf-8")


if __name__ == "__main__":
    main()
