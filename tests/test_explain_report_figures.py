"""Plots as pictures of a page: well-formed, of the size that they say, with every class in them."""

import base64
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from report_case import ACTIONS

from kerasfast.explain.report import figures
from kerasfast.explain.report.classes import ClassRow
from kerasfast.train.operating.calibration import reliability
from kerasfast.train.scoring.curves import precision_recall

NAMES = [f"class {i}" for i in range(100)]


def content(picture):
    """The SVG, which has to parse, and its texts."""
    head, _, code = picture.address.partition(",")
    assert head == "data:image/svg+xml;base64"
    root = ET.fromstring(base64.b64decode(code))
    inches = [float(root.get(side).removesuffix("pt")) / 72 for side in ("width", "height")]
    assert (picture.width, picture.height) == pytest.approx([96 * side for side in inches], abs=1)
    texts = ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]
    return root, texts


def rows(count):
    return [ClassRow(NAMES[i], 1 - i / count, 3 + i, 0.1 + i / 1000, 0.1, 5.0) for i in range(count)]


def curve():
    return precision_recall(np.array([1, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.1]))


def test_the_overview_has_every_head():
    heads = {
        "verb": {"map": 0.5, "chance": 0.1, "interval": {"low": 0.4, "high": 0.6}},
        "x": {"map": 0.25, "chance": 0.2},
    }
    picture = figures.map_intervals(heads)
    assert {"verb", "x", "mAP", "chance"} <= set(content(picture)[1])
    assert picture.alt == "verb: mAP 0.500, chance 0.100; x: mAP 0.250, chance 0.200"
    assert (
        figures.map_intervals(heads | {"interval": {"map": 0.1, "chance": 0.1, "interval": None}}).height
        > picture.height
    )


def test_training_curves_show_what_the_history_has():
    plain = {"epoch": np.array([1.0, 2]), "loss": np.array([2.0, 1]), "learning_rate": np.array([0.1, 0.2])}
    assert [picture.alt for picture in figures.training(plain)] == [
        "Loss over 2 epochs, from 2.000 to 1.000",
        "Learning rate, up to 0.2",
    ]
    measured = plain | {"verb_loss": plain["loss"], "val_loss": plain["loss"], "val_map": np.array([np.nan, 0.3])}
    loss, validation, _ = figures.training(measured | {"val_verb_clip_map": np.array([0.2, 0.3])})
    assert {"sum of the heads", "sum of the heads, validation", "verb"} <= set(content(loss)[1])
    assert {"mean of the heads", "verb"} <= set(content(validation)[1])
    assert validation.alt == "Validation mAP, up to 0.300"
    diverged = figures.training({"epoch": np.array([1.0]), "loss": np.array([np.nan])})
    assert "nan" in diverged[0].alt


def test_few_classes_have_bars_with_names_and_many_a_curve():
    bars = figures.class_ap(rows(40), "action")
    assert set(NAMES[:40]) <= set(content(bars)[1])
    curved = figures.class_ap(rows(100), "action")
    assert curved.height < bars.height and not set(NAMES) & set(content(curved)[1])
    assert curved.alt == "AP of 100 classes of action, from 1.000 to 0.010"
    assert figures.class_ap([ClassRow("never", None)], "action").alt == "No class of action has a video"
    assert content(figures.class_ap([ClassRow("a", 0.5)], "x"))[1].count("a") == 1


def test_frequency_needs_counts_and_classes_enough():
    assert figures.ap_by_frequency([ClassRow(name, 0.5) for name in NAMES], "x") is None
    assert figures.ap_by_frequency(rows(9), "x") is None
    assert "correlation -0.9" in figures.ap_by_frequency(rows(50), "x").alt
    content(figures.ap_by_frequency([ClassRow("a", 0.5, 3, 0.1, 0.1, 5.0)] * 10, "x"))


def test_hostile_names_are_text_of_a_picture():
    """Names with the marks of formulas, of HTML and in other scripts draw without a warning, and stay text."""
    curves = dict.fromkeys(ACTIONS, curve())
    pictures = [
        figures.precision_recall_plot(curve(), curves, "action"),
        figures.confusion_plot(np.eye(len(ACTIONS)), ACTIONS, "action"),
        figures.class_ap([ClassRow(name, 0.5, 3, 0.1, 0.1, 5.0) for name in ACTIONS], "action"),
        figures.pair_plot(np.full((len(ACTIONS), 2), 0.5), ACTIONS, ACTIONS[:2]),
    ]
    for picture in pictures:
        root, texts = content(picture)
        assert not list(root.iter("{http://www.w3.org/2000/svg}script")) and not list(root.iter("script"))
        assert any("<script>" in text for text in texts)
        assert any(r"$\frac{1}{0}$" in text for text in texts)
        assert any("开门" in text for text in texts)


def test_the_same_figures_give_the_same_picture():
    assert figures.class_ap(rows(5), "a").address == figures.class_ap(rows(5), "a").address


@pytest.mark.parametrize("classes", [1, 5, 40, 100])
def test_a_confusion_matrix_of_any_size(classes):
    matrix = np.eye(classes) * 3.5
    matrix[0, -1] += 1
    picture = figures.confusion_plot(matrix, NAMES[:classes], "verb")
    _, texts = content(picture)
    assert (NAMES[0] in texts) == (classes <= 60)
    assert (
        picture.alt == f"Confusion of {classes} classes of verb; {np.trace(matrix) / matrix.sum():.0%} on the diagonal"
    )


def test_pairs_without_labels_are_empty():
    _, texts = content(figures.pair_plot(np.array([[0.5, np.nan], [1.0, 0.25]]), ["a", "b"], ["c", "d"]))
    assert [text for text in texts if text.endswith("%")] == ["50%", "100%", "25%"]


def test_reliability_and_label_counts():
    one = reliability(np.array([[1, 0], [0, 1]]), np.array([[0.9, 0.1], [0.3, 0.6]]))
    picture = figures.reliability_plot("verb", (one, one))
    assert picture.alt == f"Reliability of verb: ECE {one.error:.3f} before calibration, {one.error:.3f} after"
    assert not [text for text in content(picture)[1] if "$" in text]
    counts = figures.label_counts({"train": [5, 0, 30], "test": [1, 1, 1]}, "verb")
    assert counts.alt == "Videos a class of verb: 30 to 0" and {"train", "test"} <= set(content(counts)[1])
