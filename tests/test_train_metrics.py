"""Exact average precision, its chance level, and what it refuses."""

import csv
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from kerasfast.train.metrics import chance_average_precision, mean_average_precision, shuffled_control

CHARADES = Path(__file__).parents[2] / "shared" / "charades" / "Charades_v1_train.csv"


def official_ap(labels, scores):
    """Charades_v1_classify.m line by line for one class; Python's sort is stable as MATLAB's is."""
    order = sorted(range(len(scores)), key=lambda row: -scores[row])
    true, total = 0, 0.0
    for rank, row in enumerate(order, start=1):
        if labels[row]:
            true += 1
            total += true / rank
    return total / sum(labels)


def tied_problem(rows=300, classes=12, seed=0):
    generator = np.random.default_rng(seed)
    labels = (generator.random((rows, classes)) < 0.1).astype(int)
    labels[generator.random(rows) < 0.1] = 0
    labels[0] = 1
    scores = np.round(generator.random((rows, classes)) + 0.3 * labels, 1)  # many ties
    return labels, scores


def test_hand_example():
    labels = np.array([[1, 0], [0, 1], [1, 0], [0, 1]])
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.1, 0.4]])
    for rule in ("sklearn", "charades"):
        ap = mean_average_precision(labels, scores, rule).ap
        np.testing.assert_allclose(ap, [(1 / 1 + 2 / 3) / 2, (1 / 1 + 2 / 3) / 2])


def test_ties_make_one_threshold_for_sklearn_and_keep_their_order_for_charades():
    labels = np.array([[0, 1], [1, 1], [1, 1], [0, 1]])
    scores = np.array([[0.5, 4], [0.5, 3], [0.5, 2], [0.1, 1]])
    assert mean_average_precision(labels, scores).ap[0] == pytest.approx(2 / 3)
    expected = (1 / 2 + 2 / 3) / 2
    assert mean_average_precision(labels, scores, "charades").ap[0] == pytest.approx(expected)


def test_charades_rule_is_the_official_code():
    labels, scores = tied_problem()
    result = mean_average_precision(labels, scores, "charades")
    masked = np.where(labels.any(axis=1, keepdims=True), scores, -np.inf)
    expected = [official_ap(labels[:, c].tolist(), masked[:, c].tolist()) for c in range(labels.shape[1])]
    np.testing.assert_allclose(result.ap, expected, rtol=1e-12)
    assert result.rows == labels.any(axis=1).sum() < len(labels)


def test_unlabelled_rows_count_only_under_sklearn():
    labels = np.array([[0, 0], [1, 0], [0, 1]])
    scores = np.array([[0.9, 0.9], [0.8, 0.1], [0.1, 0.8]])
    assert mean_average_precision(labels, scores, "charades").map == 1
    assert mean_average_precision(labels, scores, "sklearn").map == 0.5


def test_missing_predictions_sort_last_under_charades():
    labels = np.array([[1], [1], [0]])
    scores = np.array([[1.0], [-np.inf], [0.0]])
    # The third row has no label, so both positives lead it.
    assert mean_average_precision(labels, scores, "charades").map == 1
    with pytest.raises(ValueError, match="scores must be numbers"):
        mean_average_precision(labels, scores, "sklearn")


def test_classes_without_positives_are_skipped_and_listed():
    labels, scores = tied_problem()
    labels[:, 3] = 0
    result = mean_average_precision(labels, scores)
    assert result.skipped == (3,)
    assert np.isnan(result.ap[3]) and np.isnan(result.class_chance[3])
    kept = [c for c in range(labels.shape[1]) if c != 3]
    assert result.map == pytest.approx(result.ap[kept].mean())
    assert result.prevalence == pytest.approx(labels[:, kept].mean())
    assert result.map == pytest.approx(mean_average_precision(labels[:, kept], scores[:, kept]).map)


@pytest.mark.parametrize("positives, rows", [(1, 5), (3, 40), (39, 40), (40, 40), (1, 1)])
def test_chance_is_the_mean_over_random_rankings(positives, rows):
    generator = np.random.default_rng(positives)
    labels = (np.arange(rows) < positives).astype(int)
    drawn = [official_ap(labels.tolist(), generator.permutation(rows).tolist()) for _ in range(2000)]
    error = np.std(drawn) / np.sqrt(len(drawn))
    assert abs(np.mean(drawn) - chance_average_precision(np.array([positives]), rows)[0]) <= 4 * error + 1e-12


def test_both_rules_at_the_size_of_charades():
    """1,863 videos x 157 actions with ties and unlabelled rows, against code that shares nothing with the module's."""
    generator = np.random.default_rng(5)
    labels = (generator.random((1863, 157)) < generator.uniform(0.004, 0.2, 157)).astype(int)
    labels[generator.choice(1863, 49, replace=False)] = 0
    scores = np.round(generator.random(labels.shape) + 0.2 * labels, 2)  # 121 values: every score is a tie
    found = {rule: mean_average_precision(labels, scores, rule) for rule in ("sklearn", "charades")}
    stepwise = [grouped_ap(labels[:, c], scores[:, c]) for c in range(157)]
    np.testing.assert_allclose(found["sklearn"].ap, stepwise, rtol=1e-12)
    assert found["sklearn"].map == pytest.approx(average_precision_score(labels, scores, average="macro"), rel=1e-12)
    masked = np.where(labels.any(axis=1, keepdims=True), scores, -np.inf)
    official = [official_ap(labels[:, c].tolist(), masked[:, c].tolist()) for c in range(157)]
    np.testing.assert_allclose(found["charades"].ap, official, rtol=1e-12)
    assert found["charades"].map == pytest.approx(np.mean(official), rel=1e-12)
    sizes = labels.sum(axis=0)
    assert found["charades"].weighted_map == pytest.approx(np.dot(official, sizes) / sizes.sum(), rel=1e-12)
    assert (found["sklearn"].rows, found["charades"].rows) == (1863, labels.any(axis=1).sum())


def grouped_ap(labels, scores):
    """Sum over the distinct scores of (recall - recall before) * precision, every count made anew."""
    total, before = 0.0, 0.0
    for threshold in np.unique(scores)[::-1]:
        chosen = labels[scores >= threshold]
        recall = chosen.sum() / labels.sum()
        total, before = total + (recall - before) * chosen.mean(), recall
    return total


def test_frames_without_labels_compete_in_localisation():
    labels, scores = tied_problem()
    found = mean_average_precision(labels, scores, "charades_localize")
    expected = [official_ap(labels[:, c].tolist(), scores[:, c].tolist()) for c in range(labels.shape[1])]
    np.testing.assert_allclose(found.ap, expected, rtol=1e-12)
    assert found.rows == len(labels)


def test_constant_scores_can_be_allowed():
    labels, _ = tied_problem()
    found = mean_average_precision(labels, np.full(labels.shape, 0.5), allow_constant=True)
    assert found.map == pytest.approx(found.prevalence) and found.constant == tuple(range(12))


def test_shuffled_control_comes_out_at_chance_and_real_scores_do_not():
    generator = np.random.default_rng(1)
    labels = (generator.random((400, 30)) < 0.08).astype(int)
    scores = generator.random(labels.shape) + labels
    result = mean_average_precision(labels, scores)
    assert result.map == 1
    assert shuffled_control(labels, scores, seed=3) == pytest.approx(result.chance, rel=0.05)
    assert shuffled_control(labels, scores, seed=3) == shuffled_control(labels, scores, seed=3)
    assert result.chance > result.prevalence


@pytest.mark.skipif(not CHARADES.is_file(), reason="needs the official Charades annotations in ../shared")
def test_chance_and_prevalence_on_the_official_training_labels():
    with CHARADES.open(newline="") as file:
        actions = [row["actions"].split(";") for row in csv.DictReader(file)]
    labels = np.zeros((len(actions), 157), int)
    for video, segments in enumerate(actions):
        for segment in filter(None, segments):
            labels[video, int(segment.split()[0][1:])] = 1
    assert labels.shape == (7985, 157)
    scores = np.random.default_rng(0).random(labels.shape)
    result = mean_average_precision(labels, scores, "charades")
    assert result.rows == 7811  # 174 videos have no action
    assert round(result.prevalence, 4) == 0.0397
    assert result.map == pytest.approx(result.chance, rel=0.02)


def test_constant_scores_are_refused():
    labels, scores = tied_problem()
    with pytest.raises(ValueError, match=r"scores must depend on the row.*300 identical rows.*batch norm"):
        mean_average_precision(labels, np.tile(scores[:1], (300, 1)))


def test_a_constant_class_is_listed():
    labels, scores = tied_problem()
    scores[:, 5] = 0.2
    result = mean_average_precision(labels, scores)
    assert result.constant == (5,)
    assert result.ap[5] == pytest.approx(labels[:, 5].mean())


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda y, s: (y, np.where(y == 1, np.nan, s)), "nan at row 0, class 0"),
        (lambda y, s: (y, s[:-1]), r"labels \(300, 12\), scores \(299, 12\)"),
        (lambda y, s: (y[0], s[0]), r"labels \(12,\)"),
        (lambda y, s: (y[:0], s[:0]), "at least one row"),
        (lambda y, s: (y * 2, s), "labels must be 0 or 1. Received: .*2"),
        (lambda y, s: (y * 0, s), "all 0"),
    ],
)
def test_unusable_arguments_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        mean_average_precision(*change(*tied_problem()))


def test_an_unknown_rule_is_refused():
    with pytest.raises(ValueError, match=r"rule must be one of .*'official'"):
        mean_average_precision(*tied_problem(), rule="official")


def test_one_video_is_scored():
    result = mean_average_precision(np.array([[1, 0]]), np.array([[0.2, 0.7]]))
    assert (result.map, result.chance, result.skipped) == (1, 1, (1,))


@pytest.mark.parametrize("rule", ["sklearn", "charades"])
def test_a_subset_keeps_the_rows_of_all_classes(rule):
    labels, scores = tied_problem()
    whole = mean_average_precision(labels, scores, rule)
    part = whole.subset([7, 2])
    np.testing.assert_array_equal(part.ap, whole.ap[[7, 2]])
    assert part.map == pytest.approx(whole.ap[[7, 2]].mean()) and part.rows == whole.rows
    assert part.chance == pytest.approx(whole.class_chance[[2, 7]].mean())
    assert whole.subset(range(12)).prevalence == pytest.approx(whole.prevalence)
    with pytest.raises(ValueError, match=r"indices below 12. Received: \[12\]"):
        whole.subset([12])
