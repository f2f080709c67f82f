"""`kerasfast export`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kerasfast.cli.console import err, example, out, start_tensorflow

if TYPE_CHECKING:
    from kerasfast.models.classifier import VideoClassifier
    from kerasfast.train.operating_points import OperatingPoints

EXAMPLE = example(
    "kerasfast export slowfast_nano.miniature serving/slowfast_nano/1",
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
    format: Annotated[Format, typer.Option(help="SavedModel, or the file of another runtime.")] = Format.SAVED_MODEL,
    int8: Annotated[bool, typer.Option("--int8", help="8 bits; openvino and litert, with --calibration.")] = False,
    calibration: Annotated[
        str | None, typer.Option(help="Records whose training videos show the ranges of features for --int8.")
    ] = None,
) -> None:
    """Write a model that needs no kerasfast to run."""
    start_tensorflow()
    from kerasfast.serving.saved_model import export as write
    from kerasfast.train.operating_points import OperatingPoints
    from kerasfast.train.run import load_model

    loaded = load_model(model)
    points = OperatingPoints.of_run(model, loaded)
    if format is not Format.SAVED_MODEL:
        _export_format(loaded, path, format, int8, calibration, points)
        return
    if int8 or calibration is not None:
        raise ValueError("--int8 and --calibration go with --format openvino or --format litert.")
    with err.status("Tracing, writing, loading again, comparing"):
        report = write(loaded, path, operating_points=points)
    out.print(
        f"{report.path}: signatures {', '.join(report.signatures)}; {report.bytes / 1e6:.1f} MB in "
        f"{report.seconds:.0f} s; largest difference to the Keras model {report.largest_difference:.1e}."
        + (" Its operating points lie in assets.extra." if points else "")
    )


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
