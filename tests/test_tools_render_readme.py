"""Figures of the README come from benchmarks/miniature.json."""

import json
from pathlib import Path

import render_readme

ROOT = Path(__file__).resolve().parent.parent


def result():
    return json.loads((ROOT / "benchmarks" / "miniature.json").read_text("utf-8"))


def test_readme_is_up_to_date():
    readme = (ROOT / "README.md").read_text("utf-8")
    assert render_readme.render(readme, result()) == readme, "run python tools/render_readme.py"


def test_table_follows_the_results():
    changed = result()
    changed["networks"]["slowfast_nano"]["mean"]["action"]["map"] = 0.1234
    assert "0.123" in render_readme.table(changed)
    assert render_readme.table(changed) != render_readme.table(result())
