"""`kerasfast records build` and `kerasfast records miniature`."""

import json
import shutil

import pytest
import tensorflow as tf
from cli_case import refuses, run

from kerasfast.data.video import OpenVideo


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


def manifest_of(out, split):
    return json.loads((out / f"manifest-{split}.json").read_text())


@pytest.fixture
def clips(charades_folder, tmp_path):
    """A folder of two classes, and lists of the same videos."""
    root = tmp_path / "my clips"
    for number, name in enumerate(("a1", "b2", "c3", "d4")):
        folder = root / ("rot", "blau")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(charades_folder / "videos" / f"{name}.mp4", folder)
    (root / "train.csv").write_text("path,label\nrot/a1.mp4,rot\nblau/b2.mp4,blau\n")
    (root / "val.csv").write_text("path,label,start,end\nrot/c3.mp4,rot,0,1\n")
    return root


def of(source, out, *options):
    return ("records", "build", source, "--out", out, "--model", "slowfast_nano", *options)


def test_a_folder_per_class(monkeypatch, capfd, clips, tmp_path):
    code, out, err = run(monkeypatch, capfd, *of(clips, tmp_path / "out"))
    assert code == 0, err
    assert "4 videos of 2 classes (blau 2, rot 2); 2 left out that are no videos" in " ".join(out.split())
    manifest = manifest_of(tmp_path / "out", "train")
    assert manifest["format"] == "kerasfast-records-3"
    assert manifest["labels"]["heads"] == {"action": ["blau", "rot"]}
    for name in ("train", "val"):
        (clips / name).mkdir()
    for folder in ("rot", "blau"):
        shutil.move(clips / folder, clips / "train" / folder)
    shutil.copytree(clips / "train" / "rot", clips / "val" / "rot")
    code, _, err = run(monkeypatch, capfd, *of(clips, tmp_path / "divided", "--split", "val"))
    assert code == 0, err
    assert manifest_of(tmp_path / "divided", "val")["labels"]["heads"] == {"action": ["blau", "rot"]}
    assert [video["actions"] for video in manifest_of(tmp_path / "divided", "val")["videos"]] == [[1], [1]]
    assert "has the splits train, val. Received: --split dev" in refuses(
        monkeypatch, capfd, *of(clips, tmp_path / "divided", "--split", "dev")
    )


def test_lists_share_their_classes(monkeypatch, capfd, clips, tmp_path):
    out = tmp_path / "out"
    code, text, err = run(monkeypatch, capfd, *of(clips / "train.csv", out))
    assert code == 0, err
    assert "2 videos on 2 lines" in text
    code, _, err = run(monkeypatch, capfd, *of(clips / "val.csv", out, "--split", "val"))
    assert code == 0, err
    assert manifest_of(out, "val")["labels"] == manifest_of(out, "train")["labels"]
    assert manifest_of(out, "val")["videos"][0]["actions"] == [1]
    (clips / "val.csv").write_text("path,label\nrot/c3.mp4,gelb\n")
    assert "val.csv:2: 'gelb' is none of the 2 classes of 'action' (blau, rot)" in refuses(
        monkeypatch, capfd, *of(clips / "val.csv", out, "--split", "test")
    )
    # A file of classes says them too, and --activation that there may be several.
    (clips / "names.txt").write_text("rot\ngelb\n")
    options = ("--classes", clips / "names.txt", "--activation", "sigmoid", "--split", "test")
    code, _, err = run(monkeypatch, capfd, *of(clips / "val.csv", out, *options))
    assert code == 0, err
    assert manifest_of(out, "test")["labels"] == {
        "heads": {"action": ["rot", "gelb"]},
        "activations": {"action": "sigmoid"},
        "implied": {},
    }


def test_the_kind_of_a_source(monkeypatch, capfd, clips, charades_folder, tmp_path):
    (clips / "odd.csv").write_text("file;class\n")
    message = refuses(monkeypatch, capfd, *of(clips / "odd.csv", tmp_path / "out"))
    assert "odd.csv:1: neither Charades (id,subject,actions,length) nor a list (path,label[,start,end])" in message
    message = refuses(monkeypatch, capfd, *of(clips / "odd.csv", tmp_path / "out", "--source", "list"))
    assert "odd.csv:1: the header lacks path, label" in message
    assert "no such file" in refuses(monkeypatch, capfd, *of(tmp_path / "none", tmp_path / "out")).lower()
    message = refuses(monkeypatch, capfd, *of(charades_folder / "Tiny_v1_train.csv", tmp_path / "out"))
    assert "give their folder as --videos, or as --frames" in message
    message = refuses(monkeypatch, capfd, *of(clips, tmp_path / "out", "--frames", clips))
    assert "--frames does not go with a source of kind folder" in message


def test_the_frame_archive_of_charades(monkeypatch, capfd, charades_folder, tmp_path):
    archive = tmp_path / "Tiny_v1_rgb"
    for name in ("e5", "g7", "h8"):
        (archive / name).mkdir(parents=True)
        with OpenVideo(charades_folder / "videos" / f"{name}.mp4") as video:
            for index, frame in video.frames(24):
                file = archive / name / f"{name}-{index + 1:06d}.jpg"
                file.write_bytes(tf.io.encode_jpeg(frame, quality=95).numpy())
    options = ("--split", "test", "--frames", archive, "--clips", "2")
    code, _, err = run(monkeypatch, capfd, *of(charades_folder / "Tiny_v1_test.csv", tmp_path / "out", *options))
    assert code == 0, err
    manifest = manifest_of(tmp_path / "out", "test")
    assert [(video["id"], video["frames"]) for video in manifest["videos"]] == [("e5", 48), ("g7", 60), ("h8", 40)]
    assert manifest["format"] == "kerasfast-records-3"
    shutil.rmtree(archive / "g7")
    message = refuses(monkeypatch, capfd, *of(charades_folder / "Tiny_v1_test.csv", tmp_path / "two", *options))
    assert "1 of 3 annotated videos have no file here (g7)" in message
    code, out, err = run(
        monkeypatch, capfd, *of(charades_folder / "Tiny_v1_test.csv", tmp_path / "two", "--skip-bad", *options)
    )
    assert code == 0, err
    assert "skipped g7: " in out


def test_a_folder_that_cannot_be_written(monkeypatch, capfd, clips):
    message = refuses(monkeypatch, capfd, *of(clips, clips / "train.csv"))
    assert "train.csv: the records cannot be written" in message


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
