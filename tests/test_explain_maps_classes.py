"""Heads and classes by name, and what is said where nothing or too much matches."""

import pytest

from kerasfast.explain.maps.classes import find_class, find_head
from kerasfast.models.heads import Head

LABELS = (
    "Opening a door",
    "Closing a door",
    "Rolling a disc upwards",
    "Rolling a disc downwards",
    "Rolling a disc",
    "7",
)
NAMED = Head(len(LABELS), labels=LABELS)
NUMBERED = Head(157)


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        ("Opening a door", 0),
        ("  opening   A DOOR ", 0),
        ("rolling a disc", 4),  # the whole name of one, and a part of two others
        ("downwards", 3),
        (1, 1),
        ("1", 1),
        ("7", 5),  # a name that looks like a number is a name
    ],
)
def test_a_class_by_name_part_or_number(wanted, index):
    assert find_class("action", NAMED, wanted) == index


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("openning a dor", "Did you mean 'Opening a door'"),
        ("closes", "Did you mean 'Closing a door'"),  # one word of it is near
        ("juggling", "There are 6 classes: 'Opening a door', 'Closing a door', 'Rolling"),
        ("a door", r"2 classes of 'action' match 'a door': 'Opening a door' \(0\), 'Closing a door' \(1\)\. Give one"),
        ("", "6 classes of 'action' match ''"),
        ("6", "have the numbers 0 to 5. Received: 6"),
        (-1, "have the numbers 0 to 5. Received: -1"),
    ],
)
def test_what_matches_nothing_or_several_is_said(wanted, message):
    with pytest.raises(ValueError, match=message):
        find_class("action", NAMED, wanted)


def test_long_lists_are_cut():
    many = Head(40, labels=tuple(f"Lifting thing {number}" for number in range(40)))
    with pytest.raises(ValueError, match=r"40 classes .*'Lifting thing 7' \(7\) and 32 more"):
        find_class("action", many, "lifting")


def test_a_head_without_names_has_numbers():
    assert find_class("action", NUMBERED, "156") == 156
    with pytest.raises(ValueError, match=r"no class names.*'door'\. Give a number from 0 to 156"):
        find_class("action", NUMBERED, "door")


def test_the_head_that_is_meant():
    heads = {"verb": Head(8), "action": Head(40)}
    assert find_head(heads) == "action"
    assert find_head({"scene": Head(3)}) == "scene"
    assert find_head(heads, "verb") == "verb"
    with pytest.raises(ValueError, match=r"no head 'verbs'; its heads are verb, action\. Did you mean 'verb'"):
        find_head(heads, "verbs")
    with pytest.raises(ValueError, match=r"no head 'action'; its heads are verb, object\. Give one"):
        find_head({"verb": Head(8), "object": Head(6)})
    with pytest.raises(ValueError, match="features_only"):
        find_head({})
