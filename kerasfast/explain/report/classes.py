"""Every class of a head with its average precision and what to compare it with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kerasfast.explain.report.read import Evaluation
from kerasfast.train.metrics import Result, mean_average_precision

# Largest difference between a figure of `metrics.json` and the same worked out again of the scores beside it.
_SAME = 1e-9


@dataclass(frozen=True)
class ClassRow:
    """A class.

    Attributes:
        name: Its name.
        ap: Average precision; None for a class without positives.
        positives: Videos that have it; None where that is not known.
        chance: Expected AP of a random ranking; None where that is not known.
        prevalence: Share of the videos that have it; None where that is not known.
        times_chance: `ap / chance`.
    """

    name: str
    ap: float | None
    positives: int | None = None
    chance: float | None = None
    prevalence: float | None = None
    times_chance: float | None = None


def class_rows(evaluation: Evaluation, head: str) -> list[ClassRow]:
    """The classes of a head, the best AP first and those without positives last.

    Average precision is that of the file of metrics; the rest is worked out of the scores beside it, where they are.
    """
    values = evaluation.heads[head]
    ap: Mapping[str, float] = values["ap"]
    result = scored_result(evaluation, head)
    if result is None or evaluation.scored is None:
        rows = [ClassRow(name, value) for name, value in ap.items()]
        rows += [ClassRow(name, None) for name in values["skipped"]]
    else:
        rows = [_row(name, c, result) for c, name in enumerate(evaluation.scored.classes[head])]
    return sorted(rows, key=lambda row: (row.ap is None, -(row.ap or 0), row.name))


def scored_result(evaluation: Evaluation, head: str) -> Result | None:
    """Average precision worked out again of the scored videos; None where there are none of this evaluation."""
    scored = evaluation.scored
    if scored is None or head not in scored.scores:
        return None
    rule = evaluation.protocol["rule"]
    return mean_average_precision(scored.labels[head], scored.scores[head], rule, allow_constant=True)


def stale(evaluation: Evaluation) -> str | None:
    """Why the scored videos are not those behind the figures; None where they are, or where there are none."""
    if evaluation.scored is None:
        return None
    for head, values in evaluation.heads.items():
        try:
            result = scored_result(evaluation, head)
        except ValueError as error:
            return f"the scores of head {head!r} cannot be ranked: {error}"
        if result is None:
            return f"it has no scores of head {head!r}"
        if abs(result.map - values["map"]) > _SAME:
            return f"its scores of head {head!r} give an mAP of {result.map:.4f}, not {values['map']:.4f}"
    return None


def remarks(values: Mapping[str, Any], head: str, limit: int = 6) -> list[str]:
    """What a reader of a head's figures has to know beside them, in sentences."""
    found = []
    for key, meaning in (
        ("skipped", "without a video that has it, so in no mean"),
        ("constant", "whose scores are the same for every video, so they rank nothing"),
        ("silent", "for which the head never says yes"),
    ):
        if names := values.get(key):
            found.append(
                f"{head}: {len(names)} {'class' if len(names) == 1 else 'classes'} {meaning}: {_some(names, limit)}."
            )
    return found


def _some(names: Sequence[str], limit: int) -> str:
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


def _row(name: str, c: int, result: Result) -> ClassRow:
    positives = int(result.positives[c])
    if not positives:
        return ClassRow(name, None, 0, None, 0.0)
    ap, chance = float(result.ap[c]), float(result.class_chance[c])
    return ClassRow(name, ap, positives, chance, positives / result.rows, ap / chance)


def chosen_classes(rows: Sequence[ClassRow], least: int = 5) -> list[ClassRow]:
    """Classes whose curves stand for all: the best, the median and the worst AP, and the most frequent.

    Args:
        rows: As `class_rows` gives them.
        least: Positives that the best, median and worst need, where any class has as many: the curve of a class of one
            video is a single point.
    """
    scored = [row for row in rows if row.ap is not None and row.positives]
    if not scored:
        return []
    many = [row for row in scored if (row.positives or 0) >= least] or scored
    frequent = max(scored, key=lambda row: row.positives or 0)
    found = {row.name: row for row in (many[0], many[len(many) // 2], many[-1], frequent)}
    return list(found.values())
