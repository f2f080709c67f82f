"""The clips of a run: training from any position on, and validation."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerasfast.data.records.read import read_manifest
from kerasfast.train.recipes.recipe import Recipe
from kerasfast.train.scoring.heads import check_heads, check_labelled

if TYPE_CHECKING:
    from kerasfast.models.classifier import VideoClassifier


def datasets(recipe: Recipe, records: str | Path, model: VideoClassifier) -> tuple[Any, Any]:
    """Make the `tf.data` of training and of validation (None without a validation split).

    Each holds one epoch and, iterated again, the next; labels are those of the model's heads.

    Raises:
        ValueError: There are fewer videos than a batch takes, or a crop larger than the short side.
        DataError: Records that are missing, damaged, or of other clips.
    """
    return training_set(recipe, records, model), validation_set(recipe, records, model)


def training_set(recipe: Recipe, records: str | Path, model: VideoClassifier, **options: Any) -> Any:
    """The training clips of a recipe; a pass is an epoch.

    Args:
        recipe: The recipe.
        records: The records.
        model: The model, for its clip and heads.
        **options: Arguments of `kerasfast.data.training_clips` in place of the recipe's, such as `first_epoch`.
    """
    from kerasfast.data.pipeline.color import ColorJitter
    from kerasfast.data.pipeline.rand_augment import RandAugment

    data, full = recipe.data, _crop(recipe, model)
    crop = options.setdefault("crop_size", full)
    scale = full / model.variant.crop_size  # another crop keeps its share of the picture
    low, high = data.short_side or (round(side * scale) for side in model.variant.short_side)
    chosen = {
        "short_side": (round(low * crop / full), high),  # as PySlowFast for the smaller crops of multigrid
        "flip": data.flip,
        "strategy": data.strategy,
        "clips_per_video": data.clips_per_video,
        "color": None if data.color is None else ColorJitter(**dataclasses.asdict(data.color)),
        "rand_augment": None if data.rand_augment is None else RandAugment(**dataclasses.asdict(data.rand_augment)),
        "mixup": data.mixup,
        "balanced": data.balanced,
        **options,
    }
    clips = _clips(recipe, records, model, data.train_split, **chosen)
    cut = recipe.training.steps_per_epoch
    return clips if cut is None else clips.take(cut - options.get("first_step", 0))


def validation_set(recipe: Recipe, records: str | Path, model: VideoClassifier) -> Any:
    """The clips of a validation, the same in every pass; None where the recipe names no split."""
    from kerasfast.data.pipeline.training import VALIDATION

    if recipe.data.validation_split is None:
        return None
    side = _crop(recipe, model)
    options = {"crop_size": side, "short_side": (side, side), **VALIDATION}
    return _clips(recipe, records, model, recipe.data.validation_split, **options)


def _clips(recipe: Recipe, records: str | Path, model: VideoClassifier, split: str, **options: Any) -> Any:
    from kerasfast.data.pipeline.training import training_clips

    options = {"batch_size": recipe.training.batch_size, "seed": recipe.training.seed, **options}
    clips, heads = training_clips(records, model.clip, split=split, **options), list(model.heads)
    return clips.map(lambda frames, labels: (frames, {head: labels[head] for head in heads}))


def _crop(recipe: Recipe, model: VideoClassifier) -> int:
    return recipe.data.crop_size or model.variant.crop_size


def check_validation(recipe: Recipe, records: str | Path) -> None:
    """Refuse a recipe whose validation has no videos or labels, or none where it needs one.

    Raises:
        ValueError: There is no validation split where one is needed, or it is of other classes.
        DataError: The split has no videos, or none with a label of a head; names it.
    """
    split = recipe.data.validation_split
    if split is None:
        if recipe.training.best != "loss":
            raise ValueError(f"training.best = {recipe.training.best!r} needs data.validation_split. Received: none.")
        return
    manifest, where = read_manifest(records, split), f"{records}, split {split!r}"
    check_heads(recipe.model.sizes, manifest.labels.sizes, where)
    check_labelled(len(manifest.videos), manifest.class_counts, list(recipe.model.heads), where)
