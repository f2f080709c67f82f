"""A figure of a run over the seeds, which runs beat which, and their tables, for tools/render_charades.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markdown_table import table

NAMES = {
    "scratch": "SlowFast from scratch",
    "transfer": "SlowFast, pretrained",
    "slow": "Slow alone",
    "fast": "Fast alone",
    "no_lateral": "SlowFast without laterals",
    "composed": "compositional head",
    "composed_scaled": "compositional head, by its scales",
    "bce": "BCE",
    "weighted_bce": "weighted BCE",
    "focal": "focal",
    "asymmetric": "asymmetric",
    "class_balanced": "class-balanced",
    "distribution_balanced": "distribution-balanced",
    "partial_label_masking": "partial-label masking",
}
LOSSES = tuple(list(NAMES)[8:])


@dataclass(frozen=True)
class Line:
    """A number of every seed, and what chance gives there."""

    name: str
    values: tuple[float, ...]
    chance: float | None = None

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return float(np.mean(self.values))

    @property
    def spread(self) -> float:
        """Largest less smallest."""
        return float(np.ptp(self.values))


def verdict(better: Line, worse: Line) -> str:
    """Whether one beats the other: in every seed, and on average by more than either of them spreads."""
    gains = np.subtract(better.values, worse.values)
    gain, spread = float(gains.mean()), max(better.spread, worse.spread)
    each = ", ".join(f"{one:+.3f}" for one in gains)
    said = f"{better.name} against {worse.name}: {gain:+.3f} on average ({each}), spread {spread:.3f}"
    if (gains > 0).all() and gain > spread:
        return f"{said}. **Holds**, outside the spread."
    if (gains > 0).all():
        return f"{said}. Better with every seed, but **inside the spread**."
    return f"{said}. **Does not hold**: better with {int((gains > 0).sum())} of {len(gains)} seeds."


def line(result: Mapping[str, Any], run: str, metric: str, group: str = "networks", name: str | None = None) -> Line:
    """A metric of a run over the seeds."""
    found = [seed[group][run][metric] for seed in result["seeds"].values()]
    chance = float(np.mean([pair["chance"] for pair in found]))
    return Line(name or NAMES.get(run, run), tuple(pair["map"] for pair in found), chance)


def lines_table(result: Mapping[str, Any], what: str, lines: Sequence[Line]) -> str:
    """Seeds, mean, spread and chance, a row for each line."""
    header = (what, *(f"seed {seed}" for seed in result["seeds"]), "mean", "spread", "chance")
    rows = [
        (
            f"{one.name}",
            *(f"{value:.3f}" for value in one.values),
            f"{one.mean:.3f}",
            f"{one.spread:.3f}",
            "" if one.chance is None else f"{one.chance:.3f}",
        )
        for one in lines
    ]
    return table(header, rows)


def f1_lines(found: Sequence[Mapping[str, Any]]) -> tuple[Line, Line]:
    """Macro F1 at 0.5 and at fitted thresholds; chance is what naming every action of every video gives."""
    chance = float(np.mean([f["macro_f1"]["chance"] for f in found]))
    half, fitted = (Line(f"at {way}", tuple(f["macro_f1"][way] for f in found), chance) for way in ("0.5", "fitted"))
    return half, fitted
