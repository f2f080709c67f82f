"""`kerasfast train` and `kerasfast evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from kerasfast.cli.console import example, out, progress, start_tensorflow

TRAIN_EXAMPLE = example("kerasfast train miniature_slowfast_nano --records out/records --out runs/nano")
EVALUATE_EXAMPLE = example("kerasfast evaluate runs/nano --records out/records")


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
    tensorboard: Annotated[bool, typer.Option(help="Write logs for TensorBoard into the run.")] = False,
    overwrite: Annotated[bool, typer.Option(help="Begin anew where the folder holds a run.")] = False,
) -> None:
    """Train a model as a recipe says, or go on where a run in the folder was stopped."""
    start_tensorflow()
    from kerasfast.train.fit import train as fit

    result = fit(
        recipe,
        records,
        folder,
        epochs=epochs,
        smoke=smoke,
        checkpoint_steps=checkpoint_steps,
        deterministic=deterministic,
        tensorboard=tensorboard,
        overwrite=overwrite,
    )
    out.print(f"{result.steps - result.resumed} steps in {result.seconds:.0f} s. {result.folder} holds the run.")


def evaluate(
    model: Annotated[str, typer.Argument(help="Folder of a run, or a name of the zoo.")],
    records: Annotated[str, typer.Option(help="Folder of `kerasfast records build`, or its address (s3://...).")],
    split: Annotated[str | None, typer.Option(help="Split to score.", show_default="the recipe's, or test")] = None,
    clips: Annotated[
        int | None, typer.Option(min=1, help="Clips of a video.", show_default="the recipe's, or 10")
    ] = None,
    crops: Annotated[
        int | None, typer.Option(help="Crops of a clip, 3 or 1.", show_default="the recipe's, or 3")
    ] = None,
    merge: Annotated[
        str | None,
        typer.Option(
            help="How views become one score: max or mean.",
            show_default="the recipe's, or max for sigmoid and mean for softmax heads",
        ),
    ] = None,
    rule: Annotated[
        str | None,
        typer.Option(help="Rule of average precision: sklearn or charades.", show_default="the recipe's, or sklearn"),
    ] = None,
    head: Annotated[
        list[str] | None, typer.Option(help="Head to score; again for several.", show_default="all")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--out", help="JSON to write.", show_default="metrics.json or metrics-SPLIT.json in the run"),
    ] = None,
) -> None:
    """Score a model on many views of every video."""
    start_tensorflow()
    from kerasfast.train.evaluate import evaluate as score
    from kerasfast.train.run import evaluation_protocol, load_model

    protocol = evaluation_protocol(model)
    if file is None and Path(model).is_dir():
        usual = split is None or split == protocol.get("split", "test")
        file = Path(model) / ("metrics.json" if usual else f"metrics-{split}.json")
    asked = {"split": split, "clips": clips, "crops": crops, "merge": merge, "rule": rule}
    protocol |= {name: value for name, value in asked.items() if value is not None}
    with progress("Views") as report:
        metrics = score(load_model(model), records, **protocol, heads=head, out=file, progress=report)
    out.print(metrics_table(metrics))
    if file is not None:
        out.print(f"Written to {file}.")


def metrics_table(metrics: dict[str, Any]) -> Table:
    """One row a head: mAP, chance and their ratio."""
    protocol = metrics["protocol"]
    title = f"{protocol['videos']} videos, {protocol['clips']} clips x {protocol['crops']} crops, {protocol['merge']}"
    table = Table("head", "mAP", "chance", "ratio", title=title)
    for head, values in metrics["heads"].items():
        ratio = values["map"] / values["chance"]
        table.add_row(head, f"{values['map']:.3f}", f"{values['chance']:.3f}", f"{ratio:.1f}")
    return table
