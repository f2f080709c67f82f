"""`kerasfast list` and `kerasfast info`."""

from __future__ import annotations

import math
from typing import Annotated

import typer
from rich.table import Table

from kerasfast.cli.console import example, out, start_tensorflow

LIST_EXAMPLE = example("kerasfast list 'slowfast*'")
INFO_EXAMPLE = example("kerasfast info slowfast_nano.miniature")


def list_(pattern: Annotated[str, typer.Argument(help="Shell pattern of names.")] = "*") -> None:
    """List the models of the zoo."""
    from kerasfast.registry import entry, list_models

    names = list_models(pattern)
    if not names:
        raise ValueError(f"No model matches {pattern!r}. `kerasfast list` shows all names.")
    table = Table("model", "frames x stride", "weights", "summary")
    for name in names:
        row = entry(name)
        clip = row.variant.clip
        table.add_row(name, f"{clip.frames}x{clip.stride}", row.dataset or "random", row.summary)
    out.print(table)


def info(name: Annotated[str, typer.Argument(help="A name that `kerasfast list` shows.")]) -> None:
    """Show the card of a model."""
    start_tensorflow()
    from kerasfast.models.heads import KINETICS400
    from kerasfast.registry import entry, load

    row = entry(name)
    variant, clip = row.variant, row.variant.clip
    model = load(name, weights=False)
    parameters = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    heads = row.head_rows() or KINETICS400
    table = Table(title=name, show_header=False, title_justify="left")
    table.add_row("summary", row.summary)
    table.add_row("pathways", " + ".join(variant.pathways))
    table.add_row("clip", f"{clip.frames} frames, stride {clip.stride}, at {clip.fps:g} fps ({clip.seconds:.2f} s)")
    if len(variant.pathways) == 2:
        table.add_row("alpha, beta", f"{variant.alpha}, {variant.beta:g}")
    table.add_row("crop", f"{variant.crop_size} px to train, {variant.test_crop_size} px to test")
    table.add_row("pixels", f"RGB 0..255, mean {variant.pixel_mean}, std {variant.pixel_std}")
    table.add_row("heads", ", ".join(f"{key}: {head.classes} {head.activation}" for key, head in heads.items()))
    table.add_row("parameters", f"{parameters:,}")
    table.add_row("weights", row.dataset or "random")
    for key, value in row.card.get("metrics", {}).items():
        table.add_row(key, ", ".join(f"{part} {figure}" for part, figure in value.items()))
    for key in ("origin", "sha256"):
        if key in row.card:
            table.add_row(key, row.card[key])
    if row.license:
        table.add_row("license", row.license)
    out.print(table)
