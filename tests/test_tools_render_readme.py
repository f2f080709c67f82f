"""Figures of the README come from benchmarks/miniature.json."""

import json
from pathlib import Path

import pytest
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


def test_render_replaces_what_stands_between_the_markers():
    readme = f"before\n{render_readme.BEGIN}old\n{render_readme.END}\nafter\n"
    first = render_readme.render(readme, result(0.1))
    assert first.startswith("before\n") and first.endswith("after\n") and "old" not in first
    assert render_readme.render(first, result(0.1)) == first
    assert render_readme.render(first, result(0.2)) != first


def test_readme_is_up_to_date():
    file = ROOT / "benchmarks" / "miniature.json"
    readme = (ROOT / "README.md").read_text("utf-8")
    if not file.is_file():
        assert render_readme.BEGIN not in readme, "the README shows figures that no result file holds"
        pytest.skip("benchmarks/miniature.json is not there yet: make benchmark")
    assert render_readme.render(readme, json.loads(file.read_text("utf-8"))) == readme, "run tools/render_readme.py"
