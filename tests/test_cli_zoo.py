"""`kerasfast list` and `kerasfast info`."""

import re

import pytest
from cli_case import refuses, run

from kerasfast.registry import entry, index, list_models


@pytest.fixture
def width(monkeypatch):
    """Sets the width of the terminal, in characters."""
    return lambda columns: monkeypatch.setattr("kerasfast.cli.console.out.width", columns)


@pytest.mark.parametrize("columns", [80, 120])
def test_list_shows_every_name_in_the_width_of_a_terminal(columns, monkeypatch, capfd, width):
    width(columns)
    code, out, _ = run(monkeypatch, capfd, "list")
    assert code == 0
    lines = out.splitlines()
    assert max(map(len, lines)) <= columns
    first = [line.split()[0] for line in lines if re.match(r" [a-z]", line)]  # not what a cell continues
    assert first == ["model", *index()]
    (row,) = (line.split() for line in lines if line.startswith(" slowfast_r50_8x8.k400 "))
    assert row[:4] == ["slowfast_r50_8x8.k400", "32x2", "Kinetics-400", "76.94"]
    (row,) = (line.split() for line in lines if line.startswith(" slowfast_r50_16x8.charades_psf "))
    assert row[1:5] == ["64x2", "Charades", "mAP", "38.90"]
    assert ("summary" in out) == (columns == 120)


def test_list_filters(monkeypatch, capfd):
    _, out, _ = run(monkeypatch, capfd, "list", "fast_*")
    assert "fast_nano" in out
    assert "slow_nano" not in out
    _, out, _ = run(monkeypatch, capfd, "list", "slow*", "--dataset", "charades", "--task", "multi_label")
    assert [line.split()[0] for line in out.splitlines() if ".charades" in line] == list_models("*.charades*")
    assert ".k400" not in out


def test_list_without_a_match(monkeypatch, capfd):
    assert "'mvit*'" in refuses(monkeypatch, capfd, "list", "mvit*")
    assert "Kinetics-400" in refuses(monkeypatch, capfd, "list", "--dataset", "imagenet")
    assert "single_label, multi_label" in refuses(monkeypatch, capfd, "list", "--task", "detection")
    assert "No model matches" in refuses(monkeypatch, capfd, "list", "--dataset", "Charades", "--task", "single_label")


def card(monkeypatch, capfd, name):
    code, out, err = run(monkeypatch, capfd, "info", name)
    assert code == 0, err
    return " ".join(out.split())


def test_info_of_an_architecture(monkeypatch, capfd, width):
    width(80)
    out = card(monkeypatch, capfd, "slow_r50_4x16")
    assert "parameters 32,454,096" in out  # published parameter count
    assert "400 classes, softmax" in out and "weights random" in out
    assert "4, stride 16, at 30 fps (1.63 s)" in out and "result" not in out and "file" not in out


def test_info_of_published_weights(monkeypatch, capfd, width):
    width(80)
    out = card(monkeypatch, capfd, "x3d_s_13x6.k400_mm")
    source = entry("x3d_s_13x6.k400_mm").source
    for part in (
        "400 classes, softmax, 'abseiling' to 'zumba'",
        "160 px, out of a short side of 182 to 228 px",
        "mean 114.75, std 57.38",
        "head_pool global",
        "parameters 3,794,322",
        "weights Kinetics-400",
        "top-1 73.3 %: 10 clips x 3 crops of 182 px, mean; 2.97 GFLOPs a view",
        "family mmaction2",
        "sha256 begins with 623825a0",
        "license Apache-2.0",
        source.url,  # in one piece
        entry("x3d_s_13x6.k400_mm").page,
    ):
        assert part in out, part


def test_info_shows_every_result_and_what_is_not_published(monkeypatch, capfd, width):
    width(120)
    out = card(monkeypatch, capfd, "x3d_xs_4x12.k400_psf")
    assert "top-1 69.5 %: 10 clips x 3 crops of 182 px, mean result" in out
    assert "top-1 68.7 %: 10 clips x 1 crop of 160 px (short side 182 px), mean; 0.6 GFLOPs a view" in out
    assert "sha256 not published" in out


def test_info_of_frames_that_are_spread_over_a_video(monkeypatch, capfd, width):
    width(120)
    out = card(monkeypatch, capfd, "slow_r50_8x8.ssv2")
    assert "frames 8, the middle ones of 8 equal parts of the video" in out
    assert "1 clip x 3 crops" in out and "head_average logits" in out


def test_info_of_weights_shows_card_and_chance(monkeypatch, capfd):
    _, out, _ = run(monkeypatch, capfd, "info", "slowfast_nano.miniature")
    for part in ("action mAP", "chance", "sha256", "clips"):
        assert part in out


def test_info_suggests_the_nearest_name(monkeypatch, capfd):
    assert "Did you mean 'slowfast_r50_8x8'?" in refuses(monkeypatch, capfd, "info", "slowfast_r50_8x9")
