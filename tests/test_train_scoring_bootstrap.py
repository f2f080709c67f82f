"""The bootstrap through cumulative sums, against resamples that are written out."""

import numpy as np
import pytest

from kerasfast.train.metrics import mean_average_precision
from kerasfast.train.scoring.bootstrap import draws, interval, resampled_map


def problem(rows=60, classes=6):
    """Ties, rows without labels, and a class with two positives, which some resamples lose."""
    generator = np.random.default_rng(0)
    labels = (generator.random((rows, classes)) < 0.2).astype(int)
    labels[generator.random(rows) < 0.2] = 0
    labels[:, 3] = 0
    labels[[5, 6], 3] = 1
    return labels, np.round(generator.random((rows, classes)) + 0.2 * labels, 1)


@pytest.mark.parametrize("rule", ["sklearn", "charades", "charades_localize"])
def test_every_draw_is_the_map_of_the_repeated_rows(rule):
    labels, scores = problem()
    counts = draws(len(labels), resamples=30, seed=1)
    written_out = []
    for column in counts.T:
        rows = np.repeat(np.arange(len(labels)), column)
        written_out.append(mean_average_precision(labels[rows], scores[rows], rule).map)
    np.testing.assert_allclose(resampled_map(labels, scores, counts, rule), written_out, rtol=1e-12)
    assert any(not labels[np.repeat(np.arange(60), column), 3].any() for column in counts.T)  # the class is lost


def test_draws_are_as_many_as_rows_and_follow_the_seed():
    counts = draws(50, resamples=7, seed=3)
    assert counts.shape == (50, 7) and (counts.sum(axis=0) == 50).all()
    np.testing.assert_array_equal(counts, draws(50, resamples=7, seed=3))
    assert (counts != draws(50, resamples=7, seed=4)).any()
    with pytest.raises(ValueError, match="at least 2 resamples"):
        draws(50, resamples=1)


def test_the_interval_holds_the_middle_of_the_draws():
    found = interval(np.append(np.arange(101.0) / 100, np.nan), 0.5, level=0.9)
    assert (found.low, found.high) == pytest.approx((0.05, 0.95))
    assert (found.level, found.resamples, found.bias) == (0.9, 102, pytest.approx(0))
    with pytest.raises(ValueError, match="level must lie between 0 and 1"):
        interval(np.arange(3.0), 1.0, level=95)
    with pytest.raises(ValueError, match="No resample has a class with a positive row"):
        interval(np.full(3, np.nan), 0.5)


def test_the_interval_lies_around_the_figure_where_most_draws_are_above_it():
    """Copies of a positive follow each other, so that draws rank those of classes with two positives higher."""
    labels, scores = np.zeros((30, 6)), np.random.default_rng(0).random((30, 6))
    labels[np.arange(12), np.arange(12) % 6] = 1
    figure = mean_average_precision(labels, scores).map
    drawn = resampled_map(labels, scores, draws(30, 200))
    found = interval(drawn, figure)
    assert np.median(drawn) > figure + 0.02
    assert found.low < figure < found.high
    assert found.bias == pytest.approx(np.median(drawn) - figure)
    # Never past what a mean average precision can be.
    assert interval(np.linspace(0.2, 0.9, 9), 0.05).low == 0.0
