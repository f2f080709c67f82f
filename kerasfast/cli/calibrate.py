"""`kerasfast calibrate`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from kerasfast.cli.console import example, out, progress, start_tensorflow
from kerasfast.train.operating.thresholds import MIN_POSITIVES

if TYPE_CHECKING:
    from kerasfast.train.operating.points import OperatingPoints

EXAMPLE = example("kerasfast calibrate runs/nano --records out/records --split val")
PLOT_FILE = "reliability.png"


class Calibrations(str, Enum):
    """Choices of `--calibration`."""

    temperature = "temperature"
    isotonic = "isotonic"
    none = "none"


def calibrate(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    records: Annotated[str, typer.Option(help="Folder of `kerasfast records build`, or its address (s3://...).")],
    split: Annotated[str, typer.Option(help="Validation split, neither trained nor tested on.")] = "val",
    clips: Annotated[
        int | None, typer.Option(min=1, help="Clips of a video.", show_default="the recipe's, or 10")
    ] = None,
    crops: Annotated[
        int | None, typer.Option(help="Crops of a clip, 3 or 1.", show_default="the recipe's, or 3")
    ] = None,
    calibration: Annotated[
        Calibrations, typer.Option(help="How scores become probabilities.")
    ] = Calibrations.temperature,
    min_positives: Annotated[
        int, typer.Option(min=1, help="Positives that a class needs for a threshold fitted to F1.")
    ] = MIN_POSITIVES,
    no_action_below: Annotated[
        float, typer.Option(min=0, max=1, help='Probability of the best class below which to answer "no action".')
    ] = 0.0,
) -> None:
    """Fit thresholds, calibration and "no action" on validation videos, to lie beside the weights."""
    if not run.is_dir():
        raise FileNotFoundError(
            f"{run} is no folder. Give the folder of a run; a name of the zoo has no place for them."
        )
    start_tensorflow()
    from kerasfast.train.operating.calibrate import fit_operating_points
    from kerasfast.train.plots import reliability
    from kerasfast.train.run import evaluation_protocol, load_model

    protocol = evaluation_protocol(run)
    protocol.pop("rule", None)
    tested = protocol.pop("split", "test")
    protocol |= {key: value for key, value in (("clips", clips), ("crops", crops)) if value is not None}
    with progress("Views") as report:
        points = fit_operating_points(
            load_model(run),
            records,
            **protocol,
            split=split,
            calibration=None if calibration is Calibrations.none else calibration.value,
            min_positives=min_positives,
            no_action_below=no_action_below,
            progress=report,
        )
    path = points.save(run)
    pairs = {name: point.reliability for name, point in points.heads.items() if point.reliability}
    reliability(pairs, run / PLOT_FILE, title=f"Reliability on {split!r}; after: {calibration.value}, held-out folds")
    out.print(points_table(points))
    for name, point in points.heads.items():
        for classes, why in (
            (point.break_even, f"have fewer than {min_positives} positives and their break-even threshold"),
            (point.without_positives, "have no positives and the threshold that all classes would share"),
        ):
            if classes:
                names = ", ".join(point.labels[c] if point.labels else str(c) for c in classes)
                out.print(f"{name}: {len(classes)} classes {why}: {names}.", markup=False)
    if split == tested:
        out.print(
            f"The recipe tests on {split!r} too: thresholds that saw its videos make figures too good.", style="red"
        )
    out.print(f"Written to {path} and {run / PLOT_FILE}.")


def points_table(points: OperatingPoints) -> Table:
    """A row a head: macro F1 of one threshold and of the fitted ones, calibration error, and how often "no action"."""
    protocol = points.protocol
    title = f"{protocol['videos']} videos of {protocol['split']!r}, to which all is fitted but what is held out"
    table = Table(
        "head", "macro F1 at 0.5", "fitted", "held out", "ECE", "calibrated, held out", "no action", title=title
    )
    for name, point in points.heads.items():
        found = point.validation or {}
        f1 = (f"{found[key]:.3f}" for key in ("macro_f1_at_half", "macro_f1", "macro_f1_held_out"))
        errors = (f"{one.error:.3f}" for one in point.reliability or ())
        table.add_row(name, *f1, *errors, f"{found['no_action']} ({found['without_label']} have no label)")
    return table
