"""Pictures of a run: training curves, frames with true and predicted labels, and how far probabilities come true."""

from __future__ import annotations

import csv
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from kerasfast.train.operating.calibration import Reliability

# Okabe and Ito's palette, which colour-blind readers can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
NAMED_CLASSES = 30  # a confusion matrix of more has no names: they would not be legible
_TRUE, _FALSE = "#0072B2", "#BBBBBB"


def curves(history: str | Path, path: str | Path) -> None:
    """Draw the losses of each head, with validation dashed, and the learning rate over the epochs.

    Args:
        history: `history.csv` of a run.
        path: PNG to write.

    Raises:
        ValueError: The history has no epoch.
    """
    columns = read_history(history)
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    draw_losses(left, columns)
    draw_learning_rate(right, columns)
    figure.savefig(path, dpi=120)


def read_history(path: str | Path) -> dict[str, np.ndarray]:
    """The columns of `history.csv`, float64 `(epochs,)`; NaN where a value is missing.

    Raises:
        ValueError: The history has no epoch, or holds something else than numbers.
    """
    with Path(path).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise ValueError(f"{path}: the history must have at least one epoch. Received: none.")
    try:
        return {key: np.array([float(row[key] or "nan") for row in rows]) for key in rows[0]}
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: the history must hold numbers ({error}). Copy the run again.") from error


def draw_losses(axes: Axes, columns: Mapping[str, np.ndarray]) -> None:
    """Draw the losses of each head, with validation dashed."""
    epochs = columns["epoch"]
    heads = [key for key in columns if key.endswith("_loss") and not key.startswith("val_")]
    for colour, key in zip(COLOURS, ["loss", *heads], strict=False):
        name = "sum of the heads" if key == "loss" and heads else key.removesuffix("_loss")
        axes.plot(epochs, columns[key], color=colour, marker=_marker(epochs), label=name)
        if f"val_{key}" in columns:
            label = f"{name}, validation"
            axes.plot(epochs, columns[f"val_{key}"], "--", color=colour, marker=_marker(epochs), label=label)
    axes.set(xlabel="epoch", ylabel="loss", title="Loss", yscale="log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(lambda x, _: f"{x:g}" if f"{x:e}"[0] in "235" else "")  # more would overlap
    axes.legend(frameon=False)
    _epochs_below(axes)


def draw_learning_rate(axes: Axes, columns: Mapping[str, np.ndarray]) -> None:
    """Draw the learning rate over the epochs."""
    axes.plot(columns["epoch"], columns["learning_rate"], color="black", marker=_marker(columns["epoch"]))
    axes.set(xlabel="epoch", title="Learning rate at the end of the epoch", ylim=(0, None))
    _epochs_below(axes)


def _marker(epochs: np.ndarray) -> str | None:
    return "o" if len(epochs) < 8 else None  # a line of one point is invisible


def _epochs_below(axes: Axes) -> None:
    axes.grid(alpha=0.3)
    axes.xaxis.get_major_locator().set_params(integer=True)


def confusion_matrix(confusion: np.ndarray, names: Sequence[str], path: str | Path) -> None:
    """Draw a confusion matrix: true classes down, predicted classes across, shares of the rows of the true class.

    Up to `NAMED_CLASSES` their names and counts are written too.

    Args:
        confusion: `(classes, classes)` counts, true class first.
        names: Class names.
        path: PNG to write.
    """
    side = min(2.5 + 0.4 * len(names), 12)
    figure = Figure(figsize=(side + 1.2, side), layout="constrained")
    draw_confusion(figure.subplots(), confusion, names)
    figure.savefig(path, dpi=110)


def draw_confusion(axes: Axes, confusion: np.ndarray, names: Sequence[str], named: int = NAMED_CLASSES) -> None:
    """Draw a confusion matrix as `confusion_matrix` does.

    Args:
        axes: Where to draw it.
        confusion: `(classes, classes)` counts, true class first; they may have fractions, and are written without.
        names: Class names.
        named: Most classes that are named; counts are written up to `NAMED_CLASSES`.
    """
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.figure.colorbar(picture, label="share of the true class")
    axes.set(xlabel="predicted class", ylabel="true class", title="Confusion matrix")
    if len(names) <= named:
        short = [textwrap.shorten(str(name), 24, placeholder="...") for name in names]
        axes.set_xticks(range(len(names)), short, rotation=90, fontsize=7)
        axes.set_yticks(range(len(names)), short, fontsize=7)
    if len(names) <= NAMED_CLASSES:
        for row, column in zip(*np.nonzero(np.rint(confusion)), strict=True):
            colour = "white" if shares[row, column] > 0.5 else "black"
            count = f"{confusion[row, column]:.0f}"
            axes.text(column, row, count, ha="center", va="center", fontsize=7, color=colour)


def predictions(
    frames: Sequence[np.ndarray],
    labels: np.ndarray,
    scores: np.ndarray,
    names: Sequence[str],
    path: str | Path,
    *,
    titles: Sequence[str] | None = None,
    top: int = 6,
    title: str = "",
) -> None:
    """Draw one row a video: frames in time order, then the highest scores with the true classes in colour.

    A true class below the `top` highest scores is drawn too, with its rank, so that misses show.

    Args:
        frames: A uint8 `(n, H, W, 3)` per video.
        labels: `(videos, classes)`, 0 or 1.
        scores: `(videos, classes)` probabilities.
        names: Class names.
        path: PNG to write.
        titles: A line above each row, such as the video's id.
        top: Scores to draw per video.
        title: Heading of the picture.

    Raises:
        ValueError: The arguments do not have the same number of videos or classes.
    """
    videos = len(frames)
    if not videos or labels.shape != (videos, len(names)) or scores.shape != labels.shape:
        raise ValueError(
            "frames, labels, scores and names must agree. Received: "
            f"{videos} videos, labels {labels.shape}, scores {scores.shape}, {len(names)} names."
        )
    bars = [_shown(labels[i], scores[i], top) for i in range(videos)]
    heights = [max(1.6, 0.26 * len(shown) + 0.75) for shown in bars]
    figure = Figure(figsize=(12, sum(heights) + 0.7), layout="constrained")
    grid = figure.add_gridspec(videos, 2, width_ratios=(6.4, 3), height_ratios=heights)
    for i in range(videos):
        strip = figure.add_subplot(grid[i, 0])
        strip.imshow(_mosaic(frames[i]))
        strip.set_axis_off()
        strip.set_anchor("NW")
        strip.set_title(titles[i] if titles else f"video {i}", loc="left", fontsize=10)
        axes = figure.add_subplot(grid[i, 1])
        _bars(axes, bars[i], labels[i], scores[i], names)
    handles = [_patch(_TRUE, "true"), _patch(_FALSE, "not annotated")]
    figure.legend(handles=handles, loc="outside upper right", ncols=2, frameon=False)
    figure.suptitle(title or "Highest scores, and true classes that rank lower (# is the rank)", x=0.01, ha="left")
    figure.savefig(path, dpi=110)


def reliability(curves: Mapping[str, tuple[Reliability, Reliability]], path: str | Path, *, title: str = "") -> None:
    """Draw for each head how often probabilities come true, before and after calibration, above their counts.

    Args:
        curves: Head name to `kerasfast.train.operating.calibration.reliability` before calibration and after.
        path: PNG to write.
        title: Heading of the picture.

    Raises:
        ValueError: There is no head.
    """
    if not curves:
        raise ValueError("curves must have at least one head. Received: none.")
    figure = Figure(figsize=(max(3.6 * len(curves), 4.6), 5.2), layout="constrained")
    grid = figure.subplots(2, len(curves), height_ratios=(3, 1), sharex=True, squeeze=False)
    for column, (head, pair) in enumerate(curves.items()):
        draw_reliability(*grid[:, column], pair)
        grid[0, column].set_title(head)
    grid[0, 0].set_ylabel("share that came true")
    grid[1, 0].set_ylabel("count")
    figure.suptitle(title or "Reliability before and after calibration", x=0.01, ha="left", fontsize=10)
    figure.savefig(path, dpi=120)


def draw_reliability(upper: Axes, lower: Axes, pair: tuple[Reliability, Reliability]) -> None:
    """Draw how often probabilities come true, before calibration and after, and below it their counts."""
    upper.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle=":", label="perfect")
    for colour, marker, when, one in zip(COLOURS[1::-1], "so", ("before", "after"), pair, strict=True):
        count, some = np.array(one.count), np.array(one.count) > 0
        mean, share = np.array(one.confidence)[some] / count[some], np.array(one.correct)[some] / count[some]
        upper.plot(
            mean,
            share,
            color=colour,
            marker=marker,
            markersize=4,
            clip_on=False,
            label=f"{when}, ECE {one.error:.3f}",
        )
        lower.stairs(count, np.linspace(0, 1, len(count) + 1), color=colour)
    upper.set(xlim=(0, 1), ylim=(0, 1))
    upper.legend(frameon=False, fontsize=8, loc="upper left")
    lower.set(xlabel="probability", yscale="symlog", ylim=(0, None))
    lower.yaxis.set_major_formatter("{x:g}")
    for axes in (upper, lower):
        axes.grid(alpha=0.3)


def _shown(labels: np.ndarray, scores: np.ndarray, top: int) -> list[tuple[int, int]]:
    """(class, rank from 1) of the `top` highest scores and of every true class below them."""
    order = np.argsort(-scores, kind="stable")
    return [(int(c), rank) for rank, c in enumerate(order, 1) if rank <= top or labels[c]]


def _bars(axes, shown, labels: np.ndarray, scores: np.ndarray, names: Sequence[str]) -> None:
    places = np.arange(len(shown))
    values = [float(scores[c]) for c, _ in shown]
    axes.barh(places, values, color=[_TRUE if labels[c] else _FALSE for c, _ in shown], height=0.7)
    axes.set_yticks(places, [textwrap.shorten(str(names[c]), 34, placeholder="...") for c, _ in shown], fontsize=8)
    for (c, _), text in zip(shown, axes.get_yticklabels(), strict=True):
        text.set_color(_TRUE if labels[c] else "black")
        text.set_fontweight("bold" if labels[c] else "normal")
    for place, value, (_, rank) in zip(places, values, shown, strict=True):
        note = f"{value:.2f}" if rank == place + 1 else f"{value:.2f}  #{rank}"
        axes.text(value + 0.02, place, note, va="center", fontsize=8)
    axes.invert_yaxis()
    axes.set(xlim=(0, 1.25), xticks=[0, 0.5, 1])
    axes.tick_params(axis="x", labelsize=8)
    axes.tick_params(axis="y", length=0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _mosaic(frames: np.ndarray, gap: int = 3) -> np.ndarray:
    """Frames on white, in one row up to six and else in two, read like text."""
    n, height, width, _ = frames.shape
    rows = 1 if n <= 6 else 2
    columns = -(-n // rows)
    picture = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for i, frame in enumerate(frames):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        picture[top : top + height, left : left + width] = frame
    return picture


def _patch(colour: str, label: str):
    from matplotlib.patches import Patch

    return Patch(color=colour, label=label)
