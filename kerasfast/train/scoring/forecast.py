"""How long an evaluation will take, measured before it starts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Forecast:
    """How long scoring will take; `str(forecast)` says it in a line.

    Attributes:
        views: Views of a video.
        videos: Videos.
        seconds: Expected time.

    >>> print(Forecast(views=30, videos=1863, seconds=2460.0))
    30 views x 1,863 videos: about 41 min
    """

    views: int
    videos: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.views} views x {self.videos:,} videos: about {spoken(self.seconds)}"


class ScoringClock:
    """The forecast of a scoring beside the time that it took.

    Args:
        announce: Called with the forecast, before the scoring starts.
    """

    def __init__(self, announce: Callable[[Forecast], None] | None = None) -> None:
        self._announce, self._begin = announce, 0.0
        self.forecast: Forecast | None = None
        self.seconds: float | None = None

    def start(self, forecast: Forecast) -> None:
        """Hand on the forecast, and start."""
        self.forecast = forecast
        if self._announce is not None:
            self._announce(forecast)
        self._begin = time.perf_counter()

    def stop(self) -> None:
        """The scoring has ended."""
        self.seconds = time.perf_counter() - self._begin

    def to_dict(self) -> dict[str, float | None]:
        """Both in seconds, for `metrics.json`; None where nothing was scored, as scores were given."""
        forecast = None if self.forecast is None else round(self.forecast.seconds, 2)
        return {
            "forecast_seconds": forecast,
            "scoring_seconds": None if self.seconds is None else round(self.seconds, 2),
        }


def spoken(seconds: float) -> str:
    """A length of time with two digits that matter.

    >>> [spoken(3.2), spoken(75), spoken(5400), spoken(90000)]
    ['3 s', '75 s', '90 min', '25 h']
    """
    if seconds < 100:
        return f"{max(round(seconds), 1)} s"
    if seconds < 100 * 60:
        return f"{round(seconds / 60)} min"
    return f"{round(seconds / 3600)} h"


def time_steps(step: Callable[[Any], Any], batches: Iterable[Any], steps: int, limit: int = 4) -> float:
    """Seconds that `steps` steps will take, by the first ones of the same data.

    Reading is timed with the computing, as both go on side by side. The first step builds the graph and fills the
    pipeline; those after it are what the rest will be like. They are not kept: the run does them again.

    Args:
        step: What is done with a batch, to its end.
        batches: The data; its first few batches are read.
        steps: Steps of the whole run.
        limit: Most steps to do.
    """
    marks = [time.perf_counter()]
    for _, batch in zip(range(min(limit, steps)), batches, strict=False):
        step(batch)
        marks.append(time.perf_counter())
    first = 1 if len(marks) > 2 else 0  # a run of one step is as long as its first
    return (marks[-1] - marks[first]) / max(len(marks) - 1 - first, 1) * steps
