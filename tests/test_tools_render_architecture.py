"""The drawings of docs/architecture come from rows of the table of architectures."""

import pytest
import render_architecture
from render_architecture import Map, columns, draw, save, words

from kerasfast.models.variants import variant


@pytest.mark.parametrize("name", render_architecture.DRAWN)
def test_the_drawing_is_up_to_date(name):
    assert render_architecture.is_current(name), "run tools/render_architecture.py"


def test_shapes_are_those_of_the_paper():
    """Feichtenhofer et al. 2019, Table 1: 4 x 16 frames, alpha 8, beta 1/8, a view of 224 pixels."""
    stages = {stage.name: stage for stage in columns(variant("slowfast_r50_4x16"))}
    assert list(stages) == ["input", "stem", "res2", "res3", "res4", "res5"]
    assert stages["input"].maps == {"slow": Map(4, 224, 3), "fast": Map(32, 224, 3)}
    assert stages["stem"].maps == {"slow": Map(4, 56, 64, "1 frame"), "fast": Map(32, 56, 8, "5 frames")}
    assert stages["res5"].maps["slow"] == Map(4, 7, 2048, "3 blocks, 3 frames")
    assert stages["res5"].maps["fast"] == Map(32, 7, 256, "3 blocks, 3 frames")
    assert [stage.lateral for stage in stages.values()] == [0, 16, 64, 128, 256, 0]


def test_another_row_is_another_drawing(tmp_path):
    row = variant("slowfast_nano")
    save(draw(row), tmp_path / "a.svg")
    first = (tmp_path / "a.svg").read_bytes()
    save(draw(row), tmp_path / "a.svg")
    assert (tmp_path / "a.svg").read_bytes() == first
    save(draw(variant("slowfast_nano", alpha=4, lateral="time_to_channel_concat")), tmp_path / "b.svg")
    before, after = words(tmp_path / "a.svg"), words(tmp_path / "b.svg")
    assert {"4 x 64² x 3", "+ 16"} <= set(before) and "8 x 64² x 3" not in before
    assert {"8 x 64² x 3", "+ 32"} <= set(after)


def test_a_drawing_that_lags_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(render_architecture, "FOLDER", tmp_path)
    assert not render_architecture.is_current("slowfast_nano")
    save(draw(variant("slowfast_nano", beta=1 / 8)), tmp_path / "slowfast_nano.svg")
    assert not render_architecture.is_current("slowfast_nano")
