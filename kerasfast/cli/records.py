"""`kerasfast records`: build TFRecords from videos, check both, or make the miniature dataset."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from kerasfast.cli import check
from kerasfast.cli.console import example, out, progress, start_tensorflow, sub_app

if TYPE_CHECKING:
    from kerasfast.data.annotations import LabelledVideos
    from kerasfast.data.labels import LabelSpace
    from kerasfast.data.records.beam import BeamExecutor
    from kerasfast.data.records.folder import RecordFolder


class Kind(str, Enum):
    """What a source of annotations can be."""

    CHARADES = "charades"
    LIST = "list"
    FOLDER = "folder"


class Activation(str, Enum):
    """Whether a clip has one class or any number."""

    SIGMOID = "sigmoid"
    SOFTMAX = "softmax"


app = sub_app("Records of decoded clips: make them and look after them.")
app.command("check", epilog=check.EXAMPLE)(check.check)
BUILD_EXAMPLE = example(
    "kerasfast records build Charades_v1_train.csv --videos Charades_v1 --out records/charades",
    "kerasfast records build my_clips --out records/mine",
    "kerasfast records build Charades_v1_train.csv --videos gs://mine/videos --out gs://mine/records "
    '--beam "--runner=DataflowRunner --project=mine --region=europe-west4 --temp_location=gs://mine/tmp"',
)
MINIATURE_EXAMPLE = example("kerasfast records miniature out/miniature --videos 1200 --seed 0")


@app.command(epilog=BUILD_EXAMPLE)
def build(
    source: Annotated[
        Path, typer.Argument(help="CSV of Charades, CSV of path,label[,start,end], or folder of a folder per class.")
    ],
    out_folder: Annotated[
        str,
        typer.Option("--out", help="Folder of the records, or with --beam an address; several splits may share it."),
    ],
    videos: Annotated[
        str | None,
        typer.Option(
            help="Folder of the video files, or with --beam its address: <id>.mp4 of Charades, or what the paths of a "
            "list begin in."
        ),
    ] = None,
    frames: Annotated[
        Path | None, typer.Option(help="Charades' frame archive, <id>/<id>-000001.jpg, in place of video files.")
    ] = None,
    frames_fps: Annotated[float, typer.Option(help="Frame rate of folders of frames.")] = 24.0,
    kind: Annotated[
        Kind | None, typer.Option("--source", help="What SOURCE is; by default told by its columns, or a folder.")
    ] = None,
    classes: Annotated[
        Path | None,
        typer.Option(
            help="Charades: folder of the class and mapping files, by default that of the CSV. Else a text file with a "
            "class a line, by default the classes of the other splits in --out, or of SOURCE."
        ),
    ] = None,
    activation: Annotated[
        Activation | None,
        typer.Option(help="List: softmax for one class at a time, sigmoid for several; by default as the list has."),
    ] = None,
    model: Annotated[str, typer.Option(help="Architecture whose clip the records are for.")] = "slowfast_r50_8x8",
    split: Annotated[str, typer.Option(help="Name of the split; test splits hold test clips.")] = "train",
    layout: Annotated[
        str | None, typer.Option(help="train: segments to cut clips from; test: one record a test clip.")
    ] = None,
    fps: Annotated[float, typer.Option(help="Frame rate at which the clip's stride counts.")] = 24.0,
    short_side: Annotated[int | None, typer.Option(help="Stored short side in pixels; by default the model's.")] = None,
    quality: Annotated[int, typer.Option(min=1, max=100, help="JPEG quality.")] = 90,
    stride: Annotated[
        int | None, typer.Option(min=1, help="Distance of stored frames, a divisor of the clip's stride, its default.")
    ] = None,
    segment_spans: Annotated[float, typer.Option(help="Longest stored segment, in spans of the clip.")] = 2.0,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="Copies to train from, an epoch each; by default as the mean length asks.")
    ] = None,
    clips: Annotated[int, typer.Option(min=1, help="Test clips of a video.")] = 10,
    workers: Annotated[int, typer.Option(min=1, help="Videos decoded at a time, by threads.")] = 2,
    processes: Annotated[int, typer.Option(min=1, help="Decode by so many processes instead, on many cores.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed of the order of videos and segments.")] = 0,
    skip_bad: Annotated[bool, typer.Option(help="Leave unreadable videos out, and list them.")] = False,
    beam: Annotated[
        str | None, typer.Option(help="Build on a runner of Apache Beam, with these of its flags: --runner=NAME ...")
    ] = None,
) -> None:
    """Turn annotated videos into TFRecords."""
    start_tensorflow()
    import dataclasses

    from kerasfast.data.records.build import build_records
    from kerasfast.data.records.output import OutputFolder
    from kerasfast.models.variants import variant

    row = variant(model)
    executor = None if beam is None else _beam_executor(beam)
    folder = executor.folder(out_folder) if executor else OutputFolder(out_folder)
    found = _read(
        source, kind or kind_of(source), split, videos, frames, classes, activation, skip_bad, folder, executor
    )
    out.print(str(found.report), markup=False)
    with progress(f"Videos of {split}") as report:
        manifest = build_records(
            found,
            found.videos,
            found.labels,
            out_folder,
            clip=dataclasses.replace(row.clip, fps=fps),
            split=split,
            layout=layout,  # type: ignore[arg-type]
            short_side=short_side or row.short_side[1],
            quality=quality,
            stride=stride,
            segment_spans=segment_spans,
            rounds=rounds,
            clips=clips,
            frames_fps=frames_fps,
            workers=workers,
            processes=processes,
            seed=seed,
            skip_bad=skip_bad,
            progress=report,
            executor=executor,
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
    from kerasfast.data.miniature.generate import generate

    with progress("Videos") as report:
        generate(folder, train_videos=videos, seed=seed, progress=report)
    out.print(f"{folder} holds videos, annotations and class files. Next, for train and for test:")
    out.print(
        f"kerasfast records build {folder}/Miniature_v1_train.csv --videos {folder}/videos --out {folder}/records "
        "--split train --model slowfast_nano --rounds 1",
        soft_wrap=True,
    )


def kind_of(source: Path) -> Kind:
    """What a source is, by its columns or as a folder.

    Raises:
        DataError: It is neither.
    """
    from kerasfast.data.annotations import NEEDED_COLUMNS
    from kerasfast.data.csv_rows import read_header
    from kerasfast.data.errors import DataError
    from kerasfast.data.listing import LIST_COLUMNS

    if source.is_dir():
        return Kind.FOLDER
    columns = read_header(source)
    for kind, needed in ((Kind.CHARADES, NEEDED_COLUMNS), (Kind.LIST, LIST_COLUMNS)):
        if set(needed) <= set(columns):
            return kind
    raise DataError(
        f"{source}:1: neither Charades ({','.join(NEEDED_COLUMNS)}) nor a list ({','.join(LIST_COLUMNS)}[,start,end]) "
        f"by its header. Received: {','.join(columns)!r}. Name the columns in the first line."
    )


def _beam_executor(flags: str) -> BeamExecutor:
    import shlex

    from kerasfast.data.records.cluster import beam_executor

    try:
        return beam_executor(shlex.split(flags))
    except ImportError as error:  # what is missing is said in one sentence
        raise ValueError(str(error)) from error


def _opened(folder: str, executor: BeamExecutor | None) -> RecordFolder:
    """A folder of this machine, or, with Beam, of a store."""
    from kerasfast.data.records.folder import RecordFolder, is_address

    return executor.folder(folder) if executor is not None and is_address(folder) else RecordFolder(folder)


def _read(
    source: Path,
    kind: Kind,
    split: str,
    videos: str | None,
    frames: Path | None,
    classes: Path | None,
    activation: Activation | None,
    skip_bad: bool,
    out_folder: RecordFolder,
    executor: BeamExecutor | None,
) -> LabelledVideos:
    """The videos, labels and files of a source; the arguments are those of `build`."""
    from kerasfast.data.folder import find_splits, read_folder
    from kerasfast.data.listing import read_list

    foreign = {
        "--videos": videos is not None and kind is Kind.FOLDER,
        "--frames": frames is not None and kind is not Kind.CHARADES,
        "--activation": activation is not None and kind is not Kind.LIST,
    }
    for option, wrong in foreign.items():
        if wrong:
            raise ValueError(f"{option} does not go with a source of kind {kind.value}: {source}. Leave it out.")
    if kind is Kind.CHARADES:
        return _read_charades(source, _opened(videos, executor) if videos else None, frames, classes, skip_bad)
    if kind is Kind.LIST:
        chosen = activation and activation.value
        labels = _labels(classes, chosen or "softmax", split, out_folder)
        return read_list(source, labels=labels, activation=chosen, root=videos, skip_missing=skip_bad)
    splits = find_splits(source)
    if splits and split not in splits:
        raise ValueError(f"{source} has the splits {', '.join(splits)}. Received: --split {split}.")
    labels = _labels(classes, "softmax", split, out_folder)
    if labels is None and splits:
        labels = read_folder(splits["train"]).labels
    return read_folder(splits.get(split, source), labels)


def _read_charades(
    source: Path, videos: RecordFolder | None, frames: Path | None, classes: Path | None, skip_bad: bool
) -> LabelledVideos:
    from kerasfast.data.annotations import LabelledVideos, find_frames, find_videos, read_charades_csv
    from kerasfast.data.labels import read_charades_classes

    labels = read_charades_classes(classes or source.parent)
    listed = read_charades_csv(source, labels)
    if frames is not None and videos is None:
        found = find_frames(listed.rows, frames, skip_missing=skip_bad)
    elif videos is not None and frames is None:
        found = find_videos(listed.rows, videos, skip_missing=skip_bad)
    else:
        raise ValueError(f"{source} names videos by id: give their folder as --videos, or as --frames, one of the two.")
    return LabelledVideos(listed.rows, listed.report, found, labels)


def _labels(classes: Path | None, activation: str, split: str, out_folder: RecordFolder) -> LabelSpace | None:
    """Classes of a list or folder: of a file, or those of the splits that are there, so that numbers agree."""
    from kerasfast.data.errors import DataError
    from kerasfast.data.labels import LabelSpace
    from kerasfast.data.records.read import parse_manifest, splits_in

    if classes is not None:
        try:
            names = [line.strip() for line in classes.read_text(encoding="utf-8-sig").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{classes}: cannot be read ({error}). Give a text file with a class a line.") from error
        names = [name for name in names if name]
        if not names or len(set(names)) < len(names):
            raise DataError(f"{classes}: needs one class or more, each on one line alone.")
        return LabelSpace({"action": tuple(names)}, {"action": activation})
    for other in sorted(splits_in(out_folder), key=lambda name: (name != "train", name)):
        if other != split:
            return parse_manifest(out_folder, other).labels
    return None
