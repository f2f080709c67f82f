import math
import unicodedata

import pytest

from kerasfast.data.annotations import Segment
from kerasfast.data.errors import DataError
from kerasfast.data.folder import divide, find_splits, read_folder
from kerasfast.data.labels import LabelSpace


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_a_folder_is_a_class(tmp_path):
    touch(tmp_path, "walk/b.mp4", "walk/a.AVI", "jump rope/a.mp4", "Öffnen/é ü.webm")
    touch(tmp_path, "walk/notes.txt", "walk/raw", "walk/.hidden.mp4", ".git/x.mp4", "readme.md", "walk/more/c.mp4")
    found = read_folder(tmp_path)
    assert found.labels == LabelSpace({"action": ("jump rope", "walk", "Öffnen")}, {"action": "softmax"})
    assert [row.id for row in found.rows] == ["jump rope/a.mp4", "walk/a.AVI", "walk/b.mp4", "Öffnen/é ü.webm"]
    assert found.videos == {row.id: tmp_path / row.id for row in found.rows}
    assert [row.segments for row in found.rows] == [(Segment(k, 0.0, math.inf),) for k in (0, 1, 1, 2)]
    assert found.rows[0].length_seconds is None
    assert found.report.class_videos == {"jump rope": 1, "walk": 2, "Öffnen": 1}
    assert found.report.ignored == ("readme.md", "walk/more", "walk/notes.txt", "walk/raw")
    assert str(found.report) == (
        "4 videos of 3 classes (jump rope 1, walk 2, Öffnen 1); 4 left out that are no videos "
        "(readme.md, walk/more, walk/notes.txt, walk/raw)"
    )


def test_a_folder_of_frames_is_a_video(tmp_path):
    touch(tmp_path, "run/v1/v1-000001.jpg", "run/v1/.DS_Store", "run/empty/._x.jpg", "run/v1.mp4")
    found = read_folder(tmp_path)
    assert found.videos == {"run/v1": tmp_path / "run/v1", "run/v1.mp4": tmp_path / "run/v1.mp4"}
    assert found.report.ignored == ("run/empty",)


def test_both_forms_of_a_letter_are_one_class(tmp_path):
    name = "Tür"
    touch(tmp_path, f"train/{unicodedata.normalize('NFC', name)}/a.mp4")
    touch(tmp_path, f"val/{unicodedata.normalize('NFD', name)}/b.mp4")
    labels = read_folder(tmp_path / "train").labels
    found = read_folder(tmp_path / "val", labels)
    assert found.rows[0].actions == (0,)
    touch(tmp_path, f"val/{name}/c.mp4")
    with pytest.raises(DataError, match="two folders are named 'Tür', in different forms"):
        read_folder(tmp_path / "val", labels)


def test_classes_of_another_split(tmp_path):
    touch(tmp_path, "train/a/1.mp4", "train/b/1.mp4", "val/b/2.mp4", "other/c/3.mp4")
    labels = read_folder(tmp_path / "train").labels
    found = read_folder(tmp_path / "val", labels)
    assert found.labels is labels
    assert found.rows[0].actions == (1,)
    assert found.report.class_videos == {"a": 0, "b": 1}
    with pytest.raises(DataError, match=r"other: c is not among the 2 classes \(a, b\)"):
        read_folder(tmp_path / "other", labels)
    with pytest.raises(ValueError, match=r"has the head \('action',\)"):
        read_folder(tmp_path / "val", LabelSpace({"verb": ("a",)}))


def test_folders_that_hold_no_classes(tmp_path):
    with pytest.raises(DataError, match="none: no such folder"):
        read_folder(tmp_path / "none")
    touch(tmp_path, "x.mp4")
    with pytest.raises(DataError, match=r"holds no folder of a class. Expected folder/<class>/<video>\.mp4"):
        read_folder(tmp_path)
    touch(tmp_path, "a/x.mp4", "b/x.txt", "c/.x.mp4")
    with pytest.raises(DataError, match=r"no video in the folder of b, c\. Add videos"):
        read_folder(tmp_path)


def test_a_name_that_is_not_utf8(tmp_path):
    touch(tmp_path, "a/x.mp4")
    try:
        (tmp_path / "a" / b"K\xfcche.mp4".decode("utf-8", "surrogateescape")).touch()
    except OSError:
        pytest.skip("this file system takes UTF-8 names alone")
    with pytest.raises(DataError, match=r"K\\udcfcche\.mp4': the name is not valid UTF-8. Rename it"):
        read_folder(tmp_path)


def test_splits(tmp_path):
    assert find_splits(touch(tmp_path / "flat", "walk/a.mp4")) == {}
    root = touch(tmp_path / "all", "Training/walk/a.mp4", "valid/walk/a.mp4", "test/walk/a.mp4", "about.txt")
    assert find_splits(root) == {"train": root / "Training", "val": root / "valid", "test": root / "test"}
    # A class may be called train; its folder holds videos, or folders of frames.
    assert find_splits(touch(tmp_path / "vehicles", "train/a.mp4", "bus/a.mp4")) == {}
    assert find_splits(touch(tmp_path / "frames", "train/a/a-1.jpg", "bus/a/a-1.jpg")) == {}
    for names, message in (
        (("train/walk/a.mp4", "run/a.mp4"), r"holds splits \(train\) beside other folders \(run\)"),
        (("test/walk/a.mp4",), "holds the splits test, but no train"),
        (("train/w/a.mp4", "val/w/a.mp4", "validation/w/a.mp4"), "val and validation are both the split 'val'"),
    ):
        with pytest.raises(DataError, match=message):
            find_splits(touch(tmp_path / str(len(message)), *names))


def test_divided_class_by_class(tmp_path):
    touch(tmp_path, *(f"a/{k}.mp4" for k in range(10)), *(f"b/{k}.mp4" for k in range(3)), "c/0.mp4", "x.txt")
    found = read_folder(tmp_path)
    train, val = divide(found, 0.2, seed=0)
    assert train.report.class_videos == {"a": 8, "b": 2, "c": 1}
    assert val.report.class_videos == {"a": 2, "b": 1, "c": 0}
    assert sorted(row.id for part in (train, val) for row in part.rows) == sorted(found.videos)
    assert set(train.videos) == {row.id for row in train.rows}
    assert (train.report.single, train.report.ignored) == (("c",), ("x.txt",))
    assert "of c a single one, kept for training" in str(train.report)
    assert divide(found, 0.2, seed=0) == (train, val)
    assert divide(found, 0.2, seed=1)[1].rows != val.rows
    nothing = divide(found, 0, seed=0)
    assert (len(nothing[0].rows), len(nothing[1].rows)) == (14, 0)
    assert divide(found, 0.99, seed=0)[0].report.class_videos == {"a": 1, "b": 1, "c": 1}
    with pytest.raises(ValueError, match=r"must be in \[0, 1\). Received: 1"):
        divide(found, 1, seed=0)


def test_a_further_video_moves_few_others(tmp_path):
    touch(tmp_path, *(f"a/{k}.mp4" for k in range(50)))
    before = set(divide(read_folder(tmp_path), 0.2, seed=0)[1].videos)
    touch(tmp_path, "a/new.mp4")
    assert len(before ^ set(divide(read_folder(tmp_path), 0.2, seed=0)[1].videos)) <= 2
