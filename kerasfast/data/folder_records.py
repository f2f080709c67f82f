"""From a folder of videos to what `model.fit` takes, in one call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerasfast.data.annotations import LabelledVideos
from kerasfast.data.clips import ClipSpec
from kerasfast.data.folder import FolderReport, divide, find_splits, read_folder
from kerasfast.data.labels import LabelSpace
from kerasfast.data.records.folder import local_folder
from kerasfast.data.records.manifest import Manifest
from kerasfast.data.records.state import BuiltDifferentlyError, remove_split

# Sides of the published training: crops of 224 pixels from frames with a shorter side of 256 to 320.
_CROP, _SHORT_SIDE = 224, (256, 320)


@dataclass(frozen=True)
class FolderRecords:
    """Records built from a folder of videos, ready for `model.fit` and `kerasfast.evaluate`.

    Args:
        records: Their folder, for `kerasfast.evaluate` and `kerasfast.data.testing_views`.
        clip: The clip they are for.
        crop_size: Side of the square crops in pixels.
        seed: Seed of the draws in training.
        manifests: By split, "train" and, if they are there, "val" and "test", what was stored.
        reports: By split, what the folder held.
    """

    records: Path
    clip: ClipSpec
    crop_size: int
    seed: int
    manifests: dict[str, Manifest]
    reports: dict[str, FolderReport]

    @property
    def labels(self) -> LabelSpace:
        """The classes; `labels.heads["action"]` are their names in order."""
        return self.manifests["train"].labels

    @property
    def heads(self) -> dict[str, dict[str, Any]]:
        """The heads of a model for these classes, for `kerasfast.load(heads=...)`."""
        return self.labels.head_fields()

    @property
    def skipped(self) -> dict[str, list[dict[str, Any]]]:
        """By split, the videos that could not be read (with `skip_bad`), each with `id` and `reason`."""
        return {split: list(manifest.skipped) for split, manifest in self.manifests.items()}

    def train(self, batch_size: int = 8, **options: Any) -> Any:
        """The `tf.data.Dataset` of augmented clips to train on, as `kerasfast.data.training_clips` makes it.

        Args:
            batch_size: Clips a batch.
            **options: Of `training_clips`, such as `flip=False` for classes that tell left from right.
        """
        from kerasfast.data.pipeline.training import training_clips

        short_side = tuple(scaled(side, self.crop_size) for side in _SHORT_SIDE)
        options = {"crop_size": self.crop_size, "short_side": short_side, "seed": self.seed} | options
        return training_clips(self.records, self.clip, batch_size, **options)

    def validation(self, batch_size: int = 8, **options: Any) -> Any:
        """The `tf.data.Dataset` of a clip of each validation video, the same every time, neither flipped nor enlarged.

        Args:
            batch_size: Clips a batch.
            **options: Of `training_clips`.

        Raises:
            ValueError: There is no validation split.
        """
        from kerasfast.data.pipeline.training import VALIDATION, training_clips

        if "val" not in self.manifests:
            raise ValueError(
                f"{self.records} has no validation videos: none were divided off. Add videos, a folder val beside "
                "train, or give from_folder a larger `validation`."
            )
        fixed = {"crop_size": self.crop_size, "short_side": (self.crop_size, self.crop_size), "seed": self.seed}
        options = {"split": "val"} | fixed | VALIDATION | options
        return training_clips(self.records, self.clip, batch_size, **options)

    def __str__(self) -> str:
        lines = []
        for split, report in self.reports.items():
            lines.append(f"{split}: {report}")
            lines += [f"  skipped {video['id']}: {video['reason']}" for video in self.skipped[split]]
        return "\n".join(lines)


def from_folder(
    root: str | Path,
    clip: ClipSpec,
    out: str | Path,
    *,
    crop_size: int = _CROP,
    validation: float = 0.2,
    seed: int = 0,
    rebuild: bool = False,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> FolderRecords:
    """Builds records from a folder of videos, or takes those that are there, and gives what training needs.

    Args:
        root: Folder of `<class>/<video>.mp4`, or of `train/<class>/...` and, if there are such, `val` and `test`
            (see `read_folder`). Without a folder `val`, a share of the training videos of every class is kept for
            validation.
        clip: The clip, such as `model.clip` or `kerasfast.variant(name).clip`.
        out: Folder of the records. A second call takes what the first built.
        crop_size: Side of the square crops in pixels that the model is to see. Frames are stored with a shorter side
            of 8/7 of that, 256 for 224.
        validation: Share of the videos for validation, where the folder does not say.
        seed: Seed of that choice and of the draws in training.
        rebuild: Delete the records in `out` and build anew if files or options have changed since; otherwise that is an
            error.
        progress: Called with (videos done, videos in all) of a split as the work goes on.
        **options: Of `build_records`, such as `skip_bad=True` to leave out unreadable videos, or `workers`.

    Returns:
        The records. `print` says what was found, how it was divided and what was left out.

    Raises:
        ValueError: An argument is out of its range.
        DataError: The folder holds no classes or a video that cannot be read, or files or options have changed since
            the records were built and `rebuild` is not set; names the file.
        OSError: `out` cannot be written.
    """
    from kerasfast.data.records.build import build_records  # late: it loads TensorFlow, and a wrong folder shows before

    if crop_size < 1:
        raise ValueError(f"crop_size must be at least 1 pixel. Received: {crop_size!r}.")
    out = local_folder(out)
    found = _read(Path(root), validation, seed)
    options = {"short_side": scaled(_SHORT_SIDE[0], crop_size), "seed": seed} | options
    manifests = {}
    for split, videos in found.items():

        def build(split: str = split, videos: LabelledVideos = videos) -> Manifest:
            return build_records(
                videos, videos.videos, videos.labels, out, clip=clip, split=split, progress=progress, **options
            )

        try:
            manifests[split] = build()
        except BuiltDifferentlyError as error:
            if not rebuild:
                raise BuiltDifferentlyError(f"{error} Or call from_folder with rebuild=True.") from error
            remove_split(out, split)
            manifests[split] = build()
    reports = {split: videos.report for split, videos in found.items()}
    return FolderRecords(out, clip, crop_size, seed, manifests, reports)


def scaled(side: int, crop_size: int) -> int:
    """A side that goes with crops of 224 pixels, for crops of another size."""
    return round(side * crop_size / _CROP)


def _read(root: Path, validation: float, seed: int) -> dict[str, LabelledVideos]:
    splits = find_splits(root)
    train = read_folder(splits.get("train", root))
    found = {"train": train}
    if "val" not in splits:
        found["train"], held_out = divide(train, validation, seed)
        if held_out.rows:
            found["val"] = held_out
    for split, folder in splits.items():
        if split != "train":
            found[split] = read_folder(folder, train.labels)
    return found
