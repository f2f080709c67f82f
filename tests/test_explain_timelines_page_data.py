"""What a timeline's page is made of: which lanes, and how exact their scores are."""

import base64
import dataclasses
import json

import numpy as np
import pytest
from timeline_case import BAG, DOOR, LABELS, long_timeline, small_timeline, softmax_timeline

from kerasfast.explain.timelines import page_data as module
from kerasfast.explain.timelines.page_data import label_of, page_data, ramps, threshold_of
from kerasfast.explain.timelines.timeline import Segment


def decoded(data):
    """Scores of the page's lanes (lanes, steps) as its script computes them, and whether they are seen."""
    lanes = [lane for lane in data["lanes"] if lane["scored"]]
    values = np.frombuffer(base64.b64decode(data["scores"]), np.uint8).reshape(len(lanes), len(data["starts"]))
    bits = np.frombuffer(base64.b64decode(data["decisions"]), np.uint8).reshape(len(lanes), -1)
    seen = np.unpackbits(bits, axis=1, bitorder="little")[:, : values.shape[1]].astype(bool)
    return values / 255 * np.array([lane["peak"] for lane in lanes])[:, None], seen


def test_lanes_stand_by_head_then_by_peak():
    lanes = page_data(small_timeline())["lanes"]
    assert [lane["head"] for lane in lanes] == ["action"] * 10 + ["verb"] * 3 + ["object"] * 2
    assert [lane["label"] for lane in lanes[:3]] == ["Opening a door", "Lifting a bag", "Doing thing 7"]
    for head in LABELS:
        peaks = [lane["peak"] for lane in lanes if lane["head"] == head]
        assert peaks == sorted(peaks, reverse=True)


def test_segments_name_their_lanes():
    data = page_data(small_timeline())
    labels = [lane["label"] for lane in data["lanes"]]
    seen = [(labels[lane], start, end, score) for lane, start, end, score in data["seen"]]
    assert seen == [("Opening a door", 1, 3, 0.9), ("open", 1, 3, 0.8), ("Lifting a bag", 2, 4, 0.7)]
    assert [(labels[lane], *rest) for lane, *rest in data["truth"]] == [("Opening a door", 1.2, 2.8, None)]
    assert data["duration"] == 4 and data["omitted"] == 0
    assert json.loads(json.dumps(data, allow_nan=False)) == data


def test_scores_come_back():
    timeline = long_timeline(seconds=300)
    data = page_data(timeline)
    scores, seen = decoded(data)
    order = [timeline.labels["action"].index(lane["label"]) for lane in data["lanes"]]
    expected = timeline.scores["action"][:, order].T
    assert len(order) == 157 and data["group"] == 1
    np.testing.assert_allclose(scores, expected, atol=0.0021)  # half of a step of 1/255
    # Rounding moves no score over its threshold.
    np.testing.assert_array_equal(seen, expected >= 0.5)


@pytest.mark.parametrize(
    ("scores", "threshold", "seen"),
    [
        ([0.2, 0.4, 0.4999999, 0.5], 0.5, [False, False, False, True]),
        ([0.1, 0.5, 0.50001, 0.9], 0.50001, [False, False, True, True]),
        ([0.001, 0.002, 0.003, 0.0021], 0.002, [False, True, True, True]),
        ([0.0, 0.1, 0.2, 0.3], 0.0, [True] * 4),  # the one class is the highest
        ([0.0, 0.0, 0.0, 0.0], 0.5, [False] * 4),
        ([0.2, 0.9, 0.1, 1.0], np.inf, [False] * 4),
    ],
)
def test_a_score_stays_on_its_side_of_the_threshold(scores, threshold, seen):
    timeline = small_timeline(
        starts=np.arange(4.0),
        ends=np.arange(4.0) + 1,
        scores={"action": np.array(scores)[:, None]},
        thresholds={"action": np.array([threshold])},
        segments=(),
        truth=(),
    )
    data = page_data(timeline)
    assert decoded(data)[1].tolist() == [seen]
    assert data["lanes"][0]["threshold"] == (threshold if 0 < threshold < np.inf else None)


def test_a_softmax_head_sees_what_it_answers():
    timeline = softmax_timeline()
    data = page_data(timeline)
    order = [timeline.labels["action"].index(lane["label"]) for lane in data["lanes"]]
    assert decoded(data)[1].tolist() == timeline.seen["action"][:, order].T.tolist()
    assert [lane["threshold"] for lane in data["lanes"]] == [None] * 3, (
        "an answer of the highest class has no threshold"
    )
    # Without its decisions the highest of each window.
    highest = decoded(page_data(softmax_timeline(seen=None)))[1]
    assert highest.T.tolist() == np.eye(3, dtype=bool)[[order.index(k) for k in (0, 1, 1, 2)]].tolist()


def test_no_action_is_not_seen():
    """A decision may leave out what reaches its threshold."""
    nothing = {head: np.zeros((7, len(names)), bool) for head, names in LABELS.items()}
    assert decoded(page_data(small_timeline()))[1].any()
    assert not decoded(page_data(small_timeline(seen=nothing)))[1].any()


def test_a_group_shows_what_any_of_its_windows_sees(monkeypatch):
    monkeypatch.setattr(module, "_STEPS", 2)
    data = page_data(softmax_timeline())
    seen = dict(zip([lane["label"] for lane in data["lanes"]], decoded(data)[1].tolist(), strict=True))
    assert data["group"] == 2
    assert seen == {
        "Lifting a bag": [True, False],
        "Opening a door": [True, True],
        "Holding a cup": [False, False],
    }


def test_classes_that_never_score_are_left_out():
    scores = np.full((4, 30), 0.001, np.float32)
    scores[2, 5], scores[1, 29] = 0.5, 0.004
    truth = (Segment("action", 20, "class 20", 0.0, 1.0),)
    timeline = small_timeline(
        starts=np.arange(4.0), ends=np.arange(4.0) + 1, scores={"action": scores}, labels={}, thresholds={},
        segments=(), truth=truth,
    )  # fmt: skip
    data = page_data(timeline)
    labels = [lane["label"] for lane in data["lanes"]]
    # The ten highest of a head whatever their scores, and what is annotated.
    assert labels[:2] == ["class 5", "class 29"] and "class 20" in labels and len(labels) == 11
    assert data["heads"] == [{"name": "action", "classes": 30, "leftOut": 19, "leftOutPeak": 0.001}]


def test_two_hours_fit():
    timeline = long_timeline()
    data = page_data(timeline)
    assert len(data["lanes"]) == 157 and len(data["starts"]) == 7200
    assert len(json.dumps(data)) < 2.4e6


def test_a_day_fits():
    """More windows than the page has room for: groups show their highest score, lanes of the lowest scores give way."""
    timeline = long_timeline(seconds=86_400, classes=200)
    data = page_data(timeline)
    assert data["group"] == 9 and len(data["starts"]) == 9600
    assert (data["starts"][1], data["ends"][0], data["ends"][-1]) == (9, 10, 86_401)
    assert len(data["lanes"]) == 137 and data["heads"][0]["leftOut"] == 63
    highest = timeline.scores["action"].max(axis=0)
    kept = {lane["label"] for lane in data["lanes"]}
    free = [index for index in range(200) if index % 10]  # without segments, which keep a lane
    dropped = [index for index in free if timeline.labels["action"][index] not in kept]
    assert max(highest[dropped]) <= min(highest[index] for index in free if index not in dropped)
    first = timeline.labels["action"].index(data["lanes"][0]["label"])
    scores, _ = decoded(data)
    np.testing.assert_allclose(scores[0], timeline.scores["action"][:, first].reshape(-1, 9).max(axis=1), atol=0.0021)
    assert len(data["seen"]) == 10_000 and data["omitted"] == len(timeline.segments) - 10_000
    assert len(json.dumps(data)) < 2.9e6


def test_lanes_give_way_where_names_fill_the_page(monkeypatch):
    """What is annotated and seen comes first, then the highest of each head; segments go with their lane."""
    monkeypatch.setattr(module, "_LANE_BYTES", 500)  # four or five lanes of about 110
    truth = tuple(Segment("action", 100 + number, f"unknown {number}", 0.0, 1.0) for number in range(4))
    data = page_data(small_timeline(truth=truth))
    labels = [lane["label"] for lane in data["lanes"]]
    assert 4 <= len(labels) < 7 and {"Opening a door", "unknown 0"} <= set(labels)
    assert data["omitted"] == 7 - len(data["seen"]) - len(data["truth"]) > 0
    assert all(row[0] < len(labels) for row in (*data["seen"], *data["truth"]))


def test_the_segments_of_the_highest_scores_are_kept(monkeypatch):
    monkeypatch.setattr(module, "_SEGMENTS", 2)
    data = page_data(small_timeline())
    assert [score for *_, score in data["seen"]] == [0.9, 0.8] and data["omitted"] == 1


def test_annotations_of_a_class_that_the_model_does_not_know():
    timeline = small_timeline(truth=(Segment("mood", 3, "happy", 0.5, 9.0), Segment("action", 40, "Flying", 1.0, 2.0)))
    data = page_data(timeline)
    unscored = [(lane["head"], lane["label"]) for lane in data["lanes"] if not lane["scored"]]
    assert unscored == [("action", "Flying"), ("mood", "happy")]
    assert data["duration"] == 9
    assert {data["lanes"][lane]["label"] for lane, *_ in data["truth"]} == {"happy", "Flying"}


def test_no_window():
    empty = {head: np.zeros((0, len(names)), np.float32) for head, names in LABELS.items()}
    nothing = np.zeros(0)
    data = page_data(small_timeline(starts=nothing, ends=nothing, scores=empty, segments=(), truth=()))
    assert (data["duration"], data["starts"], data["scores"]) == (0, [], "")
    assert {lane["peak"] for lane in data["lanes"]} == {0}


def test_what_does_not_fit_together_is_refused():
    timeline = small_timeline()
    bad = {
        "start and an end": {"ends": timeline.ends[:-1]},
        r"must be \(7, classes\)": {"scores": {"action": np.zeros((6, 10), np.float32)}},
        "must be finite": {"scores": {"action": np.full((7, 10), np.nan, np.float32)}},
        r"must be \(7, 10\), as its scores": {"seen": {"action": np.zeros((7, 9), bool)}},
        "needs a threshold each": {"thresholds": {"action": np.zeros(9)}},
    }
    for message, fields in bad.items():
        with pytest.raises(ValueError, match=message):
            page_data(dataclasses.replace(timeline, **fields))


def test_names_and_thresholds():
    timeline = small_timeline()
    assert label_of(timeline, "action", DOOR) == "Opening a door" and label_of(timeline, "action", 99) == "class 99"
    assert threshold_of(timeline, "action", BAG) == 0.5 and threshold_of(timeline, "mood", 0) == np.inf
    assert threshold_of(softmax_timeline(), "action", 0) == np.inf


def test_ramps_go_from_the_page_to_the_text():
    """Perceived lightness changes in equal steps, and a high score stands out from the page in both schemes."""

    def lightness(colour):
        channels = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return 116 * np.cbrt(linear @ [0.2126, 0.7152, 0.0722]) - 16

    light, dark = (np.array([lightness(colour) for colour in ramps()[scheme]]) for scheme in ("light", "dark"))
    assert light[0] > 85 and light[-1] < 20 and dark[0] < 20 and dark[-1] > 85
    steps = np.diff(dark)
    assert steps.min() > 0 and steps.max() < 1.6 * steps.mean()
