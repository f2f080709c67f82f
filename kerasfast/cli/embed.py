"""`kerasfast embed`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from kerasfast.cli.console import err, example, out, progress, start_tensorflow

EXAMPLE = example(
    "kerasfast embed kitchen.mp4 --model slowfast_nano.miniature --every 1",
    "kerasfast embed videos --model slowfast_nano.miniature --out features",
)


def embed(
    videos: Annotated[list[str], typer.Argument(metavar="VIDEO...", help="Video files, folders or patterns.")],
    model: Annotated[str, typer.Option(help="A name of the zoo, or the folder of a run.")],
    every: Annotated[
        float | None,
        typer.Option(help="Seconds from one window to the next.", show_default="one window after the other"),
    ] = None,
    folder: Annotated[Path, typer.Option("--out", help="Folder for features.npz and features.parquet.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
) -> None:
    """Write the features of each stretch of videos, with its times, for search, clustering or training."""
    arrays, parquet = folder / "features.npz", folder / "features.parquet"
    for path in (arrays, parquet):
        if path.exists() and not force:
            raise ValueError(f"{path} exists. Give another --out, or --force to replace it.")
