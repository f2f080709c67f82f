"""`kerasfast export`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kerasfast.cli.console import err, example, out, start_tensorflow

if TYPE_CHECKING:
    from kerasfast.models.classifier import VideoClassifier
    from kerasfast.train.operating.points import OperatingPoints

EXAMPLE = example(
    "kerasfast export slowfast_nano.miniature serving/slowfast_nano/1 --precision bfloat16 --config",
    "kerasfast export slowfast_nano.miniature nano_int8 --format openvino --int8 --calibration records",
)


class Format(str, Enum):
    """What `kerasfast export` writes."""

    SAVED_MODEL = "saved_model"
    ONNX = "onnx"
    OPENVINO = "openvino"
    LITERT = "litert"


def export(
    model: Annotated[str, typer.Argument(help="Folder of a run, or a name of the zoo.")],
    path: Annotated[Path, typer.Argument(help="Folder to make; TF Serving wants its last part to be a number.")],
    precision: Annotated[
        str | None,
        typer.Option(help="What convolutions compute in: float32 or bfloat16.", show_default="float32"),
    ] = None,
    signatures: Annotated[
        str | None,
        typer.Option(
            help="Some of serving_default, jpeg_frames, views, features, with commas between them.", show_default="all"
        ),
    ] = None,
    merge: Annotated[
        str | None, typer.Option(help="How `views` merges: max or mean; by default as `evaluate` and `calibrate` do.")
    ] = None,
    config: Annotated[
        bool, typer.Option("--config", help="Write TF Serving's models.config and batching.config, two folders above.")
    ] = False,
    winograd: Annotated[
        bool | None,
        typer.Option(
            "--winograd/--no-winograd",
            help="Convolve by Winograd's algorithm: faster on CPUs in float32, but a larger file.",
            show_default="winograd in float32",
        ),
    ] = None,
    format: Annotated[Format, typer.Option(help="SavedModel, or the file of another runtime.")] = Format.SAVED_MODEL,
    int8: Annotated[bool, typer.Option("--int8", help="8 bits; openvino and litert, with --calibration.")] = False,
    calibration: Annotated[
        str | None, typer.Option(help="Records whose training videos show the ranges of features for --int8.")
    ] = None,
) -> None:
    """Write a model that needs no kerasfast to run."""
    start_tensorflow()
    from kerasfast.serving.config import write_serving_config
    from kerasfast.serving.saved_model import export as write
    from kerasfast.train.operating.points import OperatingPoints
    from kerasfast.train.run import load_model

    if format is Format.SAVED_MODEL and (int8 or calibration is not None):
        raise ValueError("--int8 and --calibration go with --format openvino or --format litert.")
    given = {
        "--precision": precision,
        "--signatures": signatures,
        "--merge": merge,
        "--config": config or None,
        "--winograd": winograd or None,  # other formats never have it: --no-winograd is no contradiction
    }
    if format is not Format.SAVED_MODEL and (unused := [name for name, value in given.items() if value is not None]):
        raise ValueError(f"{', '.join(unused)} belong to a SavedModel. Received: --format {format.value} too.")
    if config and not path.name.isdigit():
        raise ValueError(f"--config needs a path that ends in a version number. Received: {path}. Give {path / '1'}.")
    loaded = load_model(model)
    points = OperatingPoints.of_run(model, loaded)
    if format is not Format.SAVED_MODEL:
        _export_format(loaded, path, format, int8, calibration, points)
        return
    given_options = {"precision": precision, "winograd": winograd}
    options: dict[str, Any] = {name: value for name, value in given_options.items() if value is not None}
    if signatures is not None:
        options["signatures"] = [name.strip() for name in signatures.split(",")]
    with err.status("Tracing, writing, loading again, comparing"):
        report = write(loaded, path, **options, merge=merge, operating_points=points)
    out.print(
        f"{report}." + (" Its operating points lie in assets.extra." if points else ""), soft_wrap=True, markup=False
    )
    if config:
        files = write_serving_config(path.absolute().parents[1])
        out.print(f"Wrote {' and '.join(str(file) for file in files)}.", soft_wrap=True, markup=False)


def _export_format(
    model: VideoClassifier,
    path: Path,
    format: Format,
    int8: bool,
    calibration: str | None,
    points: OperatingPoints | None,
) -> None:
    """Write the file of another runtime than TensorFlow."""
    from kerasfast.serving.formats.export import export_format

    with err.status("Converting, loading in the runtime, comparing"):
        report = export_format(
            model,
            path,
            format.value,
            quantize="int8" if int8 else None,
            calibration=calibration,
            operating_points=points,
        )
    out.print(f"{report}." + (" Its operating points lie beside it." if points else ""))
