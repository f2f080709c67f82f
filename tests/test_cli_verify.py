"""`kerasfast verify`: the table, the exit code, and the file."""

import math

from cli_case import refuses, run

from kerasfast.verify import graph
from kerasfast.verify.certificates import find_certificate
from kerasfast.verify.files import FileCheck
from kerasfast.verify.graph import Stage

NAME = "x3d_xs_4x12"


def test_a_certified_network(monkeypatch, capfd):
    code, out, err = run(monkeypatch, capfd, "verify", NAME)
    assert code == 0, err
    assert "x3d_xs_4x12.pytorchvideo" in out and "PyTorchVideo 0.1.5" in out and "not reached" in out
    for stage in ("slow_stem", "slow_res5", "action_logits"):
        (line,) = [line for line in out.splitlines() if stage in line]
        assert "passed" in line and line.count("e-0") == 2


def test_another_network(monkeypatch, capfd):
    stages = (Stage("slow_stem", 3e-7, 2e-7), Stage("slow_res2", 3e-7, 2e-5), Stage("slow_res3", 3e-7, math.nan))
    monkeypatch.setattr(graph, "check_graph", lambda name, form: (find_certificate(name, form), stages))
    code, out, err = run(monkeypatch, capfd, "verify", NAME, "--form", "pyslowfast")
    assert code == 1
    assert [line.count("FAILED") for line in out.splitlines() if "slow_" in line] == [0, 1, 1]
    assert "error: x3d_xs_4x12.pyslowfast is not the network that was certified, first at slow_res2" in err


def test_a_file(monkeypatch, capfd, tmp_path):
    found = FileCheck(tmp_path / "x.pyth", "ab" * 32, "abab", "pytorchvideo", 480, 400, (0.25, -1.5))
    monkeypatch.setattr("kerasfast.verify.files.check_file", lambda name, path: found)
    monkeypatch.setattr("kerasfast.cli.console.out.width", 200)
    code, out, _ = run(monkeypatch, capfd, "verify", NAME, "--file", found.path)
    assert code == 0
    for part in ("ab" * 32, "begins as published (abab)", "pytorchvideo", "480", "400", "0.250000 -1.500000"):
        assert part in out


def test_refusals(monkeypatch, capfd, tmp_path):
    assert "no parity certificate" in refuses(monkeypatch, capfd, "verify", "slow_nano")
    assert "Did you mean" in refuses(monkeypatch, capfd, "verify", "x3d_xs_4x13")
    (tmp_path / "page.pyth").write_text("<html>")
    assert "it is a web page" in refuses(monkeypatch, capfd, "verify", NAME, "--file", tmp_path / "page.pyth")
    both = ("verify", NAME, "--file", "x.pyth", "--form", "pyslowfast")
    assert "Leave one of them out" in refuses(monkeypatch, capfd, *both)
