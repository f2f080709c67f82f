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
    from kerasfast.decoding import decode
    from kerasfast.train.predict import predict_video
    from kerasfast.train.run import load_model

    loaded = load_model(model)
    with progress("Clips") as report:
        scores = predict_video(loaded, video, clips=clips, crops=crops, progress=report)
    table = Table("head", "class", "score", title=f"{video.name}: {clips} clips x {crops} crops")
    for head, predictions in decode(loaded, scores, top).items():
        for rank, found in enumerate(predictions):
            last = rank == len(predictions) - 1
            table.add_row("" if rank else head, found.label, f"{found.score:.3f}", end_section=last)
    out.print(table)
