"""The forecast counts steps, not the first one; the clock keeps both times."""

import itertools

import pytest

from kerasfast.train.scoring import forecast as module
from kerasfast.train.scoring.forecast import Forecast, ScoringClock, time_steps


@pytest.fixture
def ticking(monkeypatch):
    """A clock that steps move on."""
    now = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])

    def move(seconds):
        now[0] += seconds

    return move


def test_the_first_step_is_not_what_the_rest_will_be_like(ticking):
    taken = []
    seconds = itertools.chain([50.0, 2.0, 3.0, 4.0], itertools.repeat(1000.0))

    def step(batch):
        taken.append(batch)
        ticking(next(seconds))

    assert time_steps(step, range(100), steps=100) == pytest.approx(300.0)
    assert taken == [0, 1, 2, 3]


@pytest.mark.parametrize("steps, limit, seconds", [(1, 4, 50.0), (2, 4, 4.0), (9, 2, 18.0)])
def test_short_runs(ticking, steps, limit, seconds):
    lengths = iter([50.0, 2.0])
    found = time_steps(lambda _: ticking(next(lengths)), range(steps), steps=steps, limit=limit)
    assert found == pytest.approx(seconds)


def test_the_clock_keeps_forecast_and_time(ticking):
    said = []
    clock = ScoringClock(said.append)
    assert clock.to_dict() == {"forecast_seconds": None, "scoring_seconds": None}
    clock.start(Forecast(30, 1863, 2460.0))
    ticking(2500.0)
    clock.stop()
    assert clock.to_dict() == {"forecast_seconds": 2460.0, "scoring_seconds": 2500.0}
    assert [str(forecast) for forecast in said] == ["30 views x 1,863 videos: about 41 min"]
