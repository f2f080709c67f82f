"""`kerasfast predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from kerasfast.cli.console import example, out, progress, start_tensorflow

EXAMPLE = example("kerasfast predict kitchen.mp4 --model slowfast_nano.miniature")


def predict(
    video: Annotated[Path, typer.Argument(help="A video file.")],
    model: Annotated[str, typer.Option(help="A name of the zoo, or the folder of a run.")],
    top: Annotated[int, typer.Option(min=1, help="Classes to show of each head.")] = 5,
    clips: Annotated[int, typer.Option(min=1, help="Clips of the video.")] = 10,
    crops: Annotated[int, typer.Option(help="Crops of a clip, 3 or 1.")] = 3,
) -> None:
    """Say what happens in a video."""
    start_tensorflow()
    from kerasfast.train.predict import predict_video
    from kerasfast.train.run import load_model

    loaded = load_model(model)
    with progress("Clips") as report:
        scores = predict_video(loaded, video, clips=clips, crops=crops, progress=report)
    table = Table("head", "class", "score", title=f"{video.name}: {clips} clips x {crops} crops")
    for head, values in scores.items():
        labels = loaded.heads[head].labels
        for rank, index in enumerate(values.argsort()[::-1][:top]):
            name = labels[index] if labels else f"class {index}"
            table.add_row(head if rank == 0 else "", name, f"{values[index]:.3f}", end_section=rank == top - 1)
    out.print(table)
