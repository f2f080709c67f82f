"""`kerasfast records check`, before and after a build."""

import json
import shutil
from pathlib import Path

import pytest
from cli_case import refuses, run

from kerasfast.cli import check
from kerasfast.cli.check_sources import split_names
from kerasfast.data.checks.throughput import Throughput


@pytest.fixture
def source(charades_folder, tmp_path):
    """A copy of annotations and videos that may be damaged."""
    return Path(shutil.copytree(charades_folder, tmp_path / "charades"))


def csvs(folder):
    return folder / "Tiny_v1_train.csv", folder / "Tiny_v1_test.csv", "--videos", folder / "videos"


def test_before_a_build(monkeypatch, capfd, source, tmp_path):
    (source / "videos" / "b2.mp4").write_text("no video")
    (source / "videos" / "c3.mp4").unlink()
    arguments = ("records", "check", *csvs(source), "--model", "slowfast_nano", "--json", tmp_path / "report.json")
    code, out, err = run(monkeypatch, capfd, *arguments)
    assert code == 1, err
    report = json.loads((tmp_path / "report.json").read_text())
    found = {finding["code"]: finding for finding in report["findings"]}
    assert {"missing", "undecodable", "short", "reversed_segment"} <= set(found)
    assert [item["subject"] for item in found["undecodable"]["items"]] == ["train/b2"]
    assert report["checked"] == {"videos": 8, "readable": 6}
    assert "2 errors" in out
    assert "Checked 8 videos, 6 readable: 2 errors, " in out
    for finding in report["findings"]:
        assert finding["code"] in out


def test_warnings_fail_only_if_they_shall(monkeypatch, capfd, source):
    arguments = ("records", "check", *csvs(source), "--model", "slowfast_nano")
    code, out, err = run(monkeypatch, capfd, *arguments)
    assert code == 0, err
    assert "warning" in out
    code, _, err = run(monkeypatch, capfd, *arguments, "--strict")
    assert code == 1, err


def test_long_lists_are_cut_on_screen_alone(monkeypatch, capfd, source, tmp_path):
    for path in sorted((source / "videos").iterdir())[:6]:
        path.unlink()
    arguments = ("records", "check", *csvs(source), "--show", "2", "--json", tmp_path / "report.json")
    code, out, err = run(monkeypatch, capfd, *arguments)
    assert code == 1, err
    assert "... 4 more" in out
    report = json.loads((tmp_path / "report.json").read_text())
    assert [finding["count"] for finding in report["findings"] if finding["code"] == "missing"] == [6]
    assert len(report["findings"][0]["items"]) == 6


@pytest.mark.parametrize("columns", [80, 120])
def test_every_line_fits_the_terminal(monkeypatch, capfd, source, columns):
    (source / "videos" / "b2.mp4").write_text("no video")
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(check.out, "_width", columns)
    _, out, _ = run(monkeypatch, capfd, "records", "check", *csvs(source))
    assert "undecodable" in out
    assert max(len(line.rstrip()) for line in out.splitlines()) <= columns


def test_after_a_build(monkeypatch, capfd, records_folder, tmp_path):
    code, out, err = run(monkeypatch, capfd, "records", "check", records_folder)
    assert code == 0, err
    assert "Checked 2 splits, 14 shards, 8 videos, 50 records" in out
    copy = Path(shutil.copytree(records_folder, tmp_path / "copy"))
    shard = sorted(copy.glob("train-*.tfrecord"))[0]
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    code, out, err = run(monkeypatch, capfd, "records", "check", copy, "--model", "slowfast_nano")
    assert code == 1, err
    assert "damaged_shard" in out
    assert shard.name in out
    assert "Not measured" in err
    code, _, err = run(monkeypatch, capfd, "records", "check", copy, "--split", "test")
    assert code == 0, err


def test_input_against_a_model(monkeypatch, capfd, records_folder, tmp_path):
    asked = []

    def measured(model, records, **options):
        asked.append((model.name, model.clip, sorted(model.heads), options))
        return Throughput(10.0, 40.0, 9.0, model.name, 2, 1.0, 2, False, 64, 48, 67, 2, 2)

    monkeypatch.setattr("kerasfast.train.throughput.measure_throughput", measured)
    arguments = ("records", "check", records_folder, "--model", "slow_nano", "--batch-size", "2", "--seconds", "1")
    code, out, err = run(monkeypatch, capfd, *arguments, "--json", tmp_path / "report.json")
    assert code == 0, err
    ((name, clip, heads, options),) = asked
    assert (name, clip.fps, heads) == ("slow_nano", 24.0, ["action", "object", "verb"])
    assert options == {"batch_size": 2, "split": "train", "seconds": 1.0}
    assert "Input-bound by 4.0x" in " ".join(out.split())
    assert "Give the input" in out
    assert json.loads((tmp_path / "report.json").read_text())["throughput"]["ratio"] == 0.25


def test_a_folder_per_class(monkeypatch, capfd, source, tmp_path):
    for name in ("run", "sit"):
        (tmp_path / "clips" / name).mkdir(parents=True)
    (source / "videos" / "a1.mp4").rename(tmp_path / "clips" / "run" / "a 1.mp4")
    (tmp_path / "clips" / "sit" / "b.mp4").write_text("no video")
    code, out, err = run(monkeypatch, capfd, "records", "check", tmp_path / "clips", "--model", "slowfast_nano")
    assert code == 1, err
    assert "train/sit/b.mp4" in out
    assert "Checked 2 videos, 1 readable: 1 error" in out


def test_lists(monkeypatch, capfd, source, tmp_path):
    (tmp_path / "train.csv").write_text("path,label\na1.mp4,run\nb2.mp4,sit\n")
    (tmp_path / "test.csv").write_text("path,label\ne5.mp4,sit\nnone.mp4,run\n")
    arguments = ("records", "check", tmp_path / "test.csv", tmp_path / "train.csv", "--videos", source / "videos")
    code, out, err = run(monkeypatch, capfd, *arguments, "--model", "slowfast_nano")
    assert code == 1, err
    assert "test/none.mp4" in out
    assert "Checked 4 videos, 3 readable: 1 error" in out


def test_a_frame_archive(monkeypatch, capfd, source, tmp_path):
    arguments = (
        "records",
        "check",
        source / "Tiny_v1_test.csv",
        "--frames",
        tmp_path,
        "--json",
        tmp_path / "report.json",
    )
    code, _, err = run(monkeypatch, capfd, *arguments)
    assert code == 1, err
    report = json.loads((tmp_path / "report.json").read_text())
    assert [item["subject"] for item in report["findings"][0]["items"]] == ["test/e5", "test/g7", "test/h8"]


def test_what_it_refuses(monkeypatch, capfd, charades_folder, records_folder, tmp_path):
    train, test, *_ = csvs(charades_folder)
    check = ("records", "check")
    assert "as --videos, or as --frames" in refuses(monkeypatch, capfd, *check, train)
    assert "--full is for what records are built" in refuses(monkeypatch, capfd, *check, records_folder, "--full")
    assert "holds no folder of a class" in refuses(monkeypatch, capfd, *check, tmp_path)
    assert "no such folder" in refuses(monkeypatch, capfd, *check, train, test, "--videos", tmp_path / "none")
    videos = ("--videos", charades_folder / "videos")
    assert "Give each split once" in refuses(monkeypatch, capfd, *check, train, train, *videos)
    (tmp_path / "list.csv").write_text("path,label\na1.mp4,run\n")
    assert "all of a kind" in refuses(monkeypatch, capfd, *check, train, tmp_path / "list.csv", *videos)
    assert "--frames does not go with" in refuses(
        monkeypatch, capfd, *check, tmp_path / "list.csv", "--frames", tmp_path
    )
    assert "none.csv" in refuses(monkeypatch, capfd, *check, tmp_path / "none.csv", *videos)


def test_split_names():
    assert split_names([Path("Charades_v1_train.csv"), Path("x/Charades_v1_test.csv")]) == ["train", "test"]
    assert split_names([Path("a_test.csv"), Path("b_test.csv")]) == ["a_test", "b_test"]
    assert split_names([Path("train.csv")]) == ["train"]
