"""The clips of a run: training from any position on, and validation."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerasfast.data.records.read import read_manifest
from kerasfast.train.checkpoint_files import Position
from kerasfast.train.recipe import Recipe

if TYPE_CHECKING:
    from kerasfast.models.classifier import VideoClassifier


def datasets(recipe: Recipe, records: str | Path, model: VideoClassifier) -> tuple[Any, Any]:
    """Make the `tf.data` of training and of validation (None without a validation split).

    Each holds one epoch and, iterated again, the next; labels are those of the model's heads.

    Raises:
        ValueError: There are fewer videos than a batch takes, or a crop larger than the short side.
        DataError: Records that are missing, damaged, or of other clips.
    """
    return _training_set(recipe, records, model), _validation_set(recipe, records, model)


def batches_from(recipe: Recipe, records: str | Path, model: VideoClassifier, start: Position) -> tuple[Any, Any, int]:
    """The batches of a run from a position on, epoch after epoch without end.

    `Model.fit` takes all epochs for as long as the first, so it gets one stream with `steps_per_epoch`, and need not be
    called a second time after an epoch that was begun before.

    Returns:
        The stream, the validation as `datasets` gives it, and the steps of an epoch.

    Raises:
        ValueError: As `datasets`.
        DataError: As `datasets`.
    """
    whole = _training_set(recipe, records, model, start.epoch + (start.batch > 0))
    steps, stream = int(whole.cardinality()), whole.repeat()
    if start.batch:
        stream = _training_set(recipe, records, model, start.epoch, start.batch).concatenate(stream)
    return stream, _validation_set(recipe, records, model), steps


def _training_set(recipe: Recipe, records: str | Path, model: VideoClassifier, epoch: int = 0, step: int = 0) -> Any:
    from kerasfast.data.pipeline.color import ColorJitter
    from kerasfast.data.pipeline.rand_augment import RandAugment

    data, crop = recipe.data, _crop(recipe, model)
    scale = crop / model.variant.crop_size  # another crop keeps its share of the picture
    low, high = data.short_side or (round(side * scale) for side in model.variant.short_side)
    clips = _clips(
        recipe,
        records,
        model,
        data.train_split,
        short_side=(low, high),
        flip=data.flip,
        strategy=data.strategy,
        clips_per_video=data.clips_per_video,
        color=None if data.color is None else ColorJitter(**dataclasses.asdict(data.color)),
        rand_augment=None if data.rand_augment is None else RandAugment(**dataclasses.asdict(data.rand_augment)),
        mixup=data.mixup,
        balanced=data.balanced,
        first_epoch=epoch,
        first_step=step,
    )
    cut = recipe.training.steps_per_epoch
    return clips if cut is None else clips.take(cut - step)


def _validation_set(recipe: Recipe, records: str | Path, model: VideoClassifier) -> Any:
    from kerasfast.data.pipeline.training import VALIDATION

    if recipe.data.validation_split is None:
        return None
    side = _crop(recipe, model)
    return _clips(recipe, records, model, recipe.data.validation_split, short_side=(side, side), **VALIDATION)


def _clips(recipe: Recipe, records: str | Path, model: VideoClassifier, split: str, **options: Any) -> Any:
    from kerasfast.data.pipeline.training import training_clips

    training, heads = recipe.training, list(model.heads)
    clips = training_clips(
        records,
        model.clip,
        training.batch_size,
        crop_size=_crop(recipe, model),
        split=split,
        seed=training.seed,
        **options,
    )
    return clips.map(lambda frames, labels: (frames, {head: labels[head] for head in heads}))


def _crop(recipe: Recipe, model: VideoClassifier) -> int:
    return recipe.data.crop_size or model.variant.crop_size


def check_validation(recipe: Recipe, records: str | Path) -> None:
    """Refuse a recipe whose validation has no videos, or none where it needs one.

    Raises:
        ValueError: Names the split.
    """
    split = recipe.data.validation_split
    if split is None:
        if recipe.training.best != "loss":
            raise ValueError(f"training.best = {recipe.training.best!r} needs data.validation_split. Received: none.")
        return
    if not read_manifest(records, split).videos:
        raise ValueError(
            f"The validation split must hold at least one video. Received: {split!r} of {records}, which holds none. "
            "Build it again from videos that can be read, or leave data.validation_split out."
        )
