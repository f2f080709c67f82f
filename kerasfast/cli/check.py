"""`kerasfast records check`: the doctor."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from kerasfast.cli.check_sources import read_splits
from kerasfast.cli.console import err, example, out, progress, start_tensorflow
from kerasfast.data.records.folder import is_address

if TYPE_CHECKING:
    from kerasfast.data.checks.findings import Finding, Report, Severity
    from kerasfast.data.checks.throughput import Throughput

EXAMPLE = example(
    "kerasfast records check Charades_v1_train.csv Charades_v1_test.csv --videos Charades_v1",
    "kerasfast records check my_clips",
    "kerasfast records check records/charades --model slowfast_nano --batch-size 8",
    "kerasfast records check s3://bucket/records",
)
_COLOURS: dict[Severity, str] = {"error": "bold red", "warning": "yellow", "note": "blue"}


def check(
    subjects: Annotated[
        list[str],
        typer.Argument(
            help="A folder of records, or its address (s3://...); or, before a build, what it is built from: CSV "
            "files, or a folder."
        ),
    ],
    videos: Annotated[
        Path | None, typer.Option(help="Before a build: folder of the video files, as for `records build`.")
    ] = None,
    frames: Annotated[
        Path | None, typer.Option(help="Before a build: folder of the folders of frames, as for `records build`.")
    ] = None,
    frames_fps: Annotated[float, typer.Option(help="Before a build: frame rate of folders of frames.")] = 24.0,
    classes: Annotated[
        Path | None, typer.Option(help="Charades: folder of the class files; by default that of the first CSV.")
    ] = None,
    full: Annotated[bool, typer.Option(help="Before a build: decode every frame, as the build does.")] = False,
    model: Annotated[
        str | None,
        typer.Option(
            help="Before a build: architecture whose clip the records are for. After: architecture whose training step "
            "to measure the input against, on this machine.",
            show_default="slowfast_r50_8x8; none measured",
        ),
    ] = None,
    fps: Annotated[float, typer.Option(help="Before a build: frame rate at which the clip's stride counts.")] = 24.0,
    split: Annotated[
        str | None, typer.Option(help="Records: split to check.", show_default="all; measured: train")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Records: clips of a measured step.")] = 8,
    seconds: Annotated[float, typer.Option(min=0.1, help="Records: time of each of three measurements.")] = 10.0,
    workers: Annotated[int | None, typer.Option(min=1, help="Files read at a time.", show_default="cores")] = None,
    show: Annotated[int, typer.Option(min=0, help="Cases of a finding to print.")] = 3,
    file: Annotated[Path | None, typer.Option("--json", help="JSON to write: every case.")] = None,
    strict: Annotated[bool, typer.Option(help="Exit code 1 for warnings too.")] = False,
) -> None:
    """Look for what would spoil a build or a training: exit code 1 where there is an error."""
    if len(subjects) > 1 and any(map(is_address, subjects)):
        raise ValueError(f"An address is that of a folder of records; give it alone. Received: {', '.join(subjects)}.")
    if len(subjects) == 1 and _holds_records(subjects[0]):
        for option, given in (("--videos", videos), ("--frames", frames), ("--classes", classes), ("--full", full)):
            if given:
                raise ValueError(f"{option} is for what records are built from. Received: the records {subjects[0]}.")
        report = _records(subjects[0], split, model, batch_size, seconds, workers)
    else:
        from kerasfast.data.checks.videos import diagnose_videos
        from kerasfast.models.variants import variant

        clip = dataclasses.replace(variant(model or "slowfast_r50_8x8").clip, fps=fps)
        found = read_splits([Path(subject) for subject in subjects], videos, frames, classes)
        with progress("Videos") as advance:
            report = diagnose_videos(
                *found, clip=clip, full=full, frames_fps=frames_fps, workers=workers, progress=advance
            )
    if file is not None:
        file.write_text(json.dumps(report.to_dict(), indent=1) + "\n", "utf-8")
    _print(report, show, file)
    if not report.passed(strict):
        raise typer.Exit(1)


def _holds_records(subject: str) -> bool:
    patterns = ("manifest-*.json", ".build-*", "*.tfrecord")
    return is_address(subject) or any(any(Path(subject).glob(pattern)) for pattern in patterns)


def _records(
    folder: str, split: str | None, model: str | None, batch_size: int, seconds: float, workers: int | None
) -> Report:
    from kerasfast.data.checks.records import diagnose_records

    if is_address(folder):
        start_tensorflow()
    with progress("Shards") as report:
        found = diagnose_records(folder, split, workers=workers, progress=report)
    if model is None:
        return found
    if found.count("error"):
        err.print("Not measured: there are errors in the records.", style="yellow")
        return found
    return found.with_throughput(_measure(folder, split or "train", model, batch_size, seconds))


def _measure(folder: str, split: str, model: str, batch_size: int, seconds: float) -> Throughput:
    start_tensorflow()
    from kerasfast.data.records.read import read_manifest
    from kerasfast.models.variants import variant
    from kerasfast.registry import load
    from kerasfast.train.throughput import measure_throughput

    manifest = read_manifest(folder, split)
    clip = dataclasses.replace(variant(model).clip, fps=manifest.options.clip.fps)
    with err.status(f"Measuring {model} at batch {batch_size}, input and both, {seconds:g} s each"):
        network = load(model, weights=False, heads=manifest.labels.sizes, clip=clip)
        return measure_throughput(network, folder, batch_size=batch_size, split=split, seconds=seconds)


def _print(report: Report, show: int, file: Path | None) -> None:
    for severity, colour in _COLOURS.items():
        if report.count(severity):
            out.print(_counted(report, severity), style=colour)
            out.print(findings_table(report, severity, show))
    if report.class_counts:
        out.print(counts_table(report))
    if report.throughput is not None:
        for line in report.throughput.advice():
            out.print(f"- {line}", soft_wrap=True, highlight=False)
    checked = ", ".join(f"{number:,} {what}" for what, number in report.checked.items())
    found = ", ".join(_counted(report, severity) for severity in _COLOURS if report.count(severity))
    style = next((colour for severity, colour in _COLOURS.items() if report.count(severity)), "green")
    out.print(f"Checked {checked}: {found or 'nothing found'}.", style=style, soft_wrap=True)
    if file is not None:
        out.print(f"Every case is in {file}.", soft_wrap=True, markup=False)


def _counted(report: Report, severity: Severity) -> str:
    number = report.count(severity)
    return f"{number:,} {severity}{'' if number == 1 else 's'}"


def findings_table(report: Report, severity: Severity, show: int) -> Table:
    """The findings of a severity: how many cases, what it means, and the first of them."""
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    table.add_column(width=2 + max(len(finding.code) for finding in report.findings))
    table.add_column(justify="right", width=max(len(f"{len(finding.items):,}") for finding in report.findings))
    table.add_column(ratio=1)
    for finding in report.findings:
        if finding.severity == severity:
            code = f"[{_COLOURS[severity]}]  {finding.code}[/]"
            table.add_row(code, f"{len(finding.items):,}", escape(finding.message))
            if show:
                table.add_row("", "", _cases(finding, show))
    return table


def _cases(finding: Finding, show: int) -> Padding:
    lines = [f"[cyan]{escape(item.subject)}[/] {escape(item.detail)}".rstrip() for item in finding.items[:show]]
    if len(finding.items) > show:
        lines.append(f"[dim]... {len(finding.items) - show:,} more[/]")
    return Padding("\n".join(lines), (0, 0, 0, 2))


def counts_table(report: Report) -> Table:
    """A row for each split and head: how many videos its classes have."""
    table = Table("split", "head", title="Videos a class")
    for name in ("classes", "without", "fewest", "median", "most"):
        table.add_column(name, justify="right")
    for counts in report.class_counts:
        ordered = sorted(counts.videos)
        numbers = (len(ordered), ordered.count(0), ordered[0], ordered[len(ordered) // 2], ordered[-1])
        table.add_row(counts.split, counts.head, *map(str, numbers))
    return table
