"""The doctor on annotations and on real video files with something wrong."""

import shutil
from pathlib import Path

import pytest
import tensorflow as tf
from conftest import TINY_VIDEOS, tiny_frame
from strange_videos import cut, damage, remux, write

from kerasfast.data.annotations import Segment, VideoRow, read_charades_csv
from kerasfast.data.checks.videos import diagnose_videos
from kerasfast.data.clips import ClipSpec
from kerasfast.data.errors import DataError
from kerasfast.data.folder import read_folder
from kerasfast.data.labels import read_charades_classes
from kerasfast.data.listing import read_list

CLIP = ClipSpec(8, 2, 24.0)


@pytest.fixture(scope="module")
def labels(charades_folder):
    return read_charades_classes(charades_folder)


@pytest.fixture
def videos(charades_folder, tmp_path):
    """A copy of the video files that may be damaged."""
    return Path(shutil.copytree(charades_folder / "videos", tmp_path / "videos"))


def row(name, *segments, subject="S9", seconds=None, untimed=(), line=2):
    if seconds is None:
        _, _, count, fps = TINY_VIDEOS.get(name, (0, 0, 48, 24))
        seconds = count / fps
    return VideoRow(name, subject, seconds, tuple(Segment(*segment) for segment in segments), line, untimed)


def diagnose(rows, videos, labels, **options):
    splits = rows if isinstance(rows, dict) else {"train": rows}
    return diagnose_videos(splits, videos, labels, clip=CLIP, **options)


def found(report):
    """Subjects and details by code, without the notes on classes that a tiny split lacks."""
    return {
        finding.code: [(item.subject, item.detail) for item in finding.items]
        for finding in report.findings
        if finding.code not in ("no_positive", "unlisted")
    }


def every_action(labels):
    return [(action, 0.0, 0.4) for action in range(labels.sizes["action"])]


def test_a_healthy_set(charades_folder, labels):
    rows = [row(name, *every_action(labels)) for name in ("a1", "b2", "c3", "d4", "g7", "h8")]
    calls = []
    report = diagnose(rows, charades_folder / "videos", labels, progress=lambda *call: calls.append(call))
    assert report.checked == {"videos": 6, "readable": 6}
    assert [finding.code for finding in report.findings] == ["unlisted"]
    assert [item.subject for item in report.findings[0].items] == ["e5.mp4", "f6.mp4"]
    assert report.passed(strict=True)
    assert calls == [(done, 6) for done in range(1, 7)]
    assert [(counts.head, counts.videos) for counts in report.class_counts] == [
        ("verb", (6,) * 3),
        ("object", (6,) * 4),
        ("action", (6,) * 5),
    ]


@pytest.mark.parametrize("full", [False, True])
def test_files_that_a_build_could_not_read(videos, labels, full):
    (videos / "text.mp4").write_text("no video " * 100)
    (videos / "empty.mp4").touch()
    cut(videos / "g7.mp4", videos / "no_index.mp4", 0.8)
    cut(remux(videos / "g7.mp4", videos / "whole.mkv"), videos / "tail.mkv", 0.7)
    damage(videos / "g7.mp4", videos / "damaged.mp4")
    names = ("a1", "text", "empty", "no_index", "tail", "damaged", "gone")
    report = diagnose([row(name, (0, 0, 0.4)) for name in names], videos, labels, full=full)
    codes = found(report)
    assert codes["missing"] == [("train/gone", "")]
    assert [subject for subject, _ in codes["truncated"]] == ["train/tail"]
    undecodable = dict(codes["undecodable"])
    assert "cannot be opened as a video" in undecodable["train/text"]
    assert undecodable["train/empty"].startswith("is empty")
    assert "cannot be opened" in undecodable["train/no_index"]
    assert ("train/damaged" in undecodable) == full
    assert len(undecodable) == 3 + full
    assert report.checked == {"videos": 7, "readable": 2 - full}
    assert not report.passed()


def test_videos_that_are_read_but_not_as_usual(videos, labels):
    write(videos / "uneven.mp4", [*range(24), *range(24, 72, 2)])
    write(videos / "turned.mp4", range(48), rotation=90)
    write(videos / "deep.mp4", range(48), pix_fmt="yuv420p10le")
    write(videos / "odd.mkv", range(48), size=(63, 47), pix_fmt="bgr0", codec="ffv1")
    write(videos / "one.mp4", [0])
    rows = [row(name, (0, 0, 0.01)) for name in ("turned", "deep", "odd", "e5", "f6")]
    rows += [row("one", (0, 0, 0.01), seconds=0.04), row("uneven", (0, 0, 1.0), seconds=3.0)]
    codes = found(diagnose(rows, videos, labels))
    assert codes["rotated"] == [("train/turned", "by 90 degrees, shown as 48x64")]
    assert codes["deep_colour"] == [("train/deep", "10 bits")]
    assert codes["odd_size"] == [("train/odd", "63x47")]
    assert [subject for subject, _ in codes["short"]] == ["train/f6", "train/one"]
    assert codes["short"][1][1] == "0.04 s, a clip spans 0.62 s"
    ((subject, detail),) = codes["variable_rate"]
    assert subject == "train/uneven"
    assert detail.startswith("12 to 24 fps, ")
    assert set(codes) == {"rotated", "deep_colour", "odd_size", "short", "variable_rate"}


def test_a_rate_below_that_of_the_clip(charades_folder, labels):
    report = diagnose_videos(
        {"train": [row("e5", (0, 0, 1.0))]}, charades_folder / "videos", labels, clip=ClipSpec(8, 1, 24.0)
    )
    assert found(report) == {"low_rate": [("train/e5", "12 fps, a clip samples 24")]}


def test_labels_against_the_real_length(charades_folder, labels):
    # a1 has 2 s, whatever is listed.
    rows = [
        row("a1", (0, 0.5, 1.99), (1, 1.0, 2.05), (2, 1.0, 2.5), (3, 2.0, 2.4), (4, 1.9, float("inf")), seconds=2.6),
        row("b2", (0, 0.0, 1.0), seconds=5.5),
    ]
    codes = found(diagnose(rows, charades_folder / "videos", labels))
    assert codes == {
        "label_after_end": [("train/a1", "'Turning around' starts at 2.00 s, the file has 2.00 s")],
        "label_past_end": [("train/a1", "'Holding a door' ends at 2.50 s, the file has 2.00 s")],
        "other_length": [("train/b2", "listed 5.50 s, the file has 3.00 s")],
    }


def test_what_reading_the_file_corrected_or_refused(charades_folder, labels, tmp_path):
    lines = (
        "id,subject,actions,length",
        "a1,S1,c000 1.00 0.50;c001 0.50 0.50;c002 0.00 2.90,2.0",
        "b2,S1,c003 3.50 4.00,3.0",
        "c3,S2,c009 0.00 1.00,1.5",
        "d4,S2,c000 0 1",
        "a1,S3,c000 0.00 1.00,2.0",
        "h8,S3,,1.67",
    )
    path = tmp_path / "train.csv"
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=r"train\.csv:4: unknown class 'c009'"):
        read_charades_csv(path, labels)
    listed = read_charades_csv(path, labels, skip_bad=True)
    assert [one.id for one in listed.rows] == ["a1", "b2", "h8"]
    codes = found(diagnose({"train": listed}, charades_folder / "videos", labels))
    assert [detail for _, detail in codes["bad_row"]] == [
        f"{path}:4: unknown class 'c009'; expected c000 to c004. Correct the id, or give the class files that belong "
        "to these annotations.",
        f"{path}:5: 3 fields, but the header names 4. Put a field that holds commas in double quotes.",
    ]
    ((_, repeated),) = codes["duplicate_id"]
    assert f"{path}:6: video 'a1' is listed a second time, first on line 2" in repeated
    assert codes["reversed_segment"] == [("train/a1", "line 2"), ("train/a1", "line 2")]
    assert codes["late_segment"] == [("train/b2", "line 3")]
    assert codes["clipped_end"] == [("train", "2 of 5 segments")]
    assert codes["no_labels"] == [("train/h8", "")]


def test_rows_of_any_source(charades_folder, labels):
    """Rows that no reader has checked: repeated, and with labels that do not exist."""
    rows = [row("a1", (0, 0, 1.0), line=2), row("b2", (7, 0, 1.0), line=3), row("a1", (0, 0, 1.0), line=4)]
    paths = {name: charades_folder / "videos" / f"{name}.mp4" for name in ("a1", "b2")}
    codes = found(diagnose(rows, paths, labels))
    assert codes["duplicate_id"] == [("train/a1", "lines 2 and 4")]
    ((subject, detail),) = codes["unknown_label"]
    assert subject == "train/b2"
    assert "Received: 7" in detail
    codes = found(diagnose([row("a1", (0, 0, 1.0))], {"a1": charades_folder / "none.mp4"}, labels))
    assert codes == {"missing": [("train/a1", f"expected {charades_folder / 'none.mp4'}")]}


def test_what_training_and_test_share(charades_folder, labels, tmp_path):
    videos = charades_folder / "videos"
    train = [row("a1", (0, 0, 1.0), subject="S1"), row("b2", (0, 0, 1.0), subject="S2"), row("c3", (0, 0, 1.0))]
    test = [
        row("a1", (0, 0, 1.0), subject="S1"),
        row("e5", (0, 0, 1.0), subject="S2"),
        row("g7", (0, 0, 1.0), subject=""),
    ]
    codes = found(diagnose({"train": train, "test": test}, videos, labels))
    assert codes == {
        "shared_video": [("train/a1", "test/a1")],
        "shared_subject": [("S1", "train/a1; test/a1"), ("S2", "train/b2; test/e5")],
    }
    # Two ids of one file are one video too.
    (tmp_path / "link.mp4").symlink_to(videos / "a1.mp4")
    paths = {"a1": videos / "a1.mp4", "other": tmp_path / "link.mp4"}
    codes = found(diagnose({"train": [train[0]], "test": [row("other", (0, 0, 1.0))]}, paths, labels))
    assert codes == {"shared_video": [("train/a1", "test/other")]}


def test_classes_without_a_positive(charades_folder, labels):
    report = diagnose([row("a1", (0, 0, 1.0), (3, 1.0, 2.0))], charades_folder / "videos", labels)
    (finding,) = [finding for finding in report.findings if finding.code == "no_positive"]
    assert [(item.subject, item.detail) for item in finding.items] == [
        ("train/verb", "put"),
        ("train/object", "door"),
        ("train/object", "light"),
        ("train/action", "Putting a bag somewhere"),
        ("train/action", "Holding a door"),
        ("train/action", "Turning on a light"),
    ]


def test_two_files_of_a_video(videos, labels):
    remux(videos / "a1.mp4", videos / "a1.mkv")
    codes = found(diagnose([row("a1", (0, 0, 1.0))], videos, labels))
    assert codes == {"two_files": [("a1", "a1.mkv and a1.mp4")]}


def test_arguments(charades_folder, labels, tmp_path):
    with pytest.raises(ValueError, match=r"at least one split\. Received none"):
        diagnose_videos({}, charades_folder, labels, clip=CLIP)
    with pytest.raises(DataError, match="no such folder"):
        diagnose([row("a1")], tmp_path / "none", labels)


def test_annotations_without_videos_or_labels(charades_folder, labels):
    rows = [row("a1", (0, 0, 1.0))]
    with pytest.raises(ValueError, match=r"videos must be given .* split 'train'"):
        diagnose_videos({"train": rows}, labels=labels, clip=CLIP)
    with pytest.raises(ValueError, match=r"labels must be given .* split 'train'"):
        diagnose_videos({"train": rows}, charades_folder / "videos", clip=CLIP)


def test_a_folder_per_class(charades_folder, tmp_path):
    for split, videos in (("train", {"run": ["a1", "c3"], "sit": ["b2"]}), ("test", {"run": ["e5"], "sit": ["b2"]})):
        for name, ids in videos.items():
            (tmp_path / split / name).mkdir(parents=True)
            for number, video in enumerate(ids):
                (tmp_path / split / name / f"{number}.mp4").symlink_to(charades_folder / "videos" / f"{video}.mp4")
    (tmp_path / "train" / "run" / "text.mp4").write_text("no video")
    (tmp_path / "train" / "run" / "notes.txt").write_text("notes")
    train = read_folder(tmp_path / "train")
    report = diagnose_videos({"train": train, "test": read_folder(tmp_path / "test", train.labels)}, clip=CLIP)
    codes = found(report)
    assert set(codes) == {"undecodable", "shared_video"}
    assert [subject for subject, _ in codes["undecodable"]] == ["train/run/text.mp4"]
    # The same names are other files in the other split, but for one that is linked to the same.
    assert codes["shared_video"] == [("train/sit/0.mp4", "test/sit/0.mp4")]
    assert [item.subject for finding in report.findings for item in finding.items if finding.code == "unlisted"] == [
        "train/run/notes.txt"
    ]
    assert report.checked == {"videos": 6, "readable": 4}


def test_a_list(charades_folder, tmp_path):
    lines = (
        "path,label,start,end",
        "a1.mp4,run,0,1.5",
        "a1.mp4,sit,1.9,9",
        "b2.mp4,run,,",
        "b2.mp4,sit,4,5",
        "x.mp4,run,,",
    )
    path = tmp_path / "train.csv"
    path.write_text("\n".join(lines) + "\n")
    listed = read_list(path, root=charades_folder / "videos", skip_missing=True)
    codes = found(diagnose_videos({"train": listed}, clip=CLIP))
    assert codes == {
        "missing": [("train/x.mp4", f"expected {charades_folder / 'videos' / 'x.mp4'}")],
        "label_past_end": [("train/a1.mp4", "'sit' ends at 9.00 s, the file has 2.00 s")],
        "label_after_end": [("train/b2.mp4", "'sit' starts at 4.00 s, the file has 3.00 s")],
    }


def test_folders_of_frames(charades_folder, labels, tmp_path):
    for name, numbers in (("whole", range(1, 25)), ("gap", (1, 2, 4)), ("broken", range(1, 25))):
        (tmp_path / name).mkdir()
        for number in numbers:
            picture = tf.io.encode_jpeg(tiny_frame(number, 63, 48)).numpy()
            wrong = name == "broken" and number == 9
            (tmp_path / name / f"{name}-{number:06d}.jpg").write_bytes(picture[:200] if wrong else picture)
    rows = [row(name, (0, 0, 1.5), seconds=1.6) for name in ("whole", "gap", "broken")]
    paths = {name: tmp_path / name for name in ("whole", "gap", "broken")}
    codes = found(diagnose(rows, paths, labels))
    assert codes["odd_size"] == [("train/whole", "63x48"), ("train/broken", "63x48")]
    assert codes["label_past_end"][0] == ("train/whole", "'Holding a bag' ends at 1.50 s, the file has 1.00 s")
    ((subject, detail),) = codes["undecodable"]
    assert subject == "train/gap"
    assert "the first is number 3" in detail
    codes = found(diagnose(rows[::2], paths, labels, full=True, frames_fps=12.0))
    ((subject, detail),) = codes["undecodable"]
    assert (subject, "broken-000009.jpg" in detail) == ("train/broken", True)
    assert "label_past_end" not in codes
