"""`kerasfast demo`, with fewer videos than `make demo SMOKE=1`, which continuous integration calls too."""

import pytest
from cli_case import refuses, run

import kerasfast as kf
from kerasfast.cli import demo
from kerasfast.cli.demo import MARK, build_miniature_records
from kerasfast.data.errors import DataError
from kerasfast.data.miniature.generate import is_generated, settings
from kerasfast.data.records.read import read_manifest


def test_a_foreign_folder_is_left_alone(monkeypatch, capfd, tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    assert str(tmp_path) in refuses(monkeypatch, capfd, "demo", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_records_of_the_miniature_are_built_once(tmp_path):
    records = build_miniature_records(tmp_path, 3, 1)
    assert read_manifest(records, "train").counts["videos"] == 3
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert build_miniature_records(tmp_path, 3, 1) == records
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert after == before


def test_another_miniature_is_not_taken_for_the_wanted_one(tmp_path):
    build_miniature_records(tmp_path, 3, 1)
    with pytest.raises(DataError, match="other videos, annotations or labels"):
        build_miniature_records(tmp_path, 3, 2)
    assert is_generated(tmp_path / "miniature", settings(3, seed=2))


def test_the_whole_path_in_little(monkeypatch, capfd, tmp_path):
    monkeypatch.setattr(demo, "SMOKE_VIDEOS", 16)
    code, out, err = run(monkeypatch, capfd, "demo", tmp_path / "demo", "--smoke")
    assert code == 0, err
    files = {path.name for path in (tmp_path / "demo").iterdir()}
    assert {"records", "serving", "metrics.json", "best.weights.h5", "curves.png", "predictions.png", MARK} <= files
    assert "A process without kerasfast gave the model's scores" in out
    for head in ("verb", "object", "action"):
        assert head in out


def test_a_server_with_other_scores_is_found(tmp_path):
    records = build_miniature_records(tmp_path, 3, 1)
    model = kf.load("slowfast_nano.miniature")
    served = kf.export(model, tmp_path / "serving" / "1").path
    demo._serve(served, tmp_path, records, model)
    model.get_layer("head_verb").bias.assign_add([1.0] * 8)
    with pytest.raises(ValueError, match="Served scores must be the model's"):
        demo._serve(served, tmp_path, records, model)
