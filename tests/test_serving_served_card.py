"""The card beside an export, as a client reads it."""

import json
import shutil

import pytest
from serving_case import VERBS

from kerasfast.serving.served_card import Card, ServedHead
from kerasfast.train.operating.points import HeadPoint, OperatingPoints


@pytest.fixture
def extra(served, tmp_path):
    """A copy of assets.extra, to change."""
    return shutil.copytree(served[1] / "1" / "assets.extra", tmp_path / "extra")


def test_a_card_is_found_where_an_export_or_its_copy_is_named(served, extra):
    model, folder = served
    expected = Card.read(folder / "1")
    assert (expected.name, expected.clip, expected.crop_size) == ("tiny", model.clip, 64)
    verb, action = expected.heads["verb"], expected.heads["action"]
    assert (verb.classes, verb.activation, verb.labels) == (4, "sigmoid", VERBS)
    assert (action.classes, action.activation, action.labels) == (7, "softmax", None)
    assert expected.points is None and expected.sampling == "clip"
    for path in (folder, extra, extra / "card.json", folder / "1" / "assets.extra"):
        assert Card.read(path) == expected


def test_the_highest_version_or_the_one_asked_for(served, tmp_path):
    for version, name in (("2", "old"), ("10", "new")):
        copy = shutil.copytree(served[1] / "1" / "assets.extra", tmp_path / version / "assets.extra")
        card = json.loads((copy / "card.json").read_text())
        (copy / "card.json").write_text(json.dumps({**card, "model": name}))
    assert Card.read(tmp_path).name == "new"
    assert Card.read(tmp_path, version=2).name == "old"
    with pytest.raises(ValueError, match=r"card must be an exported folder"):
        Card.read(tmp_path, version=3)


def test_damage_is_named(extra):
    card = json.loads((extra / "card.json").read_text())
    (extra / "labels" / "verb.txt").write_text("one\ntwo\n")
    with pytest.raises(ValueError, match=r"card.json is no card.*head 'verb' has 4 classes and 2 names"):
        Card.read(extra)
    shutil.rmtree(extra / "labels")
    with pytest.raises(ValueError, match=r"is no card.*verb.txt.*Copy assets.extra .*labels included"):
        Card.read(extra)
    for damaged in ("{", "[]", json.dumps({**card, "clip": {"frames": 0, "stride": 1}}), json.dumps({"model": "a"})):
        (extra / "card.json").write_text(damaged)
        with pytest.raises(ValueError, match=r"card.json is no card of an export"):
            Card.read(extra)


def test_who_says_how_views_are_merged(extra):
    card = json.loads((extra / "card.json").read_text())
    for head in card["heads"].values():
        head.pop("merge", None)
    (extra / "card.json").write_text(json.dumps(card))
    assert Card.read(extra).rules(None, 30) == {"verb": "max", "action": "mean"}
    assert Card.read(extra).rules("mean", 30) == {"verb": "mean", "action": "mean"}
    assert Card.read(extra).rules({"verb": "mean", "action": "max"}, 30) == {"verb": "mean", "action": "max"}
    card["heads"]["action"]["merge"] = "max"
    (extra / "card.json").write_text(json.dumps(card))
    assert Card.read(extra).rules(None, 30) == {"verb": "max", "action": "max"}
    points = {"verb": HeadPoint("sigmoid", (0.5,) * 4), "action": HeadPoint("softmax", (0.0,) * 7)}
    OperatingPoints(points, "", {"clips": 3, "crops": 1, "merge": "mean"}, {}).save(extra)
    (extra / "card.json").write_text(json.dumps({**card, "operating_points": "operating_points.json"}))
    assert Card.read(extra).rules(None, 30) == {"verb": "mean", "action": "max"}  # what the export wrote comes first
    del points["verb"]
    OperatingPoints(points, "", {"clips": 3, "crops": 1, "merge": {"action": "mean"}}, {}).save(extra)
    assert Card.read(extra).rules(None, 30) == {"verb": "max", "action": "max"}  # points of other heads say nothing
    for merge, message in (("sum", r"merge must be 'max' or 'mean'"), ({"verb": "max"}, r"merge must name the heads")):
        with pytest.raises(ValueError, match=message):
            Card.read(extra).rules(merge, 30)


def test_a_head_of_unknown_activation_is_not_merged_by_guess(served):
    card = Card("m", served[0].clip, 64, {"a": ServedHead(3)})
    assert card.rules(None, 1) == {"a": "max"}
    with pytest.raises(ValueError, match=r"nothing says how to merge 2 views"):
        card.rules(None, 2)
