"""The files of miniature Charades: those of Charades, the same for a seed, whole or absent."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kerasfast.data import video
from kerasfast.data.annotations import read_charades_csv
from kerasfast.data.errors import DataError
from kerasfast.data.labels import read_charades_classes
from kerasfast.data.miniature import generate as miniature
from kerasfast.data.miniature.plan import FPS, OBJECTS
from kerasfast.data.miniature.render import render
from kerasfast.data.miniature.scripts import SUBJECTS, write_scripts

ROOT = Path(__file__).parents[1]
SEED = 5
SPLITS = tuple(SUBJECTS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("miniature") / "set"
    miniature.generate(out, train_videos=8, test_videos=3, seed=SEED, processes=1)
    return out


def read_bytes(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_same_seed_gives_the_same_bytes_whatever_the_processes(folder, tmp_path):
    counts = []
    miniature.generate(tmp_path / "a", 8, 3, SEED, processes=2, progress=lambda *done: counts.append(done))
    assert read_bytes(tmp_path / "a") == read_bytes(folder)
    assert counts[-1] == (15, 15)
    assert counts == sorted(counts)


def test_another_seed_gives_other_videos(folder, tmp_path):
    miniature.generate(tmp_path / "a", 1, 1, SEED + 1, processes=1)
    ours, theirs = read_bytes(tmp_path / "a"), read_bytes(folder)
    assert ours["videos/T0000.mp4"] != theirs["videos/T0000.mp4"]
    assert ours["Miniature_v1_classes.txt"] == theirs["Miniature_v1_classes.txt"]


def test_a_second_run_replaces_the_first(folder, tmp_path):
    miniature.generate(tmp_path, 2, 1, SEED, processes=1)
    miniature.generate(tmp_path, 1, 1, SEED, processes=1)
    assert sorted(path.stem for path in (tmp_path / "videos").iterdir()) == [
        "E0000",
        "K0000",
        "L0000",
        "N0000",
        "T0000",
    ]
    assert len((tmp_path / "Miniature_v1_train.csv").read_text().splitlines()) == 2


def test_files_read_as_charades(folder):
    labels = read_charades_classes(folder)
    assert labels.sizes == {"verb": 8, "object": 6, "action": 40}
    novel_labels = read_charades_classes(folder / "novel")
    assert novel_labels.sizes == {"verb": 8, "object": 6, "action": 46}
    assert novel_labels.heads["action"][:40] == labels.heads["action"]
    for split in SPLITS:
        annotations = read_charades_csv(
            folder / f"Miniature_v1_{split}.csv", novel_labels if split == "novel" else labels
        )
        assert len(annotations.rows) == miniature.split_sizes(8, 3)[split]
        assert annotations.report.clipped_ends == 0
        assert not annotations.report.dropped
        for row in annotations.rows:
            info = video.probe(folder / "videos" / f"{row.id}.mp4")
            assert (info.height, info.fps) == (96, 24)
            assert info.width in (96, 112, 128)
            assert info.duration_seconds == pytest.approx(row.length_seconds)
            assert info.frames == round(row.length_seconds * FPS)
            assert all(0 <= s.start_seconds < s.end_seconds <= row.length_seconds for s in row.segments)
            if split == "novel":
                assert min(row.actions) >= 40


def test_csv_has_the_columns_and_line_ends_of_charades(folder):
    text = (folder / "Miniature_v1_train.csv").read_bytes()
    rows = list(csv.DictReader(text.decode().splitlines()))
    assert text.count(b"\r\n") == len(rows) + 1
    assert ",".join(rows[0]) == (
        "id,subject,scene,quality,relevance,verified,script,objects,descriptions,actions,length"
    )
    for row in rows:
        assert {thing for thing in OBJECTS if thing in row["script"]} == set(row["objects"].split(";"))
        assert all(len(action.split()) == 3 for action in row["actions"].split(";"))
    original = ROOT.parent / "shared" / "charades" / "Charades_v1_train.csv"
    if original.exists():
        assert text.splitlines()[0] == original.read_bytes().splitlines()[0]


def test_videos_show_what_was_drawn(folder):
    script = write_scripts("train", 8, SEED)[0]
    drawn = render(script, SEED)
    stored = video.read_video(folder / "videos" / f"{script.id}.mp4")
    assert stored.shape == drawn.shape
    assert np.abs(stored.astype(int) - drawn).mean() < 6


def test_an_interrupted_run_leaves_no_annotations(folder, tmp_path):
    miniature.generate(tmp_path, 1, 1, SEED, processes=1)

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        miniature.generate(tmp_path, 1, 1, SEED, processes=1, progress=stop)
    assert not list(tmp_path.rglob("*.csv"))
    assert not list(tmp_path.rglob("*classes.txt"))
    miniature.generate(tmp_path, 1, 1, SEED, processes=1)
    assert (tmp_path / "Miniature_v1_train.csv").exists()


def test_foreign_folders_and_bad_numbers_are_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(DataError, match="new or empty folder"):
        miniature.generate(tmp_path, 1, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(ValueError, match="train_videos=0"):
        miniature.generate(tmp_path / "new", 0)
    with pytest.raises(ValueError, match="processes=0"):
        miniature.generate(tmp_path / "new", 1, processes=0)
    assert not (tmp_path / "new").exists()


def test_generating_imports_no_tensorflow():
    code = "import sys, kerasfast.data.miniature.generate; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
