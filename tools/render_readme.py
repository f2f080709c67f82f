"""Write the figures of benchmarks/miniature.json into README.md, between its markers.

python tools/render_readme.py          # writes
python tools/render_readme.py --check  # exit code 1 where README.md is behind
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from markdown_blocks import replace_block

ROOT = Path(__file__).resolve().parent.parent
SOURCE = "benchmarks/miniature.json"
KEYS = ("verb", "object", "action", "motion")


def table(result: dict) -> str:
    """Markdown: mAP of each network as mean and spread over the training seeds, chance in the last row."""
    networks = result["networks"]
    seeds = len(result["train_seeds"])
    lines = [
        "| network | " + " | ".join(f"{key} mAP" for key in KEYS) + " |",
        "|---" * (len(KEYS) + 1) + "|",
    ]
    for name, values in networks.items():
        cells = [f"{values['mean'][key]['map']:.3f} ± {values['spread'][key] / 2:.3f}" for key in KEYS]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    first = next(iter(networks.values()))
    lines.append("| chance | " + " | ".join(f"{first['mean'][key]['chance']:.3f}" for key in KEYS) + " |")
    protocol = first["runs"][0]["protocol"]
    lines.append("")
    lines.append(
        f"Mean and half the range of {seeds} trainings on {result['data']['training_videos']} videos (seed "
        f"{result['data']['miniature_seed']}), {result['machine']['cores']} CPU cores; {protocol['videos']} test "
        f"videos, {protocol['clips']} clips x {protocol['crops']} crop, {protocol['merge']}."
    )
    return "\n".join(lines) + "\n"


def render(readme: str, result: dict) -> str:
    """The README with its figures brought up to date."""
    return replace_block(readme, SOURCE, table(result))


def main() -> None:
    path = ROOT / "README.md"
    readme = path.read_text("utf-8")
    rendered = render(readme, json.loads((ROOT / SOURCE).read_text("utf-8")))
    if "--check" in sys.argv:
        sys.exit(readme != rendered)
    path.write_text(rendered, "utf-8")


if __name__ == "__main__":
    main()
