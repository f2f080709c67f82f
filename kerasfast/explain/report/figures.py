"""The plots of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kerasfast.explain.report.classes import ClassRow
from kerasfast.explain.report.picture import WIDTH, Picture, draw, short
from kerasfast.train.operating.calibration import Reliability
from kerasfast.train.plots import (
    COLOURS,
    NAMED_CLASSES,
    draw_confusion,
    draw_learning_rate,
    draw_losses,
    draw_reliability,
)
from kerasfast.train.scoring.curves import PrecisionRecall

_SCATTERED = 10  # classes that a cloud of points takes
_BARS = 60  # classes with a bar and a name of their own; more become a curve
_MODEL, _CHANCE, _LIGHT = COLOURS[0], COLOURS[1], COLOURS[5]


def map_intervals(heads: Mapping[str, Mapping[str, object]]) -> Picture:
    """The mAP of each head with its interval, and chance.

    Args:
        heads: By name `map`, `chance` and, where there is one, `interval` of `low` and `high`.
    """
    names = list(heads)

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for place, row in enumerate(heads.values()):
            if interval := row.get("interval"):
                axes.plot([interval["low"], interval["high"]], [place, place], color=_MODEL, linewidth=5, alpha=0.35)
        places = range(len(names))
        axes.scatter([row["map"] for row in heads.values()], places, color=_MODEL, zorder=3, label="mAP")
        chance = [row["chance"] for row in heads.values()]
        axes.scatter(chance, places, color=_CHANCE, marker="|", s=150, zorder=3, label="chance")
        axes.set_yticks(places, [short(name) for name in names])
        axes.set(xlim=(0, 1), ylim=(len(names) - 0.5, -0.5), xlabel="mean average precision")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
        axes.grid(axis="x", alpha=0.3)

    alt = "; ".join(f"{name}: mAP {row['map']:.3f}, chance {row['chance']:.3f}" for name, row in heads.items())
    return draw(paint, alt, height=1.2 + 0.35 * len(names))


def training(history: Mapping[str, np.ndarray]) -> list[Picture]:
    """Loss, mAP of the validation where it was measured, and learning rate, over the epochs."""
    epochs, loss = history["epoch"], history["loss"]
    found = [
        draw(
            lambda figure: _losses(figure, history),
            f"Loss over {len(epochs)} epochs, from {loss[0]:.3f} to {loss[-1]:.3f}",
        )
    ]
    if maps := [key for key in history if key.startswith("val_") and key.endswith("map")]:
        best = max(float(np.nanmax(history[key], initial=0)) for key in maps)
        found.append(
            draw(lambda figure: _validation(figure.subplots(), history, maps), f"Validation mAP, up to {best:.3f}")
        )
    if "learning_rate" in history:
        found.append(
            draw(
                lambda figure: draw_learning_rate(figure.subplots(), history),
                f"Learning rate, up to {np.nanmax(history['learning_rate']):.3g}",
            )
        )
    return found


def _losses(figure: Figure, history: Mapping[str, np.ndarray]) -> None:
    axes = figure.subplots()
    draw_losses(axes, history)
    axes.get_legend().remove()
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)


def _validation(axes: Axes, history: Mapping[str, np.ndarray], keys: Sequence[str]) -> None:
    for colour, key in zip(COLOURS, keys, strict=False):
        label = "mean of the heads" if key == "val_map" else key.removeprefix("val_").removesuffix("_clip_map")
        axes.plot(history["epoch"], history[key], color=colour, marker="o", markersize=3, label=label)
    axes.set(xlabel="epoch", ylabel="mAP of single clips", title="Validation mAP", ylim=(0, None))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend()
    axes.grid(alpha=0.3)


def class_ap(rows: Sequence[ClassRow], head: str) -> Picture:
    """AP of every class, the best first, with chance; bars with names up to 60 classes, else a curve."""
    rows = [row for row in rows if row.ap is not None]
    values, chance = [row.ap for row in rows], [np.nan if row.chance is None else row.chance for row in rows]
    between = f"from {values[0]:.3f} to {values[-1]:.3f}" if rows else ""
    alt = f"AP of {len(rows)} classes of {head}, {between}" if rows else f"No class of {head} has a video"

    def bars(figure: Figure) -> None:
        axes, places = figure.subplots(), np.arange(len(rows))
        axes.barh(places, values, color=_LIGHT, height=0.7, label="AP")
        axes.scatter(chance, places, color="black", marker="|", s=60, linewidth=1.5, zorder=3, label="chance")
        axes.set_yticks(places, [short(row.name) for row in rows], fontsize=8)
        axes.set(xlim=(0, 1), ylim=(len(rows) - 0.4, -0.6), xlabel="average precision")
        axes.tick_params(axis="y", length=0)
        axes.legend(loc="lower right")
        axes.grid(axis="x", alpha=0.3)

    def curve(figure: Figure) -> None:
        axes, ranks = figure.subplots(), np.arange(1, len(rows) + 1)
        axes.fill_between(ranks, values, step="mid", color=_MODEL, alpha=0.25)
        axes.step(ranks, values, where="mid", color=_MODEL, label="AP")
        axes.scatter(ranks, chance, color=_CHANCE, s=3, label="chance")
        axes.set(xlim=(1, len(rows)), ylim=(0, 1), xlabel="classes, the best first", ylabel="average precision")
        axes.legend(loc="upper right")
        axes.grid(alpha=0.3)

    if len(rows) <= _BARS:
        return draw(bars, alt, height=0.9 + 0.17 * max(len(rows), 3))
    return draw(curve, alt)


def ap_by_frequency(rows: Sequence[ClassRow], head: str) -> Picture | None:
    """AP over the number of videos that have the class; None where that is not known, or of too few classes."""
    rows = [row for row in rows if row.ap is not None and row.positives and row.chance is not None]
    if len(rows) < _SCATTERED:
        return None
    positives = np.array([row.positives for row in rows])
    ap, chance = np.array([row.ap for row in rows]), np.array([row.chance for row in rows])

    def paint(figure: Figure) -> None:
        axes, order = figure.subplots(), np.argsort(positives)
        axes.scatter(positives, ap, color=_MODEL, s=14, alpha=0.8, label="class")
        axes.plot(positives[order], chance[order], color=_CHANCE, label="chance")
        axes.set(ylim=(0, 1.03), xlabel="videos that have the class", ylabel="average precision")
        if positives.max() >= 10 * positives.min():  # else a logarithmic axis has no more than one mark
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter("{x:g}")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=2)
        axes.grid(alpha=0.3)

    rank = np.corrcoef(np.log(positives), ap)[0, 1] if len(set(positives)) > 1 and len(set(ap)) > 1 else 0.0
    return draw(paint, f"AP of {head} over class frequency, correlation {rank:.2f}")


def precision_recall_plot(micro: PrecisionRecall, classes: Mapping[str, PrecisionRecall], head: str) -> Picture:
    """The micro-averaged curve of a head, and those of some classes."""

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        label = f"all classes, AP {micro.average:.2f}"
        axes.step(micro.recall, micro.precision, where="pre", color="black", linewidth=2, label=label)
        for colour, (name, one) in zip(COLOURS, classes.items(), strict=False):
            label = f"{short(name, 34)}, AP {one.average:.2f}"
            axes.step(one.recall, one.precision, where="pre", color=colour, linewidth=1.2, label=label)
        axes.axhline(micro.prevalence, color="gray", linestyle=":", linewidth=1, label="a guess, all classes")
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision", title=head)
        axes.grid(alpha=0.3)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=1)

    alt = f"Precision over recall of {head}: micro average {micro.average:.3f}, prevalence {micro.prevalence:.3f}"
    return draw(paint, alt, height=3.6 + 0.18 * len(classes))


def reliability_plot(head: str, pair: tuple[Reliability, Reliability]) -> Picture:
    """How often the probabilities of a head come true, before calibration and after."""

    def paint(figure: Figure) -> None:
        upper, lower = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
        draw_reliability(upper, lower, pair)
        upper.set(title=head, ylabel="share that came true")
        lower.set_ylabel("count")

    before, after = (one.error for one in pair)
    return draw(paint, f"Reliability of {head}: ECE {before:.3f} before calibration, {after:.3f} after", height=4.4)


def confusion_plot(matrix: np.ndarray, names: Sequence[str], head: str) -> Picture:
    """A confusion matrix; as wide as its names need, so the page lets it scroll."""
    classes = len(names)
    inches = 0.3 if classes <= NAMED_CLASSES else 0.16  # of a cell, by what is written into it
    side = WIDTH if classes > _BARS else max(1.8 + inches * classes, 3.2)

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        draw_confusion(axes, matrix, [short(name, 24) for name in names], named=_BARS)
        axes.set_title(None)
        if classes > _BARS:
            axes.set(xticks=[], yticks=[])

    found = float(np.trace(matrix) / max(matrix.sum(), 1))
    alt = f"Confusion of {classes} classes of {head}; {found:.0%} on the diagonal"
    return draw(paint, alt, side + 0.6, side)


def pair_plot(grid: np.ndarray, verbs: Sequence[str], things: Sequence[str]) -> Picture:
    """Recall of every pair of verb and object that has labels."""

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        picture = axes.imshow(np.ma.masked_invalid(grid), cmap="Greens", vmin=0, vmax=1)
        axes.set_facecolor("#dddddd")
        figure.colorbar(picture, label="share found")
        axes.set_xticks(range(len(things)), [short(name, 20) for name in things], rotation=90, fontsize=8)
        axes.set_yticks(range(len(verbs)), [short(name, 20) for name in verbs], fontsize=8)
        axes.set(xlabel="object", ylabel="verb")
        if grid.size <= 150:
            for row, column in zip(*np.nonzero(~np.isnan(grid)), strict=True):
                colour = "white" if grid[row, column] > 0.6 else "black"
                text = f"{grid[row, column]:.0%}"
                axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)

    width, height = 2.2 + 0.32 * len(things), 1.6 + 0.26 * len(verbs)
    return draw(paint, f"Recall of {int((~np.isnan(grid)).sum())} pairs of verb and object", max(width, 3.4), height)


def label_counts(counts: Mapping[str, Sequence[int]], head: str) -> Picture:
    """How many videos of each split have each class, the most frequent of the first split first.

    Args:
        counts: By split, a count per class.
        head: Name of the head.
    """
    first = np.asarray(next(iter(counts.values())))
    order = np.argsort(-first, kind="stable")

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for colour, (split, values) in zip(COLOURS, counts.items(), strict=False):
            ranks = np.arange(1, len(order) + 1)
            axes.step(ranks, np.asarray(values)[order], where="mid", color=colour, label=short(split))
        axes.set(
            yscale="symlog", ylim=(0, None), xlabel="classes, the most frequent first", ylabel="videos", title=head
        )
        axes.yaxis.set_major_formatter("{x:g}")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend()
        axes.grid(alpha=0.3)

    return draw(paint, f"Videos a class of {head}: {first.max():,} to {first.min():,}", height=2.6)
