"""What a timeline says of itself."""

import dataclasses

import numpy as np
import pytest

from kerasfast.explain.timelines.timeline import Timeline


def timeline(scores, **fields):
    windows = len(scores)
    return Timeline(
        source="a.mp4",
        model="nano",
        starts=np.arange(windows) * 2.0,
        ends=np.arange(windows) * 2.0 + 2.5,
        scores={"verb": np.asarray(scores, np.float32).reshape(windows, 3)},
        labels={"verb": ("hold", "put", "turn")},
        thresholds={"verb": np.full(3, 0.5)},
        **fields,
    )


def test_its_length_is_where_the_last_window_ends():
    assert timeline([[0, 0, 0]] * 4).duration_seconds == 8.5
    assert timeline([]).duration_seconds == 0


def test_the_best_classes_are_those_of_any_window():
    found = timeline([[0.1, 0.2, 0.9], [0.8, 0.2, 0.1]]).best(2)["verb"]
    assert [(one.index, one.label) for one in found] == [(2, "turn"), (0, "hold")]
    assert [one.score for one in found] == pytest.approx([0.9, 0.8])
    assert len(timeline([[0, 0, 0]]).best(9)["verb"]) == 3
    assert timeline([]).best() == {"verb": []}


def test_without_decisions_thresholds_say_what_is_seen():
    scores = [[0.1, 0.5, 0.9], [0.3, 0.2, 0.2]]
    assert timeline(scores).sees("verb").tolist() == [[False, True, True], [False] * 3]
    # A head whose thresholds are 0 answers with its highest class, however low.
    highest = dataclasses.replace(timeline(scores), thresholds={"verb": np.zeros(3)})
    assert highest.sees("verb").tolist() == [[False, False, True], [True, False, False]]
    assert not dataclasses.replace(highest, thresholds={}).sees("verb").any()
    assert dataclasses.replace(highest, scores={"verb": np.zeros((0, 3))}).sees("verb").shape == (0, 3)


def test_decisions_go_before_thresholds():
    decided = {"verb": np.array([[True, False, False]])}
    assert timeline([[0.1, 0.5, 0.9]], seen=decided).sees("verb").tolist() == [[True, False, False]]
    assert timeline([[0.1, 0.5, 0.9]], seen={}).sees("verb").tolist() == [[False, True, True]]


def test_equal_scores_come_by_index():
    assert [one.index for one in timeline([[0.5, 0.7, 0.5], [0.7, 0.1, 0.5]]).best()["verb"]] == [0, 1, 2]


def test_what_is_added_later_has_defaults():
    plain = timeline([[0, 0, 0]])
    assert (plain.segments, plain.truth, plain.ended, plain.notes, plain.seen) == ((), (), None, (), None)
    with pytest.raises(TypeError):
        Timeline("a", "b", np.zeros(0), np.zeros(0), {}, {}, {}, (), (), "ended")


@pytest.mark.parametrize(
    ("starts", "ends", "turns"),
    [
        ([0, 1, 2], [1, 2, 3], [1, 2]),
        ([0, 0.5, 1], [1, 1.5, 2], [0.75, 1.25]),
        ([0, 4, 8], [4, 8, 9], [4, 8]),  # the last is padded: half-way between the middles would be 7.25
        ([0, 5], [1, 6], [3]),  # nothing was seen between them
        ([0], [1], []),
    ],
)
def test_when_windows_take_over(starts, ends, turns):
    found = timeline(np.zeros((len(starts), 3)))
    np.testing.assert_allclose(dataclasses.replace(found, starts=starts, ends=ends).turns, turns)
