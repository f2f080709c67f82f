"""The mistakes that a model is surest of: what it says that is not so, and what it does not say that is. NumPy only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from kerasfast.train.scoring.scored_videos import ScoredVideos

FALSE_ALARM, MISS = "said, but not there", "there, but not said"


@dataclass(frozen=True)
class ScoredClass:
    """A class of a video.

    Attributes:
        name: Its name.
        score: What the model gave it.
        rank: Its place among the scores of the head, from 1.
    """

    name: str
    score: float
    rank: int


@dataclass(frozen=True)
class Mistake:
    """A mistake about a video.

    Attributes:
        kind: `FALSE_ALARM` or `MISS`.
        video: Number of the video.
        id: Its id.
        wrong: The class that the mistake is about.
        true: The classes that the video has, the best score first.
        said: The highest score.
    """

    kind: str
    video: int
    id: str
    wrong: ScoredClass
    true: tuple[ScoredClass, ...]
    said: ScoredClass


def surest_mistakes(scored: ScoredVideos, head: str, *, softmax: bool, limit: int = 6) -> list[Mistake]:
    """The mistakes of a head, the surest first; at most one of each kind a video.

    False alarms are the highest scores of classes that a video does not have; misses are the lowest of those that it
    has. A softmax head, whose lowest scores say nothing of their own, has false alarms alone: its highest scores where
    they are of a wrong class. Videos without a label of the head are left out of false alarms: nothing says that they
    were looked at.

    Args:
        scored: The videos.
        head: The head.
        softmax: Whether each video has exactly one class.
        limit: Mistakes of each kind.
    """
    labels, scores = scored.labels[head].astype(bool), np.asarray(scored.scores[head], float)
    labelled = labels.any(axis=1)
    highest = scores == scores.max(axis=1, keepdims=True)
    wrong = ~labels & labelled[:, None] & (highest if softmax else True)

    def make(kind: str) -> Callable[[tuple[int, int]], Mistake]:
        return lambda place: _mistake(scored, head, kind, *place)

    found = list(map(make(FALSE_ALARM), _first_of_videos(np.where(wrong, -scores, np.inf), limit)))
    if not softmax:
        found += map(make(MISS), _first_of_videos(np.where(labels, scores, np.inf), limit))
    return found


def _first_of_videos(values: np.ndarray, limit: int) -> Iterable[tuple[int, int]]:
    """(video, class) of the lowest finite value of the videos with the lowest ones."""
    columns = values.argmin(axis=1)
    lowest = values[np.arange(len(values)), columns]
    order = np.argsort(lowest, kind="stable")[:limit]
    return [(int(video), int(columns[video])) for video in order if np.isfinite(lowest[video])]


def _mistake(scored: ScoredVideos, head: str, kind: str, video: int, wrong: int) -> Mistake:
    names, scores = scored.classes[head], scored.scores[head][video]
    order = np.argsort(-scores, kind="stable")
    ranks = np.empty(len(order), int)
    ranks[order] = np.arange(1, len(order) + 1)

    def one(c: int) -> ScoredClass:
        return ScoredClass(names[c], float(scores[c]), int(ranks[c]))

    true = tuple(one(int(c)) for c in order if scored.labels[head][video, c])
    return Mistake(kind, video, scored.ids[video], one(wrong), true, one(int(order[0])))
