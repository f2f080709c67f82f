"""A folder of videos with a folder for each class. NumPy only."""

from __future__ import annotations

import hashlib
import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kerasfast.data.annotations import VIDEO_SUFFIXES, LabelledVideos, Segment, VideoRow, is_frame_folder
from kerasfast.data.csv_rows import shortened
from kerasfast.data.errors import DataError
from kerasfast.data.labels import LabelSpace

# Split -> names that its folder may have.
_SPLIT_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}


@dataclass(frozen=True)
class FolderReport:
    """What `read_folder` found.

    Args:
        class_videos: Number of videos by class.
        ignored: What was left out, because it is no video file of a known ending and no folder of frames; paths
            inside the folder. Hidden files are not listed.
        single: Classes that `divide` left in the training part with their only video.
    """

    class_videos: dict[str, int]
    ignored: tuple[str, ...]
    single: tuple[str, ...] = ()

    def __str__(self) -> str:
        counts = shortened(f"{name} {videos:,}" for name, videos in self.class_videos.items())
        text = f"{sum(self.class_videos.values()):,} videos of {len(self.class_videos):,} classes ({counts})"
        if self.single:
            text += f", of {shortened(self.single)} a single one, kept for training"
        if self.ignored:
            text += f"; {len(self.ignored):,} left out that are no videos ({shortened(self.ignored)})"
        return text


def read_folder(folder: str | Path, labels: LabelSpace | None = None) -> LabelledVideos:
    """Reads a folder per class: `folder/<class>/<any name>.mp4`, or another usual ending, one class a video.

    A folder of JPEG frames, `folder/<class>/<video>/<name>-000001.jpg`, stands for a video too. Names may hold any
    characters. Hidden files and folders are passed over, anything else that is no video is listed in the report.

    Args:
        folder: Folder of the class folders.
        labels: Classes to use, of another split; by default the names of the folders, sorted.

    Returns:
        The videos, classes in order and sorted by name in each. The id of a video is its path inside `folder`; its
        class is the one of head "action" and holds from its first frame to its last.

    Raises:
        DataError: No class folders, a folder that is no class of `labels`, a class without a video, or a name that is
            not valid Unicode.
        ValueError: Labels of other heads.
    """
    folder = Path(folder)
    folders = _class_folders(folder)
    if not folders:
        raise DataError(f"{folder}: holds no folder of a class. Expected folder/<class>/<video>.mp4.")
    if labels is None:
        labels = LabelSpace({"action": tuple(folders)}, {"action": "softmax"})
        needed: Sequence[str] = tuple(folders)
    else:
        needed = ()
        if labels.annotated != ("action",):
            raise ValueError(f"A folder per class has the head ('action',). Received: labels of {labels.annotated}.")
    if unknown := [name for name in folders if name not in labels.heads["action"]]:
        raise DataError(
            f"{folder}: {shortened(unknown)} {'is' if len(unknown) == 1 else 'are'} not among the "
            f"{labels.sizes['action']} classes ({shortened(labels.heads['action'])}). Name folders as in training."
        )
    videos: dict[str, Path] = {}
    rows: list[VideoRow] = []
    counts = dict.fromkeys(labels.heads["action"], 0)
    ignored = [path.name for path in _shown(folder) if not path.is_dir()]
    for name, path in folders.items():
        whole = Segment(labels.label("action", name), 0.0, math.inf)
        for entry in _shown(path):
            inside = entry.relative_to(folder).as_posix()
            if not (entry.suffix.lower() in VIDEO_SUFFIXES and entry.is_file()) and not is_frame_folder(entry):
                ignored.append(inside)
                continue
            videos[inside] = entry
            rows.append(VideoRow(inside, "", None, (whole,), 0))
            counts[name] += 1
    if empty := [name for name in needed if not counts[name]]:
        raise DataError(
            f"{folder}: no video in the folder of {shortened(empty)}. Add videos ({', '.join(VIDEO_SUFFIXES)}), or "
            "delete the folder."
        )
    return LabelledVideos(tuple(rows), FolderReport(counts, tuple(ignored)), videos, labels)


def find_splits(root: str | Path) -> dict[str, Path]:
    """The folders of splits in a folder that is divided into them: "train", and "val" and "test" if they are there.

    Args:
        root: A folder of class folders, or of folders of such: train (or training), val (valid, validation) and
            test (testing).

    Returns:
        Folder by split; empty for a folder of class folders. A folder named like a split is one if it holds folders
        but no videos.

    Raises:
        DataError: There is no such folder, or it mixes splits and classes.
    """
    folders = _class_folders(Path(root))
    found = {}
    for split, names in _SPLIT_NAMES.items():
        here = [name for name in folders if name.lower() in names and _holds_classes(folders[name])]
        if len(here) > 1:
            raise DataError(f"{root}: {' and '.join(here)} are both the split {split!r}. Keep one of them.")
        if here:
            found[split] = folders.pop(here[0])
    if found and folders:
        raise DataError(
            f"{root}: holds splits ({', '.join(found)}) beside other folders ({shortened(folders)}). Put the classes "
            "into the folders of the splits."
        )
    if found and "train" not in found:
        raise DataError(f"{root}: holds the splits {', '.join(found)}, but no train. Name its folder train.")
    return found


def divide(found: LabelledVideos, share: float, seed: int) -> tuple[LabelledVideos, LabelledVideos]:
    """Divides videos into training and validation, class by class.

    Every class gives `share` of its videos, rounded, to validation, but at least one and not all; the only video of a
    class stays in training. Which ones depends on `seed` and the ids alone, so that a video that is added moves few
    others. Clips cut from one recording can come on both sides: where there are such, make the splits by hand.

    Args:
        found: The videos, one class each.
        share: Share of the videos for validation, 0 (no video) to below 1.
        seed: Seed of the choice.

    Raises:
        ValueError: A share that is out of range.
    """
    if not 0 <= share < 1:
        raise ValueError(f"The share for validation must be in [0, 1). Received: {share!r}.")
    names = found.labels.heads["action"]
    by_class: dict[str, list[VideoRow]] = {name: [] for name in names}
    for row in found.rows:
        by_class[names[row.actions[0]]].append(row)
    chosen: set[str] = set()
    for rows in by_class.values():
        count = min(max(round(share * len(rows)), 1), len(rows) - 1) if share and rows else 0
        ranked = sorted(rows, key=lambda row: hashlib.sha256(f"{seed}:{row.id}".encode()).digest())
        chosen.update(row.id for row in ranked[:count])
    single = tuple(name for name, rows in by_class.items() if share and len(rows) == 1)
    return _part(found, chosen, False, single), _part(found, chosen, True, ())


def _part(found: LabelledVideos, chosen: set[str], inside: bool, single: tuple[str, ...]) -> LabelledVideos:
    rows = tuple(row for row in found.rows if (row.id in chosen) == inside)
    counts = dict.fromkeys(found.labels.heads["action"], 0)
    for row in rows:
        counts[found.labels.heads["action"][row.actions[0]]] += 1
    ignored = () if inside else found.report.ignored
    videos = {row.id: found.videos[row.id] for row in rows}
    return replace(found, rows=rows, videos=videos, report=FolderReport(counts, ignored, single))


def _class_folders(folder: Path) -> dict[str, Path]:
    """The folders in a folder by name, sorted; names in Unicode's composed form, which macOS takes apart."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder. Give a folder with a folder of videos for each class.")
    found: dict[str, Path] = {}
    for path in _shown(folder):
        if path.is_dir():
            name = unicodedata.normalize("NFC", path.name)
            if name in found:
                raise DataError(f"{folder}: two folders are named {name!r}, in different forms of Unicode. Join them.")
            found[name] = path
    return dict(sorted(found.items()))


def _holds_classes(folder: Path) -> bool:
    entries = list(_shown(folder))
    videos = any(entry.suffix.lower() in VIDEO_SUFFIXES or is_frame_folder(entry) for entry in entries)
    return not videos and any(entry.is_dir() for entry in entries)


def _shown(folder: Path) -> Iterator[Path]:
    """What a folder holds, sorted by name, without what is hidden."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        try:
            path.name.encode()
        except UnicodeEncodeError as error:
            raise DataError(f"{str(path)!r}: the name is not valid UTF-8. Rename it.") from error
        yield path
