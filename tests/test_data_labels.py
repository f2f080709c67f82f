import json

import numpy as np
import pytest
from conftest import SHARED, TINY_CLASSES

from kerasfast.data.errors import DataError
from kerasfast.data.labels import LabelSpace, read_charades_classes
from kerasfast.models.heads import Head, as_heads


@pytest.fixture
def folder(tmp_path):
    for name, lines in TINY_CLASSES.items():
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    return tmp_path


def test_reads_names_and_mapping(folder):
    labels = read_charades_classes(folder)
    assert labels.sizes == {"verb": 3, "object": 4, "action": 5}
    assert list(labels.heads) == ["verb", "object", "action"]
    assert labels.heads["action"][1] == "Putting a bag somewhere"
    assert labels.implied == {"verb": (0, 1, 0, 2, 2), "object": (1, 1, 2, 0, 3)}
    assert labels.annotated == ("action",)
    assert labels == read_charades_classes(folder, "Tiny_v1")


def test_targets_hold_what_an_action_implies(folder):
    targets = read_charades_classes(folder).targets([3, 0, 3])
    assert targets["action"].tolist() == [1, 0, 0, 1, 0]
    assert targets["verb"].tolist() == [1, 0, 1]
    assert targets["object"].tolist() == [1, 1, 0, 0]
    assert all(target.dtype == np.float32 for target in targets.values())
    assert not any(target.any() for target in read_charades_classes(folder).targets([]).values())


def test_targets_refuse_an_unknown_action(folder):
    with pytest.raises(ValueError, match=r"index below 5. Received: 5"):
        read_charades_classes(folder).targets([5])


def test_survives_json(folder):
    labels = read_charades_classes(folder)
    assert LabelSpace.from_dict(json.loads(json.dumps(labels.to_dict()))) == labels


@pytest.mark.parametrize(
    ("file", "line", "text", "message"),
    [
        ("Tiny_v1_classes.txt", 2, "c002 Two", r"classes.txt:2: expected 'c001 <name>'. Received: 'c002 Two'"),
        ("Tiny_v1_classes.txt", 2, "c001", r"classes.txt:2: expected"),
        ("Tiny_v1_verbclasses.txt", 1, "o000 hold", r"verbclasses.txt:1: expected 'v000 <name>'"),
        ("Tiny_v1_mapping.txt", 3, "c002 o002", r"mapping.txt:3: expected 'c000 o000 v000'"),
        ("Tiny_v1_mapping.txt", 3, "c002 o009 v000", r"mapping.txt:3: unknown class 'o009'.*o000 to o003"),
        ("Tiny_v1_mapping.txt", 3, "c002 o-1 v000", r"mapping.txt:3: unknown class 'o-1'"),
        ("Tiny_v1_mapping.txt", 3, "c001 o001 v001", r"mapping.txt:3: action c001 is mapped a second time"),
        ("Tiny_v1_mapping.txt", 3, "", r"mapping.txt: 1 actions have no line, the first is c002"),
    ],
)
def test_a_wrong_line_is_named(folder, file, line, text, message):
    lines = list(TINY_CLASSES[file])
    lines[line - 1] = text
    (folder / file).write_text("\n".join(lines))
    with pytest.raises(DataError, match=message):
        read_charades_classes(folder)


def test_missing_files_are_named(folder, tmp_path):
    (folder / "Tiny_v1_verbclasses.txt").unlink()
    with pytest.raises(DataError, match=r"Tiny_v1_verbclasses.txt: cannot be read"):
        read_charades_classes(folder)
    (folder / "Other_mapping.txt").write_text("")
    with pytest.raises(DataError, match=r"class files of 2 datasets \(Other, Tiny_v1\)"):
        read_charades_classes(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no class files"):
        read_charades_classes(tmp_path / "empty")
    with pytest.raises(DataError, match="no such folder"):
        read_charades_classes(tmp_path / "nowhere")


def test_an_empty_file_and_a_binary_file(folder):
    (folder / "Tiny_v1_verbclasses.txt").write_text("\n\n")
    with pytest.raises(DataError, match=r"verbclasses.txt: holds no class"):
        read_charades_classes(folder)
    (folder / "Tiny_v1_verbclasses.txt").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(DataError, match=r"verbclasses.txt: cannot be read as text"):
        read_charades_classes(folder)


VERB_NOUN = LabelSpace({"verb": ("open", "close"), "noun": ("door", "box", "bag")}, {"verb": "softmax"})


def test_heads_that_are_annotated_one_by_one():
    assert VERB_NOUN.annotated == ("verb", "noun")
    assert VERB_NOUN.labels == 5
    assert VERB_NOUN.activations == {"verb": "softmax", "noun": "sigmoid"}
    assert [VERB_NOUN.label("verb", "close"), VERB_NOUN.label("noun", "door"), VERB_NOUN.label("noun", "bag")] == [
        1,
        2,
        4,
    ]
    assert {head: table.tolist() for head, table in VERB_NOUN.classes.items()} == {
        "verb": [0, 1, -1, -1, -1],
        "noun": [-1, -1, 0, 1, 2],
    }
    targets = VERB_NOUN.targets([1, 2, 4])
    assert {head: target.tolist() for head, target in targets.items()} == {"verb": [0, 1], "noun": [1, 0, 1]}
    with pytest.raises(ValueError, match=r"index below 5. Received: 5"):
        VERB_NOUN.targets([5])
    with pytest.raises(ValueError, match=r"classes of \('verb', 'noun'\). Received: head 'action'"):
        VERB_NOUN.label("action", "open")
    with pytest.raises(ValueError, match="'wall' is none of the 3 classes of 'noun'"):
        VERB_NOUN.label("noun", "wall")


def test_any_label_space_survives_json(folder):
    charades = read_charades_classes(folder)
    implied = LabelSpace({"kind": ("a", "b"), "action": ("c", "d", "e")}, {"action": "softmax"}, {"kind": (0, 1, 1)})
    for labels in (VERB_NOUN, implied, charades):
        assert LabelSpace.from_dict(json.loads(json.dumps(labels.to_dict()))) == labels
    assert implied.targets([2])["kind"].tolist() == [0, 1]


def test_heads_of_a_model():
    heads = as_heads(VERB_NOUN.head_fields())
    assert heads == {"verb": Head(2, "softmax", ("open", "close")), "noun": Head(3, "sigmoid", ("door", "box", "bag"))}


def test_a_label_space_is_consistent():
    heads = {"verb": ("a",), "object": ("b",), "action": ("c", "d")}
    with pytest.raises(
        ValueError, match=r"implied\['verb'\] must hold an index below 1 for each of the 2 classes of 'act"
    ):
        LabelSpace.charades(heads, (0,), (0, 0))
    with pytest.raises(ValueError, match=r"implied\['object'\] must hold an index below 1 .* Received: \(0, 1\)"):
        LabelSpace.charades(heads, (0, 0), (0, 1))
    with pytest.raises(ValueError, match="Charades has the heads"):
        LabelSpace.charades({"action": ("c",)}, (0,), (0,))
    with pytest.raises(ValueError, match="needs a head, and a class for each"):
        LabelSpace({"action": ()})
    with pytest.raises(ValueError, match=r"activations must be of the heads .* Received: 'act'"):
        LabelSpace({"action": ("a",)}, {"act": "softmax"})
    with pytest.raises(ValueError, match=r"activation of 'action' must be one of .* Received: 'relu'"):
        LabelSpace({"action": ("a",)}, {"action": "relu"})
    with pytest.raises(ValueError, match=r"one head is annotated and implies them. Received: implied \('verb',\)"):
        LabelSpace(heads, implied={"verb": (0, 0)})


@pytest.mark.skipif(not (SHARED / "charades").is_dir(), reason="the official Charades files are not here")
def test_official_charades():
    labels = read_charades_classes(SHARED / "charades")
    assert labels.sizes == {"verb": 33, "object": 38, "action": 157}
    assert labels.heads["object"][0] == "None"
    pairs = set(zip(labels.implied["object"], labels.implied["verb"], strict=True))
    assert len(pairs) == 154
    assert sum(item == 0 for item in labels.implied["object"]) == 7
