"""Rows of the table of classes."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from report_case import ACTIONS, metrics_of, scored_videos

from kerasfast.explain.report.classes import chosen_classes, class_rows, remarks, stale
from kerasfast.explain.report.read import Evaluation
from kerasfast.train.metrics import chance_average_precision


@pytest.fixture(scope="module", params=["sklearn", "charades"])
def evaluation(request):
    scored = scored_videos()
    return Evaluation(Path("metrics.json"), metrics_of(scored, rule=request.param), scored)


def test_rows_hold_the_figures_of_the_file_and_what_chance_is(evaluation):
    rows = class_rows(evaluation, "action")
    assert {row.name: row.ap for row in rows if row.ap is not None} == evaluation.heads["action"]["ap"]
    assert [row.name for row in rows if row.ap is None] == ["never there"] == [rows[-1].name]
    assert np.mean([row.ap for row in rows[:-1]]) == pytest.approx(evaluation.heads["action"]["map"])
    assert np.mean([row.chance for row in rows[:-1]]) == pytest.approx(evaluation.heads["action"]["chance"])
    assert [row.ap for row in rows[:-1]] == sorted((row.ap for row in rows[:-1]), reverse=True)
    first = rows[0]
    positives = evaluation.scored.labels["action"][:, ACTIONS.index(first.name)].sum()
    assert (first.positives, first.prevalence) == (positives, positives / 60)
    assert first.chance == pytest.approx(float(chance_average_precision(np.array([positives]), 60)[0]))
    assert first.times_chance == pytest.approx(first.ap / first.chance)


def test_without_scores_the_rows_hold_what_the_file_says(evaluation):
    rows = class_rows(dataclasses.replace(evaluation, scored=None), "action")
    assert [row.name for row in rows] == [row.name for row in class_rows(evaluation, "action")]
    assert {row.chance for row in rows} == {row.positives for row in rows} == {None}


def test_scores_of_another_evaluation_are_noticed(evaluation):
    def why(**changes):
        return stale(dataclasses.replace(evaluation, scored=dataclasses.replace(scored_videos(), **changes)))

    assert stale(evaluation) is stale(dataclasses.replace(evaluation, scored=None)) is None
    scored, other = scored_videos(), scored_videos(seed=1)
    assert "scores of head 'verb' give an mAP of" in why(scores=other.scores)
    verb = {"verb": scored.classes["verb"]}
    assert why(classes=verb, scores={"verb": scored.scores["verb"]}) == "it has no scores of head 'object'"
    broken = scored.scores | {"verb": np.full_like(scored.scores["verb"], np.nan)}
    assert "scores of head 'verb' cannot be ranked" in why(scores=broken)


def test_remarks_say_what_is_in_no_mean():
    values = {"skipped": ["a"], "constant": [], "silent": list("abcdefgh")}
    skipped, silent = remarks(values, "verb")
    assert skipped == "verb: 1 class without a video that has it, so in no mean: a."
    assert silent == "verb: 8 classes for which the head never says yes: a, b, c, d, e, f and 2 more."


def test_chosen_classes_are_best_median_worst_and_most_frequent(evaluation):
    rows = class_rows(evaluation, "action")
    scored = rows[:-1]
    names = [row.name for row in chosen_classes(rows)]
    assert names[0] == scored[0].name and scored[3].name in names and scored[-1].name in names
    assert max(scored, key=lambda row: row.positives).name in names
    assert chosen_classes([rows[-1]]) == []
    assert chosen_classes(rows, least=10**6)[0].name == scored[0].name
