"""`kerasfast bench` on a tiny model."""

import json
import os
import subprocess

import pytest
from cli_case import refuses, run

from kerasfast.cli import bench


@pytest.fixture(autouse=True)
def environments(monkeypatch):
    """What the processes of a command are told, in their order: this one as it starts TensorFlow, and its children."""
    monkeypatch.setenv("TF_FORCE_GPU_ALLOW_GROWTH", "false")  # restored after the command has set it
    seen = []
    start_tensorflow, popen = bench.start_tensorflow, subprocess.Popen

    def this() -> None:
        seen.append(dict(os.environ))
        start_tensorflow()

    def child(*arguments, env=None, **options):
        seen.append(dict(os.environ if env is None else env))
        return popen(*arguments, env=env, **options)

    monkeypatch.setattr(bench, "start_tensorflow", this)
    monkeypatch.setattr(subprocess, "Popen", child)
    return seen


def test_a_tiny_model(tmp_path, monkeypatch, capfd, environments):
    file = tmp_path / "speed.json"
    options = ("--precision", "float32", "--seconds", 0.05, "--batch", 2, "--json", file)
    code, out, err = run(monkeypatch, capfd, "bench", "slow_nano", *options)
    assert code == 0, err
    assert "slow_nano, 2 x 4 frames of 64x64, on " in " ".join(out.split())
    assert "clips/s" in out
    written = json.loads(file.read_text("utf-8"))
    assert written["frames"] == [2, 4, 64, 64, 3]
    assert written["use"] == "float32"
    assert written["speeds"][0]["calls"] >= 1
    # On a GPU the first would leave no memory to the others.
    assert len(environments) >= 2
    assert {environment["TF_FORCE_GPU_ALLOW_GROWTH"] for environment in environments} == {"true"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("slowfast_nanno",), "Did you mean 'slowfast_nano'"),
        (("no/such/run",), "is no folder"),
        (("slow_nano", "--precision", "int4"), "precisions must be among"),
        (("slow_nano", "--batch", "0"), "batch_size must be at least 1"),
        (("slow_nano", "--seconds", "-1"), "seconds must be above 0"),
        (("slow_nano", "--json", "no/such/folder/x.json"), "--json names a file"),
    ],
)
def test_bad_input(arguments, message, monkeypatch, capfd):
    assert message in refuses(monkeypatch, capfd, "bench", *arguments)
