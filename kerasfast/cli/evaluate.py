"""`kerasfast evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from kerasfast.cli.console import err, example, out, progress, start_tensorflow

EXAMPLE = example(
    "kerasfast evaluate runs/nano --records out/records",
    "kerasfast evaluate runs/nano --records out/records --fitted",
    "kerasfast evaluate runs/nano --localize --videos videos --annotations Charades_v1_test.csv",
)


def evaluate(
    model: Annotated[str, typer.Argument(help="Folder of a run, or a name of the zoo.")],
    records: Annotated[
        str | None, typer.Option(help="Folder of `kerasfast records build`, or its address (s3://...).")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Split to score.", show_default="the recipe's, or test")] = None,
    clips: Annotated[
        int | None, typer.Option(min=1, help="Clips of a video.", show_default="the recipe's, or 10")
    ] = None,
    crops: Annotated[
        int | None, typer.Option(help="Crops of a clip, 3 or 1.", show_default="the recipe's, or 3; 1 to localize")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="3 clips x 1 crop: a tenth of the views.")] = False,
    merge: Annotated[
        str | None,
        typer.Option(
            help="How views become one score: max or mean.",
            show_default="the recipe's, or max for sigmoid and mean for softmax heads",
        ),
    ] = None,
    rule: Annotated[
        str | None,
        typer.Option(help="Rule of average precision: sklearn or charades.", show_default="the recipe's, or sklearn"),
    ] = None,
    head: Annotated[
        list[str] | None, typer.Option(help="Head to score; again for several.", show_default="all")
    ] = None,
    fitted: Annotated[
        bool,
        typer.Option(
            "--fitted", help="Decide at the thresholds of `kerasfast calibrate`, on views merged as it did, not at 0.5."
        ),
    ] = False,
    localize: Annotated[
        bool, typer.Option("--localize", help="Score 25 frames of every video against timed actions.")
    ] = False,
    videos: Annotated[Path | None, typer.Option(help="With --localize: folder of the video files.")] = None,
    frames: Annotated[
        Path | None,
        typer.Option(help="With --localize: Charades' frame archive, <id>/<id>-000001.jpg, in place of video files."),
    ] = None,
    annotations: Annotated[
        Path | None, typer.Option(help="With --localize: CSV in the format of Charades; its class files lie beside it.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--out", help="JSON to write.", show_default="metrics.json or metrics-SPLIT.json in the run"),
    ] = None,
    files: Annotated[
        Path | None, typer.Option(help="Folder for tables per class and files in the official format of Charades.")
    ] = None,
) -> None:
    """Score a model on many views of every video, or on 25 frames of it."""
    written: dict[str, Any] = {"heads": head, "files": files}
    if localize:
        if records is not None or (videos is None) == (frames is None) or annotations is None:
            raise ValueError(
                "--localize reads videos. Give --annotations CSV and either --videos DIR or --frames DIR, and no "
                "--records."
            )
        unused = {
            "--split": split,
            "--clips": clips,
            "--quick": quick or None,
            "--merge": merge,
            "--rule": rule,
            "--fitted": fitted or None,
        }
        if given := [name for name, value in unused.items() if value is not None]:
            raise ValueError(f"--localize has its own clips and rule. Received: {', '.join(given)}. Leave them out.")
        file = file or _in_run(model, "localize")
        metrics, path = _localize(model, videos, frames, annotations, crops or 1, written, file)
    else:
        if records is None or any(given is not None for given in (videos, frames, annotations)):
            raise ValueError(
                "Views are read from records. Give --records DIR; --videos, --frames and --annotations go with "
                "--localize."
            )
        asked = {"split": split, "clips": clips, "crops": crops, "merge": merge, "rule": rule}
        asked = {name: value for name, value in asked.items() if value is not None}
        metrics, path = _evaluate(model, records, asked, quick, fitted, written, file)
    out.print(metrics_table(metrics))
    if path is not None:
        out.print(f"Written to {path}.")


def _evaluate(
    model: str,
    records: str,
    asked: dict[str, Any],
    quick: bool,
    fitted: bool,
    written: dict[str, Any],
    file: Path | None,
) -> tuple[dict[str, Any], Path | None]:
    start_tensorflow()
    from kerasfast.data.files import write_json
    from kerasfast.train.evaluate import evaluate as score
    from kerasfast.train.operating.points import VIEW_KEYS, OperatingPoints
    from kerasfast.train.run import evaluation_protocol, load_model

    loaded = load_model(model)
    protocol = evaluation_protocol(model)
    usual = asked.get("split") in (None, protocol.get("split", "test"))
    if quick:  # in place of the recipe's views, and of its file
        protocol = {name: value for name, value in protocol.items() if name not in ("clips", "crops")}
        protocol["protocol"] = "quick"
    points = OperatingPoints.of_run(model, loaded) if fitted else None
    if fitted:
        if points is None:
            raise ValueError(f"--fitted needs operating points beside the weights. Run: kerasfast calibrate {model}")
        scored = written["heads"] or list(points.heads)
        protocol["thresholds"] = {name: points.heads[name].thresholds for name in scored if name in points.heads}
        # They belong to scores of these views.
        views = {key: points.protocol[key] for key in VIEW_KEYS if key in points.protocol}
        if other := [key for key, value in views.items() if asked.get(key, value) != value] + ["quick"] * quick:
            raise ValueError(
                f"Thresholds hold for the views that they were fitted to: {views}. Received: another choice of "
                f"{', '.join(other)}. Leave it out, or calibrate for it."
            )
        if asked.get("split", protocol.get("split", "test")) == points.protocol["split"]:
            out.print("The thresholds were fitted to the videos of this split: their F1 is too good.", style="red")
        protocol |= views
    suffix = [*([] if usual else [asked["split"]]), *(["quick"] if quick else []), *(["fitted"] if fitted else [])]
    file = file or _in_run(model, *suffix)
    with progress("Views") as report:
        metrics = score(loaded, records, **(protocol | asked), **written, out=file, progress=report, announce=_announce)
    if points is not None and file is not None:
        metrics["protocol"]["thresholds"] = {"fitted_to": points.protocol, "weights_sha256": points.weights_sha256}
        write_json(file, metrics)
    return metrics, file


def _localize(
    model: str,
    videos: Path | None,
    frames: Path | None,
    annotations: Path,
    crops: int,
    written: dict[str, Any],
    file: Path | None,
) -> tuple[dict[str, Any], Path | None]:
    start_tensorflow()
    from kerasfast.data.annotations import find_frames, find_videos, read_charades_csv
    from kerasfast.data.labels import read_charades_classes
    from kerasfast.train.localize import localize
    from kerasfast.train.run import load_model

    labels = read_charades_classes(annotations.parent)
    rows = read_charades_csv(annotations, labels).rows
    found = find_videos(rows, videos) if frames is None else find_frames(rows, frames)
    with progress("Videos") as report:
        metrics = localize(
            load_model(model),
            rows,
            found,
            labels,
            crops=crops,
            **written,
            out=file,
            progress=report,
            announce=_announce,
        )
    return metrics, file


def _announce(forecast: Any) -> None:
    err.print(str(forecast), highlight=False)


def _in_run(model: str, *suffix: str) -> Path | None:
    """The file of metrics in the folder of a run; None for a name of the zoo."""
    return Path(model) / f"{'-'.join(['metrics', *suffix])}.json" if Path(model).is_dir() else None


def metrics_table(metrics: dict[str, Any]) -> Table:
    """One row a head: mAP with its interval, chance and their ratio, macro F1; accuracy where a head has it. Then all
    heads together.

    Args:
        metrics: What `kerasfast.evaluate` or `kerasfast.train.localize.localize` gave.
    """
    protocol = metrics["protocol"]
    title = f"{protocol['videos']} videos, {protocol['clips']} clips x {protocol['crops']} crops, {protocol['merge']}"
    heads = metrics["heads"]
    single = any("top1" in values for values in heads.values())
    columns = ["head", "mAP", "95 %", "chance", "ratio", "F1", *(["top-1", "top-5"] if single else [])]
    skipped = [f"{head} {len(values['skipped'])}" for head, values in heads.items() if values["skipped"]]
    caption = f"Classes without a positive row, in no mean: {', '.join(skipped)}" if skipped else None
    table = Table(*columns, title=f"{title} ({protocol['name']})", caption=caption)
    for head, values in heads.items():
        row = [
            head,
            *_map_cells(values["map"], values["chance"], values.get("interval")),
            f"{values['macro']['f1']:.3f}",
        ]
        accuracy = [f"{values[name]:.3f}" if name in values else "" for name in ("top1", "top5")]
        table.add_row(*row, *(accuracy if single else []), end_section=head == list(heads)[-1])
    if len(heads) > 1:
        interval = metrics.get("overall_interval")
        table.add_row("overall", *_map_cells(metrics["overall_map"], metrics["overall_chance"], interval))
    return table


def _map_cells(map_: float, chance: float, interval: dict[str, float] | None) -> list[str]:
    between = f"{interval['low']:.3f}-{interval['high']:.3f}" if interval else ""
    return [f"{map_:.3f}", between, f"{chance:.3f}", f"{map_ / chance:.1f}"]
