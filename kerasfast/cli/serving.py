"""`kerasfast export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kerasfast.cli.console import err, example, out, start_tensorflow

EXAMPLE = example("kerasfast export slowfast_nano.miniature serving/slowfast_nano/1")


def export(
    model: Annotated[str, typer.Argument(help="Folder of a run, or a name of the zoo.")],
    path: Annotated[Path, typer.Argument(help="Folder to make; TF Serving wants its last part to be a number.")],
) -> None:
    """Write a SavedModel that needs no kerasfast to run."""
    start_tensorflow()
    from kerasfast.serving.saved_model import export as write
    from kerasfast.train.operating.points import OperatingPoints
    from kerasfast.train.run import load_model

    loaded = load_model(model)
    points = OperatingPoints.of_run(model, loaded)
    with err.status("Tracing, writing, loading again, comparing"):
        report = write(loaded, path, operating_points=points)
    out.print(
        f"{report.path}: signatures {', '.join(report.signatures)}; {report.bytes / 1e6:.1f} MB in "
        f"{report.seconds:.0f} s; largest difference to the Keras model {report.largest_difference:.1e}."
        + (" Its operating points lie in assets.extra." if points else "")
    )
