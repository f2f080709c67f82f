"""`kerasfast records`: build TFRecords from videos, check both, or make the miniature dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from kerasfast.cli import check
from kerasfast.cli.console import example, out, progress, start_tensorflow, sub_app

app = sub_app("Records of decoded clips: make them and look after them.")
app.command("check", epilog=check.EXAMPLE)(check.check)
BUILD_EXAMPLE = example("kerasfast records build Charades_v1_train.csv --videos Charades_v1 --out records/charades")
MINIATURE_EXAMPLE = example("kerasfast records miniature out/miniature --videos 1200 --seed 0")


@app.command(epilog=BUILD_EXAMPLE)
def build(
    annotations: Annotated[Path, typer.Argument(help="CSV in the format of Charades.")],
    videos: Annotated[Path, typer.Option(help="Folder of the video files, <id>.mp4 and the like.")],
    out_folder: Annotated[Path, typer.Option("--out", help="Folder of the records; several splits may share it.")],
    classes: Annotated[
        Path | None, typer.Option(help="Folder of the class and mapping files; by default that of the CSV.")
    ] = None,
    model: Annotated[str, typer.Option(help="Architecture whose clip the records are for.")] = "slowfast_r50_8x8",
    split: Annotated[str, typer.Option(help="Name of the split; test splits hold test clips.")] = "train",
    layout: Annotated[
        str | None, typer.Option(help="train: segments to cut clips from; test: one record a test clip.")
    ] = None,
    fps: Annotated[float, typer.Option(help="Frame rate at which the clip's stride counts.")] = 24.0,
    short_side: Annotated[int | None, typer.Option(help="Stored short side in pixels; by default the model's.")] = None,
    quality: Annotated[int, typer.Option(min=1, max=100, help="JPEG quality.")] = 90,
    segment_spans: Annotated[float, typer.Option(help="Longest stored segment, in spans of the clip.")] = 2.0,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="Copies to train from, an epoch each; by default as the mean length asks.")
    ] = None,
    clips: Annotated[int, typer.Option(min=1, help="Test clips of a video.")] = 10,
    workers: Annotated[int, typer.Option(min=1, help="Videos decoded at a time.")] = 2,
    seed: Annotated[int, typer.Option(help="Seed of the order of videos and segments.")] = 0,
    skip_bad: Annotated[bool, typer.Option(help="Leave unreadable videos out, and list them.")] = False,
) -> None:
    """Turn annotated videos into TFRecords."""
    start_tensorflow()
    import dataclasses

    from kerasfast.data.annotations import find_videos, read_charades_csv
    from kerasfast.data.labels import read_charades_classes
    from kerasfast.data.records import build_records
    from kerasfast.models.variants import variant

    row = variant(model)
    labels = read_charades_classes(classes or annotations.parent)
    listed = read_charades_csv(annotations, labels)
    out.print(str(listed.report))
    with progress(f"Videos of {split}") as report:
        manifest = build_records(
            listed,
            find_videos(listed.rows, videos, skip_missing=skip_bad),
            labels,
            out_folder,
            clip=dataclasses.replace(row.clip, fps=fps),
            split=split,
            layout=layout,  # type: ignore[arg-type]
            short_side=short_side or row.short_side[1],
            quality=quality,
            segment_spans=segment_spans,
            rounds=rounds,
            clips=clips,
            workers=workers,
            seed=seed,
            skip_bad=skip_bad,
            progress=report,
        )
    table = Table("split", *manifest.counts)
    table.add_row(split, *map(str, manifest.counts.values()))
    out.print(table)
    for video in manifest.skipped:
        out.print(f"skipped {video['id']}: {video['reason']}", markup=False)


@app.command(epilog=MINIATURE_EXAMPLE)
def miniature(
    folder: Annotated[Path, typer.Argument(help="Folder to make.")],
    videos: Annotated[int, typer.Option(min=1, help="Training videos; the other splits scale with them.")] = 1200,
    seed: Annotated[int, typer.Option(help="The same seed gives the same files; 0 to 9 are for development.")] = 0,
) -> None:
    """Make the miniature Charades: videos and annotations in Charades' own formats."""
    from kerasfast.data.miniature import generate

    with progress("Videos") as report:
        generate(folder, train_videos=videos, seed=seed, progress=report)
    out.print(f"{folder} holds videos, annotations and class files. Next, for train and for test:")
    out.print(
        f"kerasfast records build {folder}/Miniature_v1_train.csv --videos {folder}/videos --out {folder}/records "
        "--split train --model slowfast_nano --rounds 1",
        soft_wrap=True,
    )
