"""Which mistakes a report lists."""

import dataclasses

import numpy as np
from report_case import ACTIONS, scored_videos, single_label_videos

from kerasfast.explain.report.mistakes import FALSE_ALARM, MISS, surest_mistakes


def test_the_surest_false_alarms_and_misses_come_first():
    scored = scored_videos()
    labels, scores = scored.labels["action"].astype(bool), scored.scores["action"]
    found = surest_mistakes(scored, "action", softmax=False, limit=5)
    alarms, misses = found[:5], found[5:]
    assert [one.kind for one in found] == [FALSE_ALARM] * 5 + [MISS] * 5
    assert [one.wrong.score for one in alarms] == sorted(np.where(labels, 0, scores).max(axis=1))[::-1][:5]
    assert [one.wrong.score for one in misses] == sorted(np.where(labels, scores, 1).min(axis=1))[:5]
    for one in found:
        c = ACTIONS.index(one.wrong.name)
        assert labels[one.video, c] == (one.kind == MISS) and scored.ids[one.video] == one.id
        assert scores[one.video, c] == one.wrong.score
        assert one.wrong.rank == 1 + (scores[one.video] > one.wrong.score).sum()
        assert one.said.score == scores[one.video].max() and one.said.rank == 1
        assert {true.name for true in one.true} == {ACTIONS[c] for c in np.flatnonzero(labels[one.video])}
        assert [true.rank for true in one.true] == sorted(true.rank for true in one.true)
    assert len({one.video for one in alarms}) == len({one.video for one in misses}) == 5


def test_a_softmax_head_has_only_what_it_says_wrongly():
    scored = single_label_videos()
    found = surest_mistakes(scored, "action", softmax=True, limit=100)
    labels, scores = scored.labels["action"], scored.scores["action"]
    wrong = labels.argmax(axis=1) != scores.argmax(axis=1)
    assert {one.video for one in found} == set(np.flatnonzero(wrong)) and {one.kind for one in found} == {FALSE_ALARM}
    assert all(one.wrong == one.said for one in found)


def test_a_video_without_a_label_is_no_false_alarm():
    scored = scored_videos()
    labels = {**scored.labels, "action": scored.labels["action"].copy()}
    labels["action"][0] = 0
    scores = {**scored.scores, "action": scored.scores["action"].copy()}
    scores["action"][0] = 1.0
    found = surest_mistakes(dataclasses.replace(scored, labels=labels, scores=scores), "action", softmax=False)
    assert found and 0 not in {one.video for one in found}


def test_a_head_without_fault_has_no_mistakes():
    scored = single_label_videos()
    right = dataclasses.replace(scored, scores={"action": scored.labels["action"].astype(float)})
    assert surest_mistakes(right, "action", softmax=True) == []
