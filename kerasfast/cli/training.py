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
    checkpoint_steps: Annotated[
        int | None, typer.Option(min=1, help="Steps between checkpoints.", show_default="the recipe's, or an epoch")
    ] = None,
    deterministic: Annotated[bool, typer.Option(help="Equal inputs give equal bits; slower.")] = False,
    strategy: Annotated[
        str,
        typer.Option(
            help="none: one device; mirrored: all GPUs; multi_worker: the processes that TF_CONFIG lists.",
        ),
    ] = "none",
    tensorboard: Annotated[bool, typer.Option(help="Write logs for TensorBoard into the run.")] = False,
    overwrite: Annotated[bool, typer.Option(help="Begin anew where the folder holds a run.")] = False,
) -> None:
    """Train a model as a recipe says, or go on where a run in the folder was stopped."""
    start_tensorflow()
    from kerasfast.train.distribute import make_strategy
    from kerasfast.train.fit import train as fit

    result = fit(
        recipe,
        records,
        folder,
        epochs=epochs,
        smoke=smoke,
        checkpoint_steps=checkpoint_steps,
        deterministic=deterministic,
        strategy=make_strategy(strategy),
        tensorboard=tensorboard,
        overwrite=overwrite,
    )
    out.print(f"{result.steps - result.resumed} steps in {result.seconds:.0f} s. {result.folder} holds the run.")
