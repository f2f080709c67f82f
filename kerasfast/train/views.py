"""From scores of single views to scores of videos, in memory that does not grow with the views."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from kerasfast.models.heads import Head

RULES = ("max", "mean")


def merge_rules(
    heads: Mapping[str, Head], merge: str | Mapping[str, str] | None = None, chosen: Iterable[str] | None = None
) -> dict[str, str]:
    """How the views of a video become one score, head by head.

    Args:
        heads: Heads of the model.
        merge: A rule for all heads, or by head as `one_rule` gives them; None, and for a head without one: `max` for
            sigmoid heads, `mean` for softmax heads, which are the protocols of Charades and of Kinetics.
        chosen: Heads whose rules are wanted; None: all.

    Raises:
        ValueError: An unknown rule, or a rule for a head that the model does not have.
    """
    asked = dict(merge) if isinstance(merge, Mapping) else dict.fromkeys(heads, merge)
    if unknown := set(asked) - set(heads):
        raise ValueError(f"merge must name heads among {', '.join(heads)}. Received: {', '.join(sorted(unknown))}.")
    for rule in (rule for rule in asked.values() if rule is not None and rule not in RULES):
        raise ValueError(f"merge must be 'max' or 'mean'. Received: {rule!r}.")
    usual = {name: "mean" if head.activation == "softmax" else "max" for name, head in heads.items()}
    return {name: asked.get(name) or usual[name] for name in (heads if chosen is None else chosen)}


def one_rule(rules: Mapping[str, str]) -> str | dict[str, str]:
    """What `merge_rules` gave as files say it: the rule alone where all heads have the same."""
    return dict(rules) if len(set(rules.values())) > 1 else next(iter(rules.values()))


def merge_views(views: Mapping[str, np.ndarray], rules: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Scores of all views of one video, `(views, classes)` by head, as its own, `(classes,)`, by the rule of each head.

    `ViewMerger` does the same for many videos whose views come in any order.
    """
    merge = {"max": np.max, "mean": np.mean}
    return {head: merge[rules[head]](scores, axis=0) for head, scores in views.items()}


class ViewMerger:
    """Scores of videos, updated view by view in any order.

    Args:
        sizes: Classes per head.
        videos: Number of videos.
        views: Views that every video must get.
        rules: `max` or `mean` per head, element by element, as `merge_rules` gives them.
    """

    def __init__(self, sizes: Mapping[str, int], videos: int, views: int, rules: Mapping[str, str]) -> None:
        self.rules = dict(rules)
        self.seen = np.zeros((videos, views), bool)
        start = {"max": -np.inf, "mean": 0.0}
        self.scores = {head: np.full((videos, size), start[rules[head]]) for head, size in sizes.items()}

    def add(self, scores: Mapping[str, np.ndarray], video: np.ndarray, view: np.ndarray) -> None:
        """Take in a batch.

        Args:
            scores: `(batch, classes)` per head.
            video: Index of the video of each row, `(batch,)`.
            view: Index of the view of each row, `(batch,)`.

        Raises:
            ValueError: A view or video that should not exist, a view that came before, or a score that is NaN.
        """
        videos, views = self.seen.shape
        for name, index, limit in (("video", video, videos), ("view", view, views)):
            if index.min() < 0 or index.max() >= limit:
                raise ValueError(f"{name} index must be below {limit}. Received: {index.tolist()}.")
        pairs = list(zip(video.tolist(), view.tolist(), strict=True))
        if self.seen[video, view].any() or len(set(pairs)) < len(pairs):
            again = next(p for i, p in enumerate(pairs) if self.seen[p] or p in pairs[:i])
            raise ValueError(
                f"Every view must be scored once. Received: view {again[1]} of video {again[0]} a second time. "
                "The records hold a clip twice; build them again."
            )
        for head, values in scores.items():
            if np.isnan(values).any():
                row = int(np.argwhere(np.isnan(values))[0][0])
                raise ValueError(
                    f"Scores must be numbers. Received: NaN from head {head!r} for view {pairs[row][1]} of video "
                    f"{pairs[row][0]}. The weights have diverged or are not those of this model."
                )
            (np.maximum if self.rules[head] == "max" else np.add).at(self.scores[head], video, values)
        self.seen[video, view] = True

    def result(self) -> dict[str, np.ndarray]:
        """Scores per head, float64 `(videos, classes)`.

        Raises:
            ValueError: A video lacks a view.
        """
        if not self.seen.all():
            lacking = np.flatnonzero(~self.seen.all(axis=1))
            raise ValueError(
                f"Every video must get {self.seen.shape[1]} views. Received: {int(self.seen[lacking[0]].sum())} "
                f"for video {lacking[0]}, and {len(lacking)} of {len(self.seen)} videos lack some. "
                "The records are incomplete; build them again."
            )
        views = self.seen.shape[1]
        return {
            head: scores / views if self.rules[head] == "mean" else scores.copy()
            for head, scores in self.scores.items()
        }
