"""`kerasfast embed`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from kerasfast.cli.console import err, example, out, progress, start_tensorflow
from kerasfast.cli.output_files import check_outputs
from kerasfast.explain import DEFAULT_MODEL

if TYPE_CHECKING:
    from kerasfast.explain.features.embed import Features

EXAMPLE = example(
    "kerasfast embed kitchen.mp4 --every 1",
    "kerasfast embed videos/ 'more/*.mp4' --model slowfast_nano.miniature --out features",
)


def embed(
    videos: Annotated[
        list[str],
        typer.Argument(
            metavar="VIDEO...",
            help="Files, folders (videos at any depth), patterns, or addresses of files. A bad one does not end the "
            "others; the exit code is 1 then, and 130 after Ctrl-C.",
        ),
    ],
    model: Annotated[str, typer.Option(help="A name of the zoo, or the folder of a run.")] = DEFAULT_MODEL,
    every: Annotated[
        float | None,
        typer.Option(help="Seconds from one window to the next.", show_default="one window after the other"),
    ] = None,
    folder: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder for features.npz and features.parquet.")
    ] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Write over files that exist.")] = False,
) -> None:
    """Write the features of each stretch of videos, with its times, for search, clustering or training."""
    from kerasfast.cli.sources import find, say_failures

    arrays, parquet = folder / "features.npz", folder / "features.parquet"
    check_outputs((arrays, parquet), force)
    sources, failures = find(videos)  # before a model is loaded
    start_tensorflow()
    from kerasfast.data.errors import DataError
    from kerasfast.explain.features import embed as module
    from kerasfast.explain.features.files import write_npz, write_parquet
    from kerasfast.train.run import load_model

    network = load_model(model)
    done: list[Features] = []
    interrupted = False
    with progress("Videos") as report:
        for number, source in enumerate(sources):
            report(number, len(sources))
            try:
                done.append(module.embed(network, source, every=every, keep_interrupted=True))
                interrupted = done[-1].interrupted
            except (DataError, OSError) as error:
                failures.append(str(error))
            except KeyboardInterrupt:
                interrupted = True
            if interrupted:
                break
        else:
            report(len(sources), len(sources))
    if not done and len(failures) == 1:
        raise ValueError(failures[0])
    if done:
        folder.mkdir(parents=True, exist_ok=True)
        write_npz(arrays, done)
        write_parquet(parquet, done)
        out.print(_summary(done))
        out.print(f"Written to {escape(str(arrays))} and {escape(parquet.name)}.", soft_wrap=True)
    say_failures(failures, len(done))
    if interrupted:
        kept = f"{len(done)} of {len(sources)} videos are in the files." if done else "nothing is written."
        err.print(f"Interrupted: {kept}", style="yellow")
        raise typer.Exit(130)
    if failures:
        raise typer.Exit(1)


def _summary(videos: list[Features]) -> Table:
    """One row a video."""
    numbers = f"{videos[0].features.shape[1]} numbers a window"
    table = Table("video", "windows", "seconds", title=f"{numbers}, {videos[0].endpoint} of {escape(videos[0].model)}")
    for one in videos:
        table.add_row(escape(one.source), str(len(one.starts)), f"{one.ends[-1]:.1f}")
        if one.ended:
            table.add_row(f"[yellow]{escape(one.ended)}[/yellow]")
    return table
