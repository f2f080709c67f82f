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
    records: Annotated[Path, typer.Option(help="Folder of `kerasfast records build`.")],
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


def evaluate(
    model: Annotated[str, typer.Argument(help="Folder of a run, or a name of the zoo.")],
    records: Annotated[Path, typer.Option(help="Folder of `kerasfast records build`.")],
    split: Annotated[str, typer.Option(help="Split to score.")] = "test",
    clips: Annotated[int, typer.Option(min=1, help="Clips of a video.")] = 10,
    crops: Annotated[int, typer.Option(help="Crops of a clip, 3 or 1.")] = 3,
    merge: Annotated[str, typer.Option(help="How views become one score: max or mean.")] = "max",
    rule: Annotated[str, typer.Option(help="Rule of average precision: sklearn or charades.")] = "sklearn",
    file: Annotated[
        Path | None, typer.Option("--out", help="metrics.json; by default in the folder of the run.")
    ] = None,
) -> None:
    """Score a model on many views of every video."""
    start_tensorflow()
    from kerasfast.train.evaluate import evaluate as score
    from kerasfast.train.run import load_model

    if file is None and Path(model).is_dir():
        file = Path(model) / "metrics.json"
    with progress("Views") as report:
        metrics = score(
            load_model(model),
            records,
            clips=clips,
            crops=crops,
            merge=merge,
            split=split,
            rule=rule,
            out=file,
            progress=report,
        )
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
