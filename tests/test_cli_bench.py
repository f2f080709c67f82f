"""`kerasfast bench` on a tiny model."""

import json

import pytest
from cli_case import refuses, run


def test_a_tiny_model(tmp_path, monkeypatch, capfd):
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
