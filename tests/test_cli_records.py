"""`kerasfast records build` and `kerasfast records miniature`."""

import shutil

import pytest
from cli_case import refuses, run


def build(folder, out, *options):
    (csv,) = sorted(folder.glob("*train*.csv"))[:1]
    return ("records", "build", csv, "--videos", folder / "videos", "--out", out, "--model", "slowfast_nano", *options)


def test_build_writes_shards_and_says_how_many(monkeypatch, capfd, charades_folder, tmp_path):
    code, out, err = run(monkeypatch, capfd, *build(charades_folder, tmp_path / "records"))
    assert code == 0, err
    assert "videos" in out
    assert list((tmp_path / "records").glob("train-*.tfrecord"))
    assert (tmp_path / "records" / "manifest-train.json").is_file()


def test_a_truncated_or_missing_video_is_refused(monkeypatch, capfd, charades_folder, tmp_path):
    copy = tmp_path / "charades"
    shutil.copytree(charades_folder, copy)
    victim = sorted((copy / "videos").iterdir())[0]
    victim.write_bytes(victim.read_bytes()[:200])
    message = refuses(monkeypatch, capfd, *build(copy, tmp_path / "records"))
    assert victim.name in message
    victim.unlink()
    assert victim.stem in refuses(monkeypatch, capfd, *build(copy, tmp_path / "records"))


@pytest.mark.parametrize("missing", [False, True])
def test_bad_videos_are_skipped_and_listed(missing, monkeypatch, capfd, charades_folder, tmp_path):
    copy = tmp_path / "charades"
    shutil.copytree(charades_folder, copy)
    victim = sorted((copy / "videos").iterdir())[0]
    if missing:
        victim.unlink()
    else:
        victim.write_bytes(victim.read_bytes()[:200])
    code, out, err = run(monkeypatch, capfd, *build(copy, tmp_path / "skipped", "--skip-bad", "--rounds", "2"))
    assert code == 0, err
    assert f"skipped {victim.stem}" in out
    assert len(list((tmp_path / "skipped").glob("train-round*"))) == 2


def test_missing_class_files(monkeypatch, capfd, charades_folder, tmp_path):
    message = refuses(monkeypatch, capfd, *build(charades_folder, tmp_path / "out", "--classes", tmp_path))
    assert str(tmp_path) in message


def test_unknown_architecture(monkeypatch, capfd, charades_folder, tmp_path):
    arguments = [*build(charades_folder, tmp_path / "out"), "--model", "slowfast_nan"]
    assert "Did you mean 'slowfast_nano'?" in refuses(monkeypatch, capfd, *arguments)


def test_miniature(monkeypatch, capfd, tmp_path):
    code, _, err = run(monkeypatch, capfd, "records", "miniature", tmp_path / "m", "--videos", "3", "--seed", "1")
    assert code == 0, err
    assert (tmp_path / "m" / "Miniature_v1_train.csv").is_file()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("precious")
    assert "other" in refuses(monkeypatch, capfd, "records", "miniature", tmp_path / "other")
    assert (tmp_path / "other" / "thesis.txt").read_text() == "precious"
