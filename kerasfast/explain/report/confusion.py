"""Which class is taken for which, also where a video has several: NumPy only.

A head of several labels says no class "instead of" another, so the report lets it: of a video with k labels the k
highest scores are what the head says. As many labels are missed then as classes are said wrongly, and each missed one
counts as taken for each wrong one in equal parts. A row of the matrix sums to the videos that have its class, and its
diagonal is the recall among the k highest. Where every video has one class it is the usual confusion matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def confusion(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """How often each class was taken for each.

    Args:
        labels: `(videos, classes)`, 0 or 1.
        scores: `(videos, classes)`.

    Returns:
        float64 `(classes, classes)`, true class first.
    """
    true = np.asarray(labels).astype(bool)
    order = np.argsort(-np.asarray(scores), axis=1, kind="stable")
    said = np.zeros_like(true)
    highest = np.arange(true.shape[1]) < true.sum(axis=1, keepdims=True)
    np.put_along_axis(said, order, highest, axis=1)
    missed, wrong = (true & ~said).astype(float), (said & ~true).astype(float)
    parts = wrong / np.maximum(wrong.sum(axis=1, keepdims=True), 1)
    return missed.T @ parts + np.diag((true & said).sum(axis=0).astype(float))


@dataclass(frozen=True)
class Mixed:
    """A pair of classes of which one is often taken for the other.

    Attributes:
        true: Class of the video.
        said: Class that was said.
        count: How often.
        share: Of the videos with the true class.
    """

    true: int
    said: int
    count: float
    share: float


def most_mixed(matrix: np.ndarray, limit: int = 10, least: float = 1.0) -> list[Mixed]:
    """The pairs off the diagonal that count most, of those with at least `least`."""
    off = matrix - np.diag(np.diag(matrix))
    rows = matrix.sum(axis=1)
    order = np.argsort(-off, axis=None, kind="stable")[:limit]
    pairs = [divmod(int(place), len(matrix)) for place in order]
    return [Mixed(i, j, float(off[i, j]), float(off[i, j] / rows[i])) for i, j in pairs if off[i, j] >= least]


@dataclass(frozen=True)
class Relation:
    """How the classes of an action that were missed relate to those that were said instead.

    Attributes:
        name: "found", or what the two share.
        share: Of all labels.
        by_chance: The same if each missed one were taken for the classes that are said wrongly anywhere, as often as
            they are; None for "found".
    """

    name: str
    share: float
    by_chance: float | None


def relations(matrix: np.ndarray, verb: np.ndarray, thing: np.ndarray) -> list[Relation]:
    """Sum a confusion matrix of actions by what true and said action share.

    Args:
        matrix: `(actions, actions)`, as `confusion` gives it.
        verb: Verb of each action, `(actions,)`.
        thing: Object of each action, `(actions,)`.
    """
    off = matrix - np.diag(np.diag(matrix))
    total, missed = matrix.sum(), off.sum(axis=1, keepdims=True)
    # What a miss is taken for by chance: the other classes, in the proportion in which they are said wrongly.
    wrong = off.sum(axis=0) * (1 - np.eye(len(off)))
    chance = missed * wrong / np.maximum(wrong.sum(axis=1, keepdims=True), 1e-12)
    same_verb, same_thing, other = verb[:, None] == verb, thing[:, None] == thing, ~np.eye(len(off), dtype=bool)
    kinds = {
        "right verb, wrong object": same_verb & ~same_thing,
        "right object, wrong verb": same_thing & ~same_verb,
        "another action of the same verb and object": same_verb & same_thing & other,
        "both wrong": ~same_verb & ~same_thing,
    }
    found = [Relation("found", float(np.trace(matrix) / total), None)]
    for name, kind in kinds.items():
        if kind.any():
            found.append(Relation(name, float(off[kind].sum() / total), float(chance[kind].sum() / total)))
    return found


def pair_grid(matrix: np.ndarray, verb: np.ndarray, thing: np.ndarray, verbs: int, things: int) -> np.ndarray:
    """Share of the labels of each (verb, object) that were found, float64 `(verbs, objects)`; NaN where none is."""
    hits, labels = np.zeros((verbs, things)), np.zeros((verbs, things))
    np.add.at(hits, (verb, thing), np.diag(matrix))
    np.add.at(labels, (verb, thing), matrix.sum(axis=1))
    return np.divide(hits, labels, out=np.full_like(hits, np.nan), where=labels > 0)
