"""Contenders in turn, as real processes."""

import json
import subprocess
import sys

import contest
import pytest
from contest import Entrant

SLEEPER = """
import sys, time
from kerasfast.serving.turns import take_turns
take_turns(lambda: (lambda: time.sleep(float(sys.argv[1])), {"slept": sys.argv[1]}))
"""


def entrant(name, script, *arguments, **fields):
    return Entrant(name, [sys.executable, "-c", script, *map(str, arguments)], **fields)


def test_contenders_take_turns():
    found = contest.contest(
        [
            entrant("short", SLEEPER, 0.02),
            entrant("long", SLEEPER, 0.06),
            entrant("broken", "import no_such_package"),
            entrant("slow", SLEEPER, 30),
            entrant("refused", SLEEPER, 0, refused="there is no such network"),
        ],
        rounds=3,
        limit=1.0,
    )
    assert found["broken"]["skipped"].endswith("No module named 'no_such_package'")
    assert found["refused"] == {"skipped": "there is no such network"}
    assert found["slow"]["longer_than_seconds"] == 1.0
    assert [len(found[name]["turns"]) for name in ("short", "long")] == [3, 3]
    assert 0.02 <= found["short"]["median_seconds"] < 0.06 <= found["long"]["median_seconds"]
    assert found["short"]["facts"] == {"slept": "0.02"}
    assert found["short"]["idle_cpu"] < 0.5  # it sleeps while the other does


def test_a_slow_contender_gets_fewer_turns():
    slow = entrant("slow", SLEEPER, 0.4)
    found = contest.contest([slow, entrant("fast", SLEEPER, 0.01)], rounds=4, budget=0.9)
    assert len(found["slow"]["turns"]) == 2
    assert len(found["fast"]["turns"]) < 4  # its turns are half a second of short calls


def test_the_environment_reaches_the_process():
    script = SLEEPER.replace("sys.argv[1]}", '__import__("os").environ["OF_TEST"]}')
    found = contest.contest([entrant("one", script, 0.0, environment={"OF_TEST": "yes"})], rounds=1)
    assert found["one"]["facts"] == {"slept": "yes"}


def test_the_machine_and_its_versions():
    assert contest.machine()["cores"] >= 1
    assert json.loads(json.dumps(contest.machine()))
    assert set(contest.versions("numpy", "no-such-package")) == {"python", "numpy"}


@pytest.mark.slow
@pytest.mark.parametrize("work", ["inference", "training"])
def test_the_dry_run_of_the_gpu_benchmark(work, tmp_path):
    """Keras under both backends where they are installed; PyTorchVideo is listed with the reason where it is not."""
    out = tmp_path / "gpu.json"
    command = contest.script("bench_gpu.py", "--dry-run", "--rounds", 1, "--work", work, "--out", out)
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    written = json.loads(out.read_text("utf-8"))
    assert written["dry_run"]
    found = written["runs"][0]["contenders"]
    assert set(found) == {"kerasfast_jax", "kerasfast_torch", "torch", "torch_compiled"}
    assert found["kerasfast_jax"]["median_seconds"] > 0
    for values in found.values():
        assert "median_seconds" in values or "No module named" in values["skipped"], values
