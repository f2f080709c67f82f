"""The report of heads, and the files that it is written to."""

import csv

import numpy as np
import pytest
from matplotlib import image

from kerasfast.train.metrics import mean_average_precision
from kerasfast.train.scoring.bootstrap import draws, interval, resampled_map
from kerasfast.train.scoring.files import write_files
from kerasfast.train.scoring.report import check_subsets, report_heads, subset_summary, summary
from kerasfast.train.scoring.submission import read_classify, read_localize

NAMES = {"action": ("run", "sit, slowly", "stand"), "kind": ("a", "b", "c", "d", "e", "f")}
IDS = [f"v{i}" for i in range(40)]


def problem():
    generator = np.random.default_rng(0)
    labels = {"action": (generator.random((40, 3)) < 0.3).astype("float32")}
    labels["action"][:, 1] = 0  # a class without positives
    labels["kind"] = np.eye(6, dtype="float32")[np.arange(40) % 6]
    scores = {head: generator.random(values.shape) + 0.3 * values for head, values in labels.items()}
    return labels, scores


@pytest.fixture(scope="module")
def reports():
    labels, scores = problem()
    softmax = {"action": False, "kind": True}
    return report_heads(
        labels, scores, softmax=softmax, rule="sklearn", thresholds={"action": [0.4, 0.5, 0.9]}, resamples=20
    )


def test_metrics_hold_every_figure_of_both_kinds_of_heads(reports):
    labels, scores = problem()
    metrics = summary(reports, NAMES)
    action, kind = metrics["heads"]["action"], metrics["heads"]["kind"]
    expected = mean_average_precision(labels["action"], scores["action"])
    assert (action["map"], action["weighted_map"]) == (expected.map, expected.weighted_map)
    assert action["skipped"] == ["sit, slowly"] and list(action["ap"]) == ["run", "stand"]
    drawn = resampled_map(labels["action"], scores["action"], draws(40, 20))
    assert action["interval"]["low"] == interval(drawn, expected.map).low < action["interval"]["high"]
    true = labels["action"][:, 2] > 0
    assert reports["action"].decisions.recall[2] == ((scores["action"][:, 2] >= 0.9) & true).sum() / true.sum()
    found, truth = scores["kind"].argmax(axis=1), np.arange(40) % 6
    assert kind["top1"] == kind["micro"]["f1"] == (found == truth).mean() < kind["top5"]
    assert kind["class_accuracy"]["b"] == (found[truth == 1] == 1).mean()
    assert sum(sum(row.values()) for row in kind["confusion"].values()) == 40
    assert kind["top1_interval"]["low"] <= kind["top1"] <= kind["top1_interval"]["high"]
    assert "interval" not in kind and "top1" not in action


def test_frames_are_drawn_with_their_video():
    """Copies of whole videos: the draws of frames are those of single rows where all frames of a video agree."""
    labels, scores = problem()
    tripled = [{"action": np.repeat(values["action"][:, None], 3, axis=1)} for values in (labels, scores)]
    options = {"softmax": {"action": False}, "rule": "sklearn", "resamples": 10}
    np.testing.assert_allclose(
        report_heads(*tripled, **options)["action"].draws,
        report_heads({"action": labels["action"]}, {"action": scores["action"]}, **options)["action"].draws,
    )


def test_the_overall_interval_draws_the_same_videos_for_all_heads():
    labels, scores = problem()
    both = [{"verb": values["action"], "action": values["action"]} for values in (labels, scores)]
    softmax = {"verb": False, "action": False}
    metrics = summary(
        report_heads(*both, softmax=softmax, rule="sklearn", resamples=20), dict.fromkeys(softmax, NAMES["action"])
    )
    assert metrics["overall_interval"] == metrics["heads"]["verb"]["interval"]
    assert metrics["overall_map"] == metrics["heads"]["verb"]["map"]


def test_errors_name_the_head():
    labels, scores = problem()
    options = {"softmax": {"action": False}, "rule": "sklearn"}
    with pytest.raises(ValueError, match=r"Head 'action': scores must depend on the row"):
        report_heads(labels, {"action": np.ones((40, 3))}, **options)
    with pytest.raises(ValueError, match=r"thresholds are for the heads action. Received: actoin"):
        report_heads(labels, scores, **options, thresholds={"actoin": 0.5})
    with pytest.raises(ValueError, match=r"Head 'action': thresholds must be one number, or 3"):
        report_heads(labels, scores, **options, thresholds={"action": [0.5]})


def test_subsets_are_of_actions(reports):
    part = subset_summary(reports, [2], NAMES)
    assert part["map"] == reports["action"].result.ap[2] and part["classes"] == ["stand"]


def test_subsets_that_cannot_be_scored_are_refused():
    counts = {"action": [3, 0, 2]}
    check_subsets({"a": [0, 1]}, counts)
    check_subsets({}, {"kind": [1]})
    with pytest.raises(ValueError, match="Subsets are of action classes; the model has the heads kind"):
        check_subsets({"a": [2]}, {"kind": [1, 1, 1]})
    for wrong in ([3], [-1], []):
        with pytest.raises(ValueError, match="Subset 'a' must be indices of action classes below 3"):
            check_subsets({"a": wrong}, counts)
    with pytest.raises(ValueError, match=r"Subset 'a': none of the classes \[1\] has a positive"):
        check_subsets({"a": [1]}, counts)


def test_files_hold_the_tables_and_scores(tmp_path, reports):
    _, scores = problem()
    write_files(tmp_path / "new", reports, NAMES, IDS, scores)
    assert {path.name for path in (tmp_path / "new").iterdir()} == {
        "classes-action.csv",
        "classes-kind.csv",
        "classify-action.txt",
        "confusion-kind.csv",
        "confusion-kind.png",
    }
    with (tmp_path / "new" / "classes-action.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["class", "positives", "ap", "chance", "precision", "recall", "f1", "threshold"]
    assert [row["class"] for row in rows] == list(NAMES["action"])
    assert float(rows[2]["ap"]) == reports["action"].result.ap[2] and float(rows[2]["threshold"]) == 0.9
    assert float(rows[0]["f1"]) == reports["action"].decisions.f1[0]
    assert (rows[1]["positives"], rows[1]["ap"], rows[1]["f1"], rows[1]["threshold"]) == ("0", "", "", "0.5")
    with (tmp_path / "new" / "confusion-kind.csv").open(newline="") as file:
        table = list(csv.reader(file))
    assert table[0] == ["true class", *NAMES["kind"]] and [row[0] for row in table[1:]] == list(NAMES["kind"])
    np.testing.assert_array_equal(np.array(table[1:])[:, 1:].astype(int), reports["kind"].single.confusion)
    np.testing.assert_array_equal(read_classify(tmp_path / "new" / "classify-action.txt", IDS, 3), scores["action"])
    assert image.imread(tmp_path / "new" / "confusion-kind.png")[..., :3].std() > 0.05


def test_scores_of_frames_become_a_file_of_frames(tmp_path):
    labels, scores = ({"action": np.repeat(values["action"][:, None], 25, axis=1)} for values in problem())
    reports = report_heads(labels, scores, softmax={"action": False}, rule="charades_localize")
    write_files(tmp_path, reports, NAMES, IDS, scores)
    np.testing.assert_array_equal(read_localize(tmp_path / "localize-action.txt", IDS, 3), scores["action"])
