"""`kerasfast demo`; its whole run is `make demo SMOKE=1`, which continuous integration calls."""

from cli_case import refuses

from kerasfast.cli.demo import MARK, build_miniature_records
from kerasfast.data.manifest import read_manifest


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


def test_the_mark_names_its_maker():
    assert "kerasfast" in MARK
