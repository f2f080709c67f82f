"""The plots of docs/performance.md, as text: SVG with the same bytes for the same figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from performance_figures import overhead_end, share, single_calls

# Okabe and Ito's palette, which colour-blind readers can tell apart.
_COLOURS = {"float32": "#0072B2", "bfloat16": "#D55E00"}
_AXES = {"frames": ("#0072B2", "o"), "side": ("#D55E00", "s"), "batch": ("#009E73", "^"), "views": ("#CC79A7", "D")}


def _save(figure: Figure, path: Path) -> None:
    with matplotlib.rc_context({"svg.hashsalt": path.stem, "svg.fonttype": "none"}):
        metadata = {"Date": None} if path.suffix == ".svg" else None
        figure.savefig(path, dpi=120, metadata=metadata)
    if path.suffix == ".svg":  # matplotlib leaves spaces at the ends of lines
        path.write_text("".join(line.rstrip() + "\n" for line in path.read_text("utf-8").splitlines()), "utf-8")


def contenders_plot(model: Mapping[str, Any], path: Path) -> None:
    """A bar for every contender that was measured, fastest on top, with its share of the multiplication rate.

    A bar of a type that the processor has no arithmetic for would press the others flat: it leaves the picture.
    """
    measured = {name: found for name, found in model["contenders"].items() if "median_seconds" in found}
    names = sorted(measured, key=lambda name: -measured[name]["median_seconds"])
    figure = Figure(figsize=(9, 0.8 + 0.36 * len(names)), layout="constrained")
    axes = figure.subplots()
    end = 1.5 * max(found["median_seconds"] for found in measured.values() if found["precision"] == "float32")
    for row, name in enumerate(names):
        found = measured[name]
        own = name.startswith("kerasfast")
        axes.barh(row, found["median_seconds"], color=_COLOURS[found["precision"]], alpha=1.0 if own else 0.45)
        part = share(model, name)
        text = f" {found['median_seconds']:.3g} s" + ("" if part is None else f", {100 * part:.0f} %")
        if found["median_seconds"] > end:
            axes.text(end, row, f"{text} →  ", va="center", ha="right", fontsize=8, color="white")
        else:
            axes.text(found["median_seconds"], row, text, va="center", fontsize=8)
    titles = [f"{measured[name]['title']}, {measured[name]['precision']}" for name in names]
    axes.set_yticks(range(len(names)), titles, fontsize=8)
    axes.set_xlabel("seconds of a view; its direct multiply-adds as a share of the multiplication rate")
    axes.set_title("One view of " + model["model"])
    axes.set_xlim(0, end)
    axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def growth_plot(growth: Mapping[str, Any], path: Path) -> None:
    """Milliseconds for 10^9 multiply-adds against multiply-adds: level where arithmetic is all that takes time."""
    figure = Figure(figsize=(5.2 * len(growth), 4), layout="constrained")
    for axes, (name, points) in zip(figure.subplots(1, len(growth), squeeze=False)[0], growth.items(), strict=True):
        for axis, (colour, marker) in _AXES.items():
            own = sorted(
                (point["giga_multiply_adds"], 1e3 * point["seconds"] / point["giga_multiply_adds"])
                for point in points
                if point["axis"] == axis
            )
            if own:
                axes.plot(*zip(*own, strict=True), color=colour, marker=marker, ms=4, lw=1, label=axis)
        end = overhead_end(single_calls(points))
        if end is not None:
            axes.axvline(end, color="black", lw=0.8, ls="--", label="overhead ends")
        axes.set(xscale="log", xlabel="10$^9$ multiply-adds of a call", ylabel="ms for 10$^9$", title=name)
        axes.set_ylim(0, None)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=8, title="what grows", title_fontsize=8)
    _save(figure, path)
