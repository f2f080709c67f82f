"""What was seen when: scores of a video's windows, and the segments that they add up to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from kerasfast.decoding import Prediction


@dataclass(frozen=True)
class Segment:
    """A class over a stretch of time.

    Attributes:
        head: Name of the head.
        index: The class, counted from 0.
        label: Its name; `class 17` where the head has no names.
        start_seconds: When it begins, after the first frame of the video.
        end_seconds: When it ends.
        score: Highest score of its windows; None for ground truth.
    """

    head: str
    index: int
    label: str
    start_seconds: float
    end_seconds: float
    score: float | None = None


@dataclass(frozen=True, eq=False)
class Timeline:
    """Scores of windows that slide over a video, and what they add up to.

    Attributes:
        source: The video: a path, an address or a camera.
        model: Name of the model.
        starts: When each window begins, in seconds after the first frame of the video, `(windows,)`.
        ends: When each ends, `(windows,)`.
        scores: Head name to `(windows, classes)` float32.
        labels: Head name to class names.
        thresholds: Head name to the score from which a class counts as seen, `(classes,)`; 0 for all classes of a head
            that answers with its highest.
        segments: What is seen, by head, then by start.
        truth: Segments of the annotations, where there are any.
        ended: Why the video was not seen to its end ("broke off after 240 frames ..."), or None.
        notes: Sentences that belong beside the result: how thresholds were fitted, what was skipped.
        seen: Head name to which classes the answer of each window has, bool `(windows, classes)`; of a head that it
            lacks, `sees` goes by the thresholds.
    """

    source: str
    model: str
    starts: np.ndarray
    ends: np.ndarray
    scores: Mapping[str, np.ndarray]
    labels: Mapping[str, Sequence[str]]
    thresholds: Mapping[str, np.ndarray]
    segments: tuple[Segment, ...] = ()
    truth: tuple[Segment, ...] = ()
    ended: str | None = field(default=None, kw_only=True)
    notes: tuple[str, ...] = field(default=(), kw_only=True)
    seen: Mapping[str, np.ndarray] | None = field(default=None, kw_only=True)

    @property
    def duration_seconds(self) -> float:
        """When the last window ends; 0 without windows."""
        return float(self.ends[-1]) if len(self.ends) else 0.0

    @property
    def turns(self) -> np.ndarray:
        """When each window but the first begins to stand for the time, `(windows - 1,)`.

        Where two overlap, half-way between their middles, but within the overlap: the last window may be shorter than
        the others.
        """
        starts, ends = np.asarray(self.starts, np.float64), np.asarray(self.ends, np.float64)
        middles = (starts + ends) / 2
        low, high = np.minimum(starts[1:], ends[:-1]), np.maximum(starts[1:], ends[:-1])
        return np.clip((middles[1:] + middles[:-1]) / 2, low, high)

    def sees(self, head: str) -> np.ndarray:
        """Which classes of a head are seen in each window, bool `(windows, classes)`.

        Without a decision in `seen`, those whose scores reach their thresholds; where these are all 0, the highest of
        each window; without thresholds none.
        """
        if self.seen is not None and head in self.seen:
            return self.seen[head]
        scores = np.asarray(self.scores[head], np.float64)
        if head not in self.thresholds:
            return np.zeros(scores.shape, bool)
        thresholds = np.asarray(self.thresholds[head], np.float64)
        if thresholds.any():
            return scores >= thresholds
        return np.arange(scores.shape[1]) == scores.argmax(axis=1)[:, None]

    def best(self, top: int = 5) -> dict[str, list[Prediction]]:
        """The classes with the highest scores of any window, by head; of equal scores the lower index comes first.

        Args:
            top: Classes of each head; of a head with fewer all.

        Returns:
            Head name to predictions, the highest score first; none without windows.
        """
        found: dict[str, list[Prediction]] = {}
        for head, scores in self.scores.items():
            highest = scores.max(axis=0) if len(scores) else np.zeros(0)
            order: list[int] = np.argsort(-highest.astype(np.float64), kind="stable")[:top].tolist()
            found[head] = [Prediction(c, self.labels[head][c], float(highest[c])) for c in order]
        return found
