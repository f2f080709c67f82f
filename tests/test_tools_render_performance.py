import json
import re

import render_performance
from performance_plots import contenders_plot, growth_plot

MACHINE = {
    "processor": "Some CPU",
    "cores": 2,
    "flags": ["avx2"],
    "bfloat16_arithmetic": False,
    "environment": {"OMP_NUM_THREADS": "2"},
}
COMMON = {"machine": MACHINE, "versions": {"tensorflow": "2.21.0"}}


def contender(seconds, title, family, **fields):
    timed = {"turns": [seconds], "median_seconds": seconds, "first_seconds": seconds, "idle_cpu": 0.0}
    return {"title": title, "family": family, "precision": "float32", **timed, **fields}


MAIN = {
    "model": "slow_nano",
    "size": 64,
    "frames": 4,
    "giga_multiply_adds": 30.0,
    "winograd_giga_multiply_adds": 20.0,
    "contenders": {
        "torch_eager": contender(3.0, "eager", "torch"),
        "kerasfast_float32": contender(1.0, "ours", "kerasfast"),
        "torch_bfloat16_autocast": {
            "title": "autocast",
            "family": "torch",
            "precision": "bfloat16",
            "skipped": "no answer",
            "longer_than_seconds": 60.0,
        },
        "onnxruntime_float32": {
            "title": "onnxruntime",
            "family": "onnxruntime",
            "precision": "float32",
            "skipped": "No module named 'onnxruntime'",
        },
    },
    "matmul": {"torch_float32": {"giga_per_second": 40.0}},
}
GROWTH = {
    "slow_nano": [
        {"axis": axis, "value": value, "giga_multiply_adds": giga, "seconds": 0.01 + giga}
        for axis, value, giga in (("frames", 4, 0.01), ("side", 64, 0.1), ("batch", 8, 1.0), ("views", 3, 2.0))
    ]
}
RESULTS = {
    "inference": {"main": MAIN, "growth": GROWTH, "scores": {"skipped": "no bfloat16"}, **COMMON},
    "training": {
        "models": {
            "slow_nano": {
                "batch": 4,
                "size": 112,
                "contenders": {
                    "kerasfast_float32": contender(1.0, "ours", "kerasfast", step_mib=1000.0),
                    "torch_float32": contender(1.3, "PyTorchVideo", "torch", step_mib=2000.0),
                },
            }
        },
        **COMMON,
    },
    "winograd": {
        "rounds": 3,
        "convolutions": [
            {
                **{"over_time": False, "input": [8, 16, 16, 256], "filters": 128, "seconds_direct": 0.033},
                **{"seconds_winograd": 0.015, "share": 0.45, "estimated_share": 0.43, "used": True},
            },
            {
                **{"over_time": True, "input": [8, 4, 4, 8], "filters": 8, "seconds_direct": 0.001},
                **{"seconds_winograd": 0.002, "share": 2.0, "estimated_share": 1.7, "used": False},
            },
        ],
        **COMMON,
    },
    "kernels": {
        "model": "slow_nano",
        "batch": 8,
        "work": {"training step": {"seconds_off": 1.0, "seconds_on": 0.2, "off_to_on": 5.0}},
        **COMMON,
    },
    "gpu": {
        "device": "Some GPU",
        "runs": [
            {
                "model": "slow_nano",
                "work": "training",
                "batch": 8,
                "contenders": {
                    "torch": contender(0.1, "PyTorchVideo", "torch"),
                    "kerasfast_jax": {"title": "ours", "skipped": "JAX sees no GPU"},
                },
            }
        ],
    },
}


def test_the_page_is_of_the_committed_results():
    results = render_performance.read_results()
    assert render_performance.PAGE.read_text("utf-8") == render_performance.page(results), "run render_performance.py"


def test_the_plots_that_the_page_shows_are_there():
    for name in re.findall(r"\]\((performance/[^)]+)\)", render_performance.PAGE.read_text("utf-8")):
        assert (render_performance.PAGE.parent / name).is_file()


def test_every_section():
    page = render_performance.page(RESULTS)
    assert "| ours | float32 | 1 s | 1.00 | 75 % |" in page
    assert "| eager | float32 | 3 s | 3.00 | 25 % |" in page
    assert "has 20.00 of the 30.00 * 10^9 left, which it does at 50 % of the multiplication rate" in page
    assert page.index("| ours |") < page.index("| eager |")
    assert "| autocast | bfloat16 | over 60 s |  |  |" in page
    assert "| No module named 'onnxruntime' |" in page
    assert "40.0 (torch 40.0); bfloat16: not known ()" in page
    assert "Not measured: no bfloat16" in page
    assert "| PyTorchVideo | float32 | 1.3 s | 1.00 | 2,000 MiB |" in page
    assert "| 1x3x3, 8 x 16 x 16 x 256 to 128 | 33 ms | 15 ms | 0.45 | 0.43 | yes |" in page
    assert "| 3x1x1, 8 x 4 x 4 x 8 to 8 | 1 ms | 2 ms | 2.00 | 1.70 |  |" in page
    assert "| training step | 1 s | 200 ms | 5.00 |" in page
    assert "| slow_nano | training | PyTorchVideo | 100 ms | 80.0 |" in page
    assert "| slow_nano | training | ours | JAX sees no GPU |  |" in page
    assert "without bfloat16 arithmetic" in page
    assert "OMP_NUM_THREADS=2" in page


def test_what_was_not_measured_is_left_out():
    page = render_performance.page({"kernels": RESULTS["kernels"]})
    assert "## A view" not in page
    assert "## A training step" not in page


def test_results_that_are_there(tmp_path):
    (tmp_path / "kernels.json").write_text(json.dumps({"model": "x"}))
    assert render_performance.read_results(tmp_path) == {"kernels": {"model": "x"}}


def test_plots_have_the_same_bytes_each_time(tmp_path):
    for name, draw, of in (("contenders", contenders_plot, MAIN), ("growth", growth_plot, GROWTH)):
        first, second = tmp_path / f"{name}.svg", tmp_path / "again" / f"{name}.svg"
        second.parent.mkdir(exist_ok=True)
        draw(of, first)
        draw(of, second)
        assert first.read_bytes() == second.read_bytes()
        assert "<svg" in first.read_text("utf-8")
