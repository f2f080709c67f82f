"""`kerasfast train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kerasfast.cli.console import example, out, start_tensorflow

TRAIN_EXAMPLE = example("kerasfast train miniature_slowfast_nano --records out/records --out runs/nano")


def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, or the path of its .toml file.")],
    records: Annotated[str, typer.Option(help="Folder of `kerasfast records build`, or its address (s3://...).")],
    folder: Annotated[Path, typer.Option("--out", help="Folder of the run.")],
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs in place of the recipe's.")] = None,
    smoke: Annotated[bool, typer.Option(help="The recipe's short version: shows that everything runs.")] = False,
    overwrite: Annotated[bool, typer.Option(help="Replace the run that is in the folder.")] = False,
) -> None:
    """Train a model as a recipe says."""
    start_tensorflow()
    from kerasfast.train.fit import train as fit

    result = fit(recipe, records, folder, epochs=epochs, smoke=smoke, overwrite=overwrite)
    out.print(f"{result.steps} steps in {result.seconds:.0f} s. {result.folder} holds the run.")
