"""`kerasfast list` and `kerasfast info`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich import box
from rich.table import Table

from kerasfast.cli.console import example, out, start_tensorflow

if TYPE_CHECKING:
    from kerasfast.models.row import Variant
    from kerasfast.zoo_index import Entry, Metric

LIST_EXAMPLE = example("kerasfast list 'slowfast*' --dataset Charades")
INFO_EXAMPLE = example("kerasfast info slowfast_nano.miniature")
_COLUMNS: tuple[tuple[str, Literal["left", "right"], bool], ...] = (  # title, side, whether lines stay whole
    ("model", "left", True),
    ("clip", "right", True),
    ("weights", "left", False),
    ("top-1 %", "right", True),
)
_SHORTEST_SUMMARY = 24  # characters; with less room than that for summaries they are left out


def list_(
    pattern: Annotated[str, typer.Argument(help="Shell pattern of names.")] = "*",
    task: Annotated[
        str | None, typer.Option(help="Only weights of a task: single_label (softmax) or multi_label (sigmoid).")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Only weights trained on a dataset.")] = None,
) -> None:
    """List the models of the zoo."""
    from kerasfast.registry import entry, list_models

    names = list_models(pattern, task=task, dataset=dataset)
    if not names:
        raise ValueError(f"No model matches {pattern!r} and the options. `kerasfast list` shows all names.")
    rows = [entry(name) for name in names]
    columns: dict[str, list[str]] = {
        "model": names,
        "clip": [f"{row.variant.clip.frames}x{row.variant.clip.stride}" for row in rows],
        "weights": [row.dataset or "random" for row in rows],
        "top-1 %": [_headline(row) for row in rows],
    }
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for title, justify, no_wrap in _COLUMNS:
        table.add_column(title, justify=justify, no_wrap=no_wrap)
    room = out.width - sum(max(map(len, (title, *cells))) + 2 for title, cells in columns.items()) - 2
    if room >= _SHORTEST_SUMMARY:
        columns["summary"] = [row.summary for row in rows]
        table.add_column("summary", no_wrap=True, max_width=room)
    for cells in zip(*columns.values(), strict=True):
        table.add_row(*cells)
    out.print(table)


def _headline(row: Entry) -> str:
    """The first published result in percent: top-1 accuracy, or mAP."""
    if row.metrics:
        first = row.metrics[0]
        return f"{first.top1:.2f}" if first.top1 is not None else f"mAP {first.map:.2f}"
    if "action mAP" in row.card.get("metrics", {}):
        return f"mAP {100 * row.card['metrics']['action mAP']['map']:.2f}"
    return ""


def info(name: Annotated[str, typer.Argument(help="A name that `kerasfast list` shows.")]) -> None:
    """Show the card of a model."""
    start_tensorflow()
    from kerasfast.registry import entry, load

    row = entry(name)
    model = load(name, weights=False)
    out.print(name, style="bold")
    out.print(_grid((*_network(row, model), *_weights(row))))
    if row.source:  # outside of the grid, which would break addresses into lines
        out.print(f"published at   {row.page}", soft_wrap=True)
        out.print(f"file           {row.source.url}", soft_wrap=True)


def _grid(rows: Iterable[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for title, text in rows:
        table.add_row(title, text)
    return table


def _network(row: Entry, model: Any) -> Iterator[tuple[str, str]]:
    """What the network is and what it takes."""
    variant, clip = row.variant, row.variant.clip
    yield "summary", row.summary
    two = f", alpha {variant.alpha}, beta {variant.beta:g}" if len(variant.pathways) == 2 else ""
    yield "pathways", f"{' + '.join(variant.pathways)}{two}"
    if row.sampling == "video":
        yield "frames", f"{clip.frames}, the middle ones of {clip.frames} equal parts of the video"
    else:
        yield "frames", f"{clip.frames}, stride {clip.stride}, at {clip.fps:g} fps ({clip.seconds:.2f} s)"
    low, high = variant.short_side
    yield "training crop", f"{variant.crop_size} px, out of a short side of {low} to {high} px"
    yield "testing crop", f"{variant.test_crop_size} px"
    yield "pixels", f"RGB, 0 to 255, mean {_numbers(variant.pixel_mean)}, std {_numbers(variant.pixel_std)}"
    for name, head in model.heads.items():
        named = f", {head.labels[0]!r} to {head.labels[-1]!r}" if head.labels else ""
        yield f"head {name!r}", f"{head.classes} classes, {head.activation}{named}"
    yield from _differences(row.variant, row.architecture)
    yield "parameters", f"{sum(math.prod(weight.shape) for weight in model.trainable_weights):,}"


def _differences(variant: Variant, architecture: str) -> Iterator[tuple[str, str]]:
    """Fields of the network itself in which weights differ from the architecture of their name."""
    from kerasfast.models.variants import VARIANTS

    shown = ("clip", "pixel_mean", "pixel_std", "crop_size", "test_crop_size", "short_side")
    for field in dataclasses.fields(variant):
        value = getattr(variant, field.name)
        if field.name not in shown and value != getattr(VARIANTS[architecture], field.name):
            yield field.name, str(value)


def _weights(row: Entry) -> Iterator[tuple[str, str]]:
    """Where the weights come from and how good they are."""
    yield "weights", row.dataset or "random"
    for metric in row.metrics:
        yield "result", _result(metric)
    for key, value in row.card.get("metrics", {}).items():
        yield key, ", ".join(f"{part} {figure}" for part, figure in value.items())
    if row.source:
        yield "family", row.source.family
        yield "sha256", f"begins with {row.source.sha256}" if row.source.sha256 else "not published"
    for key in ("origin", "sha256"):
        if key in row.card:
            yield key, row.card[key]
    if row.license:
        yield "license", row.license


def _result(metric: Metric) -> str:
    names = {"top1": "top-1", "top5": "top-5", "map": "mAP"}
    scores = [f"{title} {getattr(metric, name):g} %" for name, title in names.items() if getattr(metric, name)]
    views = f"{_count(metric.clips, 'clip')} x {_count(metric.crops, 'crop')} of {metric.crop_size} px"
    side = "" if metric.short_side == metric.crop_size else f" (short side {metric.short_side} px)"
    cost = "" if metric.gflops is None else f"; {metric.gflops:g} GFLOPs a view"
    merge = f", {metric.merge}" if metric.clips * metric.crops > 1 else ""
    return f"{', '.join(scores)}: {views}{side}{merge}{cost}"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' if number != 1 else ''}"


def _numbers(values: tuple[float, ...]) -> str:
    """Values of three channels, once where they are the same."""
    return " ".join(f"{value:g}" for value in (values[:1] if len(set(values)) == 1 else values))
