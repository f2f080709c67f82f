"""Figures of the README come from benchmarks/miniature.json."""

import json
from pathlib import Path

import render_readme

ROOT = Path(__file__).resolve().parent.parent
KEYS = ("verb", "object", "action", "motion")


def result(action=0.4321):
    """A result file of two trainings of one network, as tools/bench_miniature.py writes it."""
    figures = {key: {"map": action if key == "action" else 0.5, "chance": 0.25} for key in KEYS}
    run = {"training_seconds": 60.0, "protocol": {"videos": 400, "clips": 10, "crops": 1, "merge": "max"}}
    return {
        "train_seeds": [0, 1],
        "data": {"miniature_seed": 7, "training_videos": 1200},
        "machine": {"cores": 2},
        "networks": {"slowfast_nano": {"mean": figures, "spread": dict.fromkeys(KEYS, 0.02), "runs": [run, run]}},
    }


def test_table_shows_mean_spread_and_chance():
    table = render_readme.table(result())
    assert "| `slowfast_nano` | 0.500 ± 0.010 | 0.500 ± 0.010 | 0.432 ± 0.010 | 0.500 ± 0.010 |" in table
    assert "| chance | 0.250 |" in table
    assert "2 trainings on 1200 videos (seed 7), 2 CPU cores; 400 test videos, 10 clips x 1 crop, max" in table


def test_readme_is_up_to_date():
    readme = (ROOT / "README.md").read_text("utf-8")
    result = json.loads((ROOT / render_readme.SOURCE).read_text("utf-8"))
    assert render_readme.render(readme, result) == readme, "run tools/render_readme.py"
