import math

import pytest
import tensorflow as tf

from kerasfast.data.annotations import Segment
from kerasfast.data.errors import DataError
from kerasfast.data.labels import LabelSpace
from kerasfast.data.listing import read_list
from kerasfast.data.pipeline.windows import window_targets
from kerasfast.data.records.schema import Record


@pytest.fixture
def read(tmp_path):
    """Reads a list beside the videos a.mp4, b c.mp4 and sub/d.mp4."""
    (tmp_path / "sub").mkdir()
    for name in ("a.mp4", "b c.mp4", "sub/d.mp4"):
        (tmp_path / name).touch()

    def read(text, **options):
        (tmp_path / "list.csv").write_bytes(text.encode())
        return read_list(tmp_path / "list.csv", **options)

    return read


def test_one_label_a_video(read, tmp_path):
    found = read("label,path,comment\nrun,a.mp4,x\nöffnen,./b c.mp4,\nrun,sub//d.mp4,y\n")
    assert found.labels == LabelSpace({"action": ("run", "öffnen")}, {"action": "softmax"})
    assert [row.id for row in found.rows] == ["a.mp4", "b c.mp4", "sub/d.mp4"]
    assert found.videos["sub/d.mp4"] == tmp_path / "sub/d.mp4"
    assert [row.segments for row in found.rows] == [(Segment(k, 0.0, math.inf),) for k in (0, 1, 0)]
    assert [row.line for row in found.rows] == [2, 3, 4]
    assert str(found.report) == ("3 videos on 3 lines, 0 of them timed; action, one class at a time: run 2, öffnen 1")


def test_timed_labels_and_several_of_a_video(read):
    found = read(
        "path,label,start,end\na.mp4,sit,1.5,3\na.mp4,eat,,2\nb c.mp4,sit,4,\na.mp4,sit,5,6\nsub/d.mp4,eat,,\n"
    )
    assert found.labels == LabelSpace({"action": ("eat", "sit")})
    first, second, third = found.rows
    assert first.segments == (Segment(1, 1.5, 3.0), Segment(0, 0.0, 2.0), Segment(1, 5.0, 6.0))
    assert second.segments == (Segment(1, 4.0, math.inf),)
    assert third.segments == (Segment(0, 0.0, math.inf),)
    assert (first.actions, first.line) == ((0, 1), 2)
    assert (found.report.videos, found.report.rows, found.report.timed) == (3, 5, 4)
    assert found.report.class_videos == {"action": {"eat": 2, "sit": 2}}
    assert "action, any number of classes: eat 2, sit 2" in str(found.report)


def test_a_video_without_a_label(read):
    found = read("path,label\na.mp4,sit\nb c.mp4,\n", activation="sigmoid")
    assert [row.actions for row in found.rows] == [(0,), ()]
    with pytest.raises(DataError, match=r"list\.csv:3: the label is empty"):
        read("path,label\na.mp4,sit\nb c.mp4,\n")


def test_two_heads(read):
    found = read("path,v,n\na.mp4,open,door\nb c.mp4,open,box\n", heads={"verb": "v", "noun": "n"})
    assert found.labels.heads == {"verb": ("open",), "noun": ("box", "door")}
    assert found.labels.activations == {"verb": "softmax", "noun": "softmax"}
    assert [row.actions for row in found.rows] == [(0, 2), (0, 1)]


def test_classes_of_another_list(read):
    labels = LabelSpace({"action": ("eat", "run", "sit")}, {"action": "softmax"})
    found = read("path,label\na.mp4,sit\n", labels=labels)
    assert found.labels is labels
    assert found.rows[0].actions == (2,)
    with pytest.raises(DataError, match=r"list\.csv:3: 'swim' is none of the 3 classes of 'action' \(eat, run, sit\)"):
        read("path,label\na.mp4,sit\nb c.mp4,swim\n", labels=labels)
    with pytest.raises(ValueError, match=r"The labels given say softmax\. Received: activation='sigmoid'"):
        read("path,label\na.mp4,sit\n", labels=labels, activation="sigmoid")
    with pytest.raises(ValueError, match=r"have the heads \('verb',\). Received: \('action',\)"):
        read("path,label\na.mp4,sit\n", labels=LabelSpace({"verb": ("sit",)}))


def test_one_class_at_a_time(read):
    two = "path,label\na.mp4,sit\na.mp4,eat\n"
    assert read(two).labels.activations == {"action": "sigmoid"}
    with pytest.raises(
        DataError, match=r"list\.csv:3: 'a\.mp4' is 'eat', on line 2 'sit', and each video has one class"
    ):
        read(two, activation="softmax")
    timed = read("path,label,start,end\na.mp4,sit,0,2\na.mp4,eat,1,3\n", activation="softmax")
    assert timed.labels.activations == {"action": "softmax"}
    with pytest.raises(ValueError, match=r"activation must be one of .* Received: 'one'"):
        read(two, activation="one")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (",run,,", r":2: the path is empty"),
        ("a.mp4,run,x,", r":2: start must be a number of seconds, 0 or more. Received: 'x'"),
        ("a.mp4,run,-1,", r":2: start must be"),
        ("a.mp4,run,,inf", r":2: end must be a number of seconds"),
        ("a.mp4,run,2,2", r":2: end must come after start. Received: start '2', end '2'"),
        ("a.mp4,run,,0", r":2: end must come after start. Received: start '', end '0'"),
        ("a.mp4,run", r":2: 2 fields, but the header names 4"),
        ("a.mp4,run,1,2\n./a.mp4,run,1.0,2", r":3: says the same as line 2"),
        ("a.mp4,run,,\nx.mp4,run,,\ny.mp4,run,,", r":3: 2 of 3 videos are not in .* \(x\.mp4, y\.mp4\)"),
        ("", r": holds no video, only a header"),
    ],
)
def test_a_wrong_line_is_named(read, lines, message):
    with pytest.raises(DataError, match=r"list\.csv" + message):
        read("path,label,start,end\n" + lines + "\n")


def test_a_wrong_header_is_named(read):
    with pytest.raises(DataError, match=r"list\.csv:1: the header lacks path, label. Received: 'a\.mp4,run'"):
        read("a.mp4,run\n")
    with pytest.raises(DataError, match=r"list\.csv: names no class in the column 'label'"):
        read("path,label\na.mp4,\n", activation="sigmoid")


def test_paths_in_another_folder(read, tmp_path):
    found = read("path,label\nd.mp4,run\n", root=tmp_path / "sub")
    assert found.videos == {"d.mp4": tmp_path / "sub/d.mp4"}
    missing = read("path,label\na.mp4,run\ngone.mp4,sit\n", skip_missing=True)
    assert missing.videos["gone.mp4"] == tmp_path / "gone.mp4"
    assert read(f"path,label\n{tmp_path / 'a.mp4'},run\n", root="/").videos == {
        str(tmp_path / "a.mp4"): tmp_path / "a.mp4"
    }


SPACE = LabelSpace({"verb": ("open", "close"), "noun": ("door", "box", "bag")}, {"verb": "softmax"})


@pytest.mark.parametrize(
    ("labelled", "verb", "noun"),
    [
        # (label, first frame, last frame); the clip shows frames 10 to 17.
        ([(0, 0, 14), (1, 15, 30), (2, 0, 9), (3, 17, 20)], [1, 0], [0, 1, 0]),
        ([(0, 0, 13), (1, 13, 30)], [0, 1], [0, 0, 0]),
        ([(0, 10, 11), (1, 12, 14), (0, 16, 17), (2, 3, 10), (4, 17, 17)], [1, 0], [1, 0, 1]),  # 2 + 2 frames of 3
        ([(0, 10, 11), (1, 12, 13)], [1, 0], [0, 0, 0]),  # as many of both
        ([(1, 18, 30), (4, 0, 9)], [0, 0], [0, 0, 0]),
        ([], [0, 0], [0, 0, 0]),
    ],
)
def test_targets_of_a_clip(labelled, verb, noun):
    actions, first, last = (tf.constant([part[k] for part in labelled], tf.int64) for k in range(3))
    number = tf.constant(0, tf.int64)
    record = Record(
        number, number, tf.constant(40, tf.int64), number, number, number, actions, first, last, tf.constant([])
    )
    found = window_targets(record, tf.constant(10, tf.int64), tf.constant(17, tf.int64), SPACE)
    assert {head: target.numpy().tolist() for head, target in found.items()} == {"verb": verb, "noun": noun}
    assert {target.dtype for target in found.values()} == {tf.float32}
