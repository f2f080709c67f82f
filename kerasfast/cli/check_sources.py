"""What `kerasfast records check` looks at before a build: the splits of any source that `records build` takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kerasfast.data.annotations import Annotations, LabelledVideos
    from kerasfast.data.labels import LabelSpace


def read_splits(
    subjects: Sequence[Path], videos: Path | None, frames: Path | None, classes: Path | None
) -> tuple[Mapping[str, Annotations], Path | None, LabelSpace | None]:
    """Reads splits without stopping at what the doctor is to report.

    Args:
        subjects: CSV files of Charades, or lists, one a split; or a folder per class, divided into splits or not.
        videos: Folder of the video files.
        frames: Folder of the folders of frames.
        classes: Folder of Charades' class files.

    Returns:
        Annotations by split, and folder of the videos and classes where the annotations do not hold them.

    Raises:
        ValueError: Sources of several kinds, or an option that does not go with the kind.
        DataError: A file cannot be read at all.
    """
    from kerasfast.cli.records import Kind, kind_of

    kinds = {kind_of(path) for path in subjects}
    if len(kinds) > 1 or (Kind.FOLDER in kinds and len(subjects) > 1):
        raise ValueError(
            "Give one folder of records, one folder of a folder per class, or the CSV files of the splits, all of a "
            f"kind. Received: {', '.join(map(str, subjects))}."
        )
    (kind,) = kinds
    allowed = {
        "--videos": (videos, (Kind.CHARADES, Kind.LIST)),
        "--frames": (frames, (Kind.CHARADES,)),
        "--classes": (classes, (Kind.CHARADES,)),
    }
    for option, (given, those) in allowed.items():
        if given is not None and kind not in those:
            raise ValueError(f"{option} does not go with a source of kind {kind.value}: {subjects[0]}. Leave it out.")
    if kind is Kind.CHARADES:
        return _charades(subjects, videos, frames, classes)
    return (_lists(subjects, videos) if kind is Kind.LIST else _folders(subjects[0])), None, None


def split_names(paths: Sequence[Path]) -> list[str]:
    """Names of splits by those of their files: what follows the last underscore, or all of it if that is not unique.

    Raises:
        ValueError: The same file twice.
    """
    for names in ([path.stem.rpartition("_")[2] for path in paths], [path.stem for path in paths]):
        if len(set(names)) == len(names):
            return names
    raise ValueError(f"Give each split once, in files of different names. Received: {', '.join(map(str, paths))}.")


def _charades(
    subjects: Sequence[Path], videos: Path | None, frames: Path | None, classes: Path | None
) -> tuple[Mapping[str, Annotations], Path | None, LabelSpace | None]:
    from kerasfast.data.annotations import LabelledVideos, find_frames, read_charades_csv
    from kerasfast.data.labels import read_charades_classes

    if (videos is None) == (frames is None):
        raise ValueError(
            f"{subjects[0]} names videos by id: give their folder as --videos, or as --frames, one of the two."
        )
    labels = read_charades_classes(classes or subjects[0].parent)
    splits = {
        name: read_charades_csv(path, labels, skip_bad=True)
        for name, path in zip(split_names(subjects), subjects, strict=True)
    }
    if frames is None:
        return splits, videos, labels
    for name, listed in splits.items():
        found = find_frames(listed.rows, frames, skip_missing=True)
        splits[name] = LabelledVideos(listed.rows, listed.report, found, labels, bad_rows=listed.bad_rows)
    return splits, None, None


def _lists(subjects: Sequence[Path], videos: Path | None) -> dict[str, LabelledVideos]:
    """Lists, all with the classes of the one for training."""
    from kerasfast.data.listing import read_list

    paths = dict(zip(split_names(subjects), subjects, strict=True))
    first = next((name for name in paths if "train" in name), next(iter(paths)))
    labels = read_list(paths[first], root=videos, skip_missing=True).labels
    return {name: read_list(path, labels=labels, root=videos, skip_missing=True) for name, path in paths.items()}


def _folders(folder: Path) -> dict[str, LabelledVideos]:
    """The splits of a folder per class, all with the classes of the one for training."""
    from kerasfast.data.folder import find_splits, read_folder

    splits = find_splits(folder)
    if not splits:
        return {"train": read_folder(folder)}
    train = read_folder(splits["train"])
    return {name: train if name == "train" else read_folder(path, train.labels) for name, path in splits.items()}
