"""`kerasfast bench`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from kerasfast.cli.console import err, example, out, start_tensorflow

if TYPE_CHECKING:
    from kerasfast.models.classifier import VideoClassifier
    from kerasfast.serving.measure import Measurement

EXAMPLE = example(
    "kerasfast bench slowfast_r50_8x8",
    "kerasfast bench slowfast_nano --precision float32 --batch 8 --json speed.json",
)


def bench(
    model: Annotated[
        str, typer.Argument(help="A name of the zoo (nothing is fetched for it), or the folder of a run.")
    ] = "slowfast_r50_8x8",
    precision: Annotated[
        list[str] | None,
        typer.Option(help="Precision to measure; may be given again.", show_default="each that has kernels here"),
    ] = None,
    batch: Annotated[int, typer.Option(help="Clips of a call.")] = 1,
    crop_size: Annotated[
        int | None, typer.Option(help="Side of the frames in pixels.", show_default="the model's for testing")
    ] = None,
    seconds: Annotated[float, typer.Option(help="Time to measure each precision.")] = 10.0,
    file: Annotated[Path | None, typer.Option("--json", help="JSON to write.")] = None,
) -> None:
    """Measure a model on this machine: clips a second, latency, memory, and which precision to use."""
    # This process exports, others answer: on a GPU the first that starts TensorFlow would take all memory from them.
    os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
    start_tensorflow()
    from kerasfast.serving.measure import measure

    if file is not None and not file.parent.is_dir():
        raise ValueError(f"--json names a file in a folder that is there. Received: {file}.")
    with err.status(f"Building {model}"):
        loaded = _load(model)
    with err.status("Exporting, then calls in turn"):
        found = measure(loaded, precisions=precision, batch_size=batch, crop_size=crop_size, seconds=seconds)
    out.print(speeds_table(found))
    for line in found.advice():
        out.print(f"- {line}", soft_wrap=True, highlight=False)
    if file is not None:
        file.write_text(json.dumps(found.to_dict(), indent=1) + "\n", "utf-8")


def _load(name: str) -> VideoClassifier:
    """The model of a run or of the zoo; where its weights would be fetched, random ones, which are as fast."""
    from kerasfast.registry import entry, load
    from kerasfast.train.run import load_model

    if len(Path(name).parts) > 1 or Path(name).is_dir():
        return load_model(name)
    shipped = bool(entry(name).card)
    return load(name) if shipped else load(name, weights=False)


def speeds_table(found: Measurement) -> Table:
    """A row a precision."""
    device = "a GPU" if found.gpu else f"{found.cores} CPU core{'' if found.cores == 1 else 's'}"
    batch, frames, height, width, _ = found.frames
    title = f"{found.model}, {batch} x {frames} frames of {height}x{width}, on {device}"
    table = Table("precision", title=title)
    for name in ("clips/s", "median ms", "p90 ms", "peak MiB", "calls"):
        table.add_column(name, justify="right")
    for speed in (*found.speeds, *([found.direct] if found.direct else [])):
        table.add_row(
            speed.precision,
            f"{speed.clips_per_second:.3g}",
            f"{1e3 * speed.median_seconds:,.1f}",
            f"{1e3 * speed.p90_seconds:,.1f}",
            "not known" if speed.peak_mib is None else f"{speed.peak_mib:,.0f}",
            str(speed.calls),
        )
    return table
