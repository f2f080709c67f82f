"""`kerasfast export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kerasfast.cli.console import err, example, out, start_tensorflow

EXAMPLE = example("kerasfast export slowfast_nano.miniature serving/slowfast_nano/1 --precision bfloat16 --config")


def export(
    model: Annotated[str, typer.Argument(help="Folder of a run, or a name of the zoo.")],
    path: Annotated[Path, typer.Argument(help="Folder to make; TF Serving wants its last part to be a number.")],
    precision: Annotated[str, typer.Option(help="What convolutions compute in: float32 or bfloat16.")] = "float32",
    signatures: Annotated[
        str, typer.Option(help="Some of serving_default, jpeg_frames, views, features, with commas between them.")
    ] = "serving_default,jpeg_frames,views,features",
    merge: Annotated[
        str | None, typer.Option(help="How `views` merges: max or mean; by default as `evaluate` and `calibrate` do.")
    ] = None,
    config: Annotated[
        bool, typer.Option("--config", help="Write TF Serving's models.config and batching.config, two folders above.")
    ] = False,
) -> None:
    """Write a SavedModel that needs no kerasfast to run."""
    start_tensorflow()
    from kerasfast.serving.config import write_serving_config
    from kerasfast.serving.saved_model import export as write
    from kerasfast.train.operating_points import OperatingPoints
    from kerasfast.train.run import load_model

    if config and not path.name.isdigit():
        raise ValueError(f"--config needs a path that ends in a version number. Received: {path}. Give {path / '1'}.")
    loaded = load_model(model)
    points = OperatingPoints.of_run(model, loaded)
    names = [name.strip() for name in signatures.split(",")]
    with err.status("Tracing, writing, loading again, comparing"):
        report = write(loaded, path, precision=precision, signatures=names, merge=merge, operating_points=points)
    out.print(
        f"{report}." + (" Its operating points lie in assets.extra." if points else ""), soft_wrap=True, markup=False
    )
    if config:
        files = write_serving_config(path.absolute().parents[1])
        out.print(f"Wrote {' and '.join(str(file) for file in files)}.", soft_wrap=True, markup=False)
