"""`kerasfast embed`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from kerasfast.cli.console import err, example, out, progress, start_tensorflow

if TYPE_CHECKING:
    from kerasfast.explain.embed import Features

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
    start_tensorflow()
    from kerasfast.data.errors import DataError
    from kerasfast.explain.embed import INTERRUPTED
    from kerasfast.explain.embed import embed as embed_video
    from kerasfast.explain.feature_files import write_npz, write_parquet
    from kerasfast.train.run import load_model

    sources, loaded = find_sources(videos), load_model(model)
    done: list[Features] = []
    failed: list[str] = []
    interrupted = False
    with progress("Videos") as report:
        for number, source in enumerate(sources):
            report(number, len(sources))
            try:
                done.append(embed_video(loaded, source, every=every, keep_interrupted=True))
            except DataError as error:
                failed.append(str(error))
            except KeyboardInterrupt:
                interrupted = True
            if interrupted or (done and done[-1].ended == INTERRUPTED):
                interrupted = True
                break
        report(len(sources), len(sources))
    for message in failed:
        err.print(message, style="yellow", markup=False, soft_wrap=True)
    if not done:
        raise ValueError("No video gave features, so nothing was written.")
    folder.mkdir(parents=True, exist_ok=True)
    write_npz(arrays, done)
    write_parquet(parquet, done)
    out.print(_summary(done))
    if interrupted:
        err.print(f"Interrupted: {len(done)} of {len(sources)} videos are in the files.", style="yellow")
    out.print(f"Written to {escape(str(arrays))} and {escape(parquet.name)}.", soft_wrap=True)


def _summary(videos: list[Features]) -> Table:
    """One row a video."""
    table = Table("video", "windows", "seconds", "", title=f"{videos[0].features.shape[1]} numbers a window")
    for one in videos:
        table.add_row(escape(one.source), str(len(one.starts)), f"{one.ends[-1]:.1f}", escape(one.ended or ""))
    return table
