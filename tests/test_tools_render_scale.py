import json

import render_scale

RESULT = {
    "build": {"threads": {"times_real_time_per_core": 8.0}, "bytes_per_frame": 20_000},
    "rates": {
        "records": {"clips_per_second": 100.0, "cpu_seconds_per_clip": 0.02},
        "records_without_kept_memory": {"clips_per_second": 80.0},
        "mp4": {"clips_per_second": 10.0},
        "bare_decode": {"clips_per_second": 150.0},
        "records_to_mp4": 10.0,
    },
    "bytes": {"ratio": 1.9},
    "machine": {"cores": 2},
    "versions": {"tensorflow": "2.21.0"},
}


def rows_of(table):
    """First cell of each row of a Markdown table, and the others."""
    lines = [line.strip("|").split("|") for line in table.splitlines()[2:] if line.startswith("|")]
    return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in lines}


def test_the_page_is_of_the_committed_result():
    result = json.loads((render_scale.ROOT / "benchmarks" / "data.json").read_text("utf-8"))
    assert render_scale.PAGE.read_text("utf-8") == render_scale.page(result), "run tools/render_scale.py"


def test_the_whole_of_charades():
    rows = rows_of(render_scale.plan(RESULT))
    # 9,848 videos of 30.1 s at 8 times real time: 296,425 s / 8 / 3600.
    assert rows["to build, on one core"] == ["10.3 hours"]
    assert rows["Beam workers of one core to build in 1 hour"] == ["11"]
    # Half of 24 frames a second, 20 kB each.
    assert rows["bytes with one round"] == ["71 GB"]
    assert rows["shards"] == ["154 a round of 64 videos each"]


def test_cores_for_gpus():
    rows = rows_of(render_scale.feeding(RESULT))
    # 30e12 / (50.31e9 * 3 * 2) = 99.4 clips/s at 50 a core.
    assert rows["30 TFLOP/s"] == ["99", "2", "16"]


def test_what_was_not_measured_is_left_out():
    assert "soak" not in render_scale.measured(RESULT)
    assert rows_of(render_scale.measured(RESULT))["records against mp4"] == ["10 times"]
