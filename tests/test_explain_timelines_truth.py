"""Annotations as segments of a timeline: of Charades and of lists, for the classes that the model knows by name."""

import numpy as np
import pytest

from kerasfast.data.errors import DataError
from kerasfast.explain.timelines.timeline import Segment, Timeline
from kerasfast.explain.timelines.truth import Truth

HEADS = {"verb": ("Open", "close"), "object": ("box", "door"), "action": ("closing a box", "Opening a DOOR", "waving")}


def timeline_of(heads=HEADS, seconds=4.0):
    scores = {head: np.zeros((1, len(names)), np.float32) for head, names in heads.items()}
    thresholds = {head: np.full(len(names), 0.5) for head, names in heads.items()}
    return Timeline("v", "spy", np.zeros(1), np.array([seconds]), scores, heads, thresholds)


def marks(timeline):
    return [(one.head, one.index, one.label, one.start_seconds, one.end_seconds) for one in timeline.truth]


@pytest.fixture
def charades(tmp_path):
    files = {
        "T_classes.txt": "c000 Opening a door\nc001 Closing a door\nc002 Closing a box\n",
        "T_verbclasses.txt": "v000 close\nv001 open\n",
        "T_objectclasses.txt": "o000 door\no001 box\n",
        "T_mapping.txt": "c000 o000 v001\nc001 o000 v000\nc002 o001 v000\n",
        "T.csv": "id,subject,actions,length\nkitchen,S,c000 0.5 2;c001 2 3;c002 2.5 9,5\nother,S,,5\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    return Truth(tmp_path / "T.csv")


def test_charades_marks_actions_verbs_and_objects_by_name(charades, tmp_path):
    found = charades.mark(timeline_of(), tmp_path / "elsewhere" / "kitchen.mp4")
    assert marks(found) == [
        ("verb", 0, "Open", 0.5, 2),
        ("verb", 1, "close", 2, 5),  # of two actions that overlap; an end past the length of the video is clipped
        ("object", 1, "door", 0.5, 3),
        ("object", 0, "box", 2.5, 5),
        ("action", 1, "Opening a DOOR", 0.5, 2),
        ("action", 0, "closing a box", 2.5, 5),
    ]
    assert all(type(one) is Segment and one.score is None for one in found.truth)
    assert found.notes == ("Annotated, but no class of the model: Closing a door.",)


def test_a_video_without_annotations(charades):
    assert charades.mark(timeline_of(), "http://a.example/other.mp4").notes == ()
    for source, name in ((0, "video0"), ("http://me:secret@a.example/b.mp4", "b.mp4")):
        (note,) = charades.mark(timeline_of(), source).notes
        assert note.endswith(f"T.csv has nothing about {name}.")


def test_a_list_marks_every_head_with_a_class_of_that_name(tmp_path):
    (tmp_path / "day").mkdir()
    (tmp_path / "day" / "a.mp4").write_bytes(b"x")
    lines = ["path,label,start,end", "day/a.mp4,waving,1,2", "day/a.mp4,box,3,", "day/a.mp4,door,4.5,"]
    (tmp_path / "list.csv").write_text("\n".join([*lines, "gone/b.mp4,open,,"]) + "\n")
    truth = Truth(tmp_path / "list.csv")
    found = truth.mark(timeline_of(), tmp_path / "day" / ".." / "day" / "a.mp4")
    # What goes on to the end of the video ends with the timeline; what begins after it is nowhere.
    assert marks(found) == [("object", 0, "box", 3, 4.0), ("action", 2, "waving", 1, 2)]
    # Moved with its folder, or at an address; but never another video of the same name.
    assert marks(truth.mark(timeline_of(), tmp_path / "new" / "gone" / "b.mp4")) == [("verb", 0, "Open", 0, 4.0)]
    assert marks(truth.mark(timeline_of(), "https://a.example/v/b.mp4")) == [("verb", 0, "Open", 0, 4.0)]
    for other in (tmp_path / "b.mp4", tmp_path / "new" / "day" / "a.mp4"):
        assert truth.mark(timeline_of(), other).truth == ()


def test_other_files_say_what_is_expected(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("video,action\na,b\n")
    with pytest.raises(DataError, match=r"t\.csv:1: annotations have the columns id, .*Received: 'video,action'"):
        Truth(path)
    with pytest.raises(DataError, match="cannot be read as a CSV"):
        Truth(tmp_path / "none.csv")
    path.write_text("id,subject,actions,length\na,S,,5\n")
    with pytest.raises(DataError, match="no class files"):
        Truth(path)
