"""The doctor on folders of records, whole and damaged."""

import json
import shutil
from pathlib import Path

import pytest

from kerasfast.data.annotations import find_videos, read_charades_csv
from kerasfast.data.checks.records import diagnose_records
from kerasfast.data.clips import ClipSpec
from kerasfast.data.errors import DataError
from kerasfast.data.labels import read_charades_classes
from kerasfast.data.records.build import build_records
from kerasfast.data.records.read import read_manifest


@pytest.fixture
def copy(records_folder, tmp_path):
    """A copy of the records that may be damaged."""
    return Path(shutil.copytree(records_folder, tmp_path / "copy"))


def found(report):
    return {finding.code: [(item.subject, item.detail) for item in finding.items] for finding in report.findings}


def edit(folder, split, change):
    path = folder / f"manifest-{split}.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def test_healthy_records(records_folder):
    calls = []
    report = diagnose_records(records_folder, progress=lambda *call: calls.append(call))
    size = sum(path.stat().st_size for path in records_folder.glob("*.tfrecord"))
    assert report.checked == {"splits": 2, "shards": 14, "videos": 8, "records": 50, "bytes": size}
    assert calls == [(done, 14) for done in range(1, 15)]
    assert found(report) == {"no_labels": [("train/c3", "")]}
    assert report.passed(strict=True)
    assert [(counts.split, counts.head, counts.videos) for counts in report.class_counts][-1] == (
        "train",
        "action",
        (2, 1, 1, 2, 2),
    )
    assert diagnose_records(records_folder, "test").checked["splits"] == 1


def test_every_damaged_shard_is_listed(copy):
    names = sorted(path.name for path in copy.glob("train-*.tfrecord"))
    flipped = bytearray((copy / names[0]).read_bytes())
    flipped[len(flipped) // 2] ^= 1
    (copy / names[0]).write_bytes(flipped)
    (copy / names[3]).write_bytes((copy / names[3]).read_bytes()[:-9])
    (copy / names[5]).write_bytes(bytes((copy / names[5]).stat().st_size))
    (copy / names[7]).unlink()
    report = diagnose_records(copy)
    codes = found(report)
    assert codes["missing_shard"] == [(names[7], "")]
    assert [subject for subject, _ in codes["damaged_shard"]] == [names[0], names[3], names[5]]
    details = [detail for _, detail in codes["damaged_shard"]]
    assert details[0].startswith("sha256 ")
    assert "truncated" in details[1]
    assert "is not the TFRecord file" in details[2]
    assert not report.passed()
    assert found(diagnose_records(copy, "test")) == {}


def test_manifests_that_cannot_be_read_do_not_hide_the_others(copy):
    (copy / "manifest-train.json").write_text("{")
    report = diagnose_records(copy)
    codes = found(report)
    assert set(codes) == {"bad_manifest"}
    assert "is no manifest of records" in codes["bad_manifest"][0][1]
    assert report.checked["splits"] == 1


def test_numbers_that_contradict_each_other(copy):
    def change(values):
        values["counts"]["records"] += 1
        values["class_counts"]["verb"][0] += 1

    edit(copy, "train", change)
    details = [detail for _, detail in found(diagnose_records(copy))["wrong_counts"]]
    assert details == [
        "records: 21 listed, 20 found",
        "records, by videos: 21 listed, 20 found",
        "videos by verb: [4, 1, 4] listed, [3, 1, 4] found",
    ]


def test_videos_that_come_twice(copy):
    def change(values):
        values["videos"][1]["id"] = "a1"
        values["videos"][2]["id"] = "e5"

    edit(copy, "train", change)
    codes = found(diagnose_records(copy))
    assert codes["duplicate_id"] == [("train/a1", "2 times")]
    assert codes["shared_video"] == [("train/e5", "test/e5")]


def test_shared_subjects(copy):
    stored = {video["id"]: video["subject"] for video in read_manifest(copy, "train").videos}
    assert stored == {"a1": "S1", "b2": "S1", "c3": "S2", "d4": "S2", "f6": "S3"}

    def change(values):
        values["videos"][0]["subject"] = "S2"

    edit(copy, "test", change)
    codes = found(diagnose_records(copy))
    assert codes["shared_subject"] == [("S2", "train/c3, d4; test/e5")]


def test_records_that_know_no_subjects(copy):
    """As versions before this one wrote them."""
    for split in ("train", "test"):
        edit(copy, split, lambda values: [video.pop("subject") for video in values["videos"]])
    assert set(found(diagnose_records(copy))) == {"no_labels"}


def test_left_out_videos_and_splits_that_differ(charades_folder, copy):
    labels = read_charades_classes(charades_folder)
    rows = read_charades_csv(charades_folder / "Tiny_v1_test.csv", labels).rows
    videos = find_videos(rows, charades_folder / "videos") | {"g7": charades_folder / "none.mp4"}
    options = {"short_side": 48, "skip_bad": True, "split": "val"}
    build_records(rows, videos, labels, copy, clip=ClipSpec(6, 2, 24.0), **options)
    (copy / "stray.tfrecord").write_bytes(b"")
    codes = found(diagnose_records(copy))
    ((subject, reason),) = codes["skipped"]
    assert subject == "val/g7"
    assert "no such file" in reason
    assert [subject for subject, _ in codes["other_clip"]] == ["val"]
    assert codes["unlisted"] == [("stray.tfrecord", "")]

    edit(copy, "val", lambda values: values["labels"]["heads"].update(verb=["a", "b", "c"]))
    assert [subject for subject, _ in found(diagnose_records(copy))["other_labels"]] == ["val"]


def test_a_build_that_was_ended(copy):
    (copy / ".build-novel").mkdir()
    (copy / ".build-novel" / "part-00000.json").write_text("{}")
    assert found(diagnose_records(copy))["unfinished"] == [("novel", "1 parts are done")]
    shutil.copytree(copy / ".build-novel", copy / "only" / ".build-novel")
    assert found(diagnose_records(copy / "only")) == {"unfinished": [("novel", "1 parts are done")]}


def test_folders_without_records(tmp_path, records_folder):
    with pytest.raises(DataError, match="no such folder"):
        diagnose_records(tmp_path / "none")
    with pytest.raises(DataError, match=r"holds no manifest-\*\.json"):
        diagnose_records(tmp_path)
    with pytest.raises(DataError, match=r"holds no manifest-novel\.json"):
        diagnose_records(records_folder, "novel")
