"""`kerasfast report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kerasfast.cli.console import example, out, start_tensorflow

EXAMPLE = example(
    "kerasfast report runs/nano --records out/records",
    "kerasfast report runs/nano --metrics metrics-quick.json --out quick.html",
)


def report(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    records: Annotated[
        str | None,
        typer.Option(
            help="Folder of `kerasfast records build`, or its address, for facts of the data and pictures of mistakes.",
            show_default="without both",
        ),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--out", help="HTML file to write.", show_default="report.html in the run")
    ] = None,
    metrics: Annotated[
        Path | None, typer.Option(help="Evaluation to report on.", show_default="metrics.json of the run")
    ] = None,
    mistakes: Annotated[int, typer.Option(min=0, max=24, help="Mistakes of each kind and head to show.")] = 6,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
) -> None:
    """Make one HTML file to judge a run by: figures, curves, classes, confusion, mistakes, data, recipe."""
    if records is not None:
        start_tensorflow()  # reads the pictures
    from kerasfast.explain.report.page import write_report

    written = write_report(run, file, records=records, metrics=metrics, mistakes=mistakes, force=force)
    for problem in written.problems:
        out.print(problem, style="red", markup=False, soft_wrap=True)
    for missing in written.missing.values():
        out.print(f"{missing.what} {missing.command}", markup=False, highlight=False, soft_wrap=True)
    out.print(f"Written to {written.path} ({written.bytes / 1e6:.1f} MB).", soft_wrap=True)
