"""A whole training run: recipe and records in, a run folder out."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerasfast.data.records.read import read_manifest
from kerasfast.train.evaluate import check_heads, versions
from kerasfast.train.plots import curves
from kerasfast.train.recipe import Recipe, load
from kerasfast.train.run import RECIPE_FILE, WEIGHTS_FILE, save_model_config

if TYPE_CHECKING:
    from kerasfast.models.classifier import VideoClassifier


@dataclass(frozen=True)
class TrainResult:
    """What a run gave.

    Attributes:
        model: The model with the weights of `best.weights.h5`.
        recipe: The recipe as run.
        folder: Holds `config.toml`, `model.json`, `history.csv`, `best.weights.h5` and `curves.png`;
            `kerasfast.train.run.load_model` reads it.
        history: Per column of `history.csv` without the learning rate, a value per epoch.
        steps: Steps taken.
        seconds: Seconds of `Model.fit`.
    """

    model: VideoClassifier
    recipe: Recipe
    folder: Path
    history: dict[str, list[float]]
    steps: int
    seconds: float


def train(
    recipe: Recipe | str | Path,
    records: str | Path,
    out: str | Path,
    *,
    smoke: bool = False,
    epochs: int | None = None,
    verbose: Any = "auto",
    overwrite: bool = False,
) -> TrainResult:
    """Train a model as a recipe says.

    Args:
        recipe: A recipe, its name, or the path of its file.
        records: Folder of `kerasfast records build`, or its address in a store (`s3://`).
        out: Folder of the run; made if need be.
        smoke: Take the recipe's short version, which shows that everything runs.
        epochs: Number of epochs in place of the recipe's.
        verbose: As for `Model.fit`: 1 a progress bar, 2 a line an epoch, 0 silence.
        overwrite: Replace the run that is in `out`.

    Raises:
        ValueError: A wrong recipe, heads that do not fit the records, fewer videos than a batch, or a run that is
            already in `out`.
        TrainingDivergedError: The loss became NaN; names the step.
        DataError: Records that are missing, damaged, or of other clips.
    """
    recipe = recipe if isinstance(recipe, Recipe) else load(recipe)
    if smoke:
        recipe = recipe.smoked()
    if epochs is not None:
        recipe = recipe.override(training={"epochs": epochs, "steps": None})
    folder = Path(out)
    if (folder / "history.csv").exists() and not overwrite:
        raise ValueError(f"{folder} holds a run already (history.csv). Give another folder, or allow to overwrite.")
    labels = read_manifest(records, recipe.data.train_split).labels
    tables = recipe.model.head_tables
    check_heads({name: table.classes for name, table in tables.items()}, labels.sizes, str(records))
    import keras  # late, so that a mistake above shows without the seconds that TensorFlow takes to load

    from kerasfast.data.pipeline.reading import named_damage

    keras.utils.set_random_seed(recipe.training.seed)
    model = build_model(recipe, labels.heads)
    clips, validation = datasets(recipe, records, model)
    steps = int(clips.cardinality())
    epochs = recipe.training.whole_epochs(steps)
    folder.mkdir(parents=True, exist_ok=True)
    for stale in (WEIGHTS_FILE, "history.csv", "metrics.json", "curves.png"):  # of the run that this one replaces
        (folder / stale).unlink(missing_ok=True)
    (folder / RECIPE_FILE).write_text(_heading(records) + recipe.to_toml(), encoding="utf-8")
    save_model_config(model, folder)
    model.compile(**recipe.compile_args(steps_per_epoch=steps))
    begin = time.perf_counter()
    with named_damage(records, recipe.data.train_split):
        history = model.fit(
            clips,
            epochs=epochs,
            validation_data=validation,
            callbacks=recipe.callbacks(folder),
            verbose=verbose,
            shuffle=False,  # the records are; Keras would warn
        ).history
    seconds = time.perf_counter() - begin
    model.load_weights(folder / WEIGHTS_FILE)
    curves(folder / "history.csv", folder / "curves.png")
    return TrainResult(model, recipe, folder, history, steps * epochs, seconds)


def build_model(recipe: Recipe, labels: Mapping[str, Sequence[str]]) -> VideoClassifier:
    """Build the recipe's model, with the weights that it starts from.

    Args:
        recipe: The recipe.
        labels: Class names per head, which the model's heads carry.

    Raises:
        ValueError: A model that cannot be built.
    """
    from kerasfast.data.clips import ClipSpec
    from kerasfast.models.heads import Head
    from kerasfast.registry import load as load_model

    overrides: dict[str, Any] = dict(recipe.model.variant)
    if recipe.model.clip is not None:
        clip = recipe.model.clip
        overrides["clip"] = ClipSpec(clip.frames, clip.stride, clip.fps)
    heads = {
        name: Head(table.classes, table.activation, tuple(labels[name]))
        for name, table in recipe.model.head_tables.items()
    }
    return load_model(
        recipe.model.name,
        heads=heads,
        weights=recipe.model.weights,
        embedding=recipe.model.embedding,
        dropout=recipe.model.dropout,
        bn=recipe.model.bn,
        dtype=recipe.model.dtype,
        **overrides,
    )


def datasets(recipe: Recipe, records: str | Path, model: VideoClassifier) -> tuple[Any, Any]:
    """Make the `tf.data` of training and of validation (None without a validation split).

    Each holds one epoch and, iterated again, the next; labels are those of the model's heads.

    Raises:
        ValueError: There are fewer videos than a batch takes, or a crop larger than the short side.
        DataError: Records that are missing, damaged, or of other clips.
    """
    from kerasfast.data.pipeline.color import ColorJitter
    from kerasfast.data.pipeline.rand_augment import RandAugment
    from kerasfast.data.pipeline.training import VALIDATION, training_clips

    data, training = recipe.data, recipe.training
    crop = data.crop_size or model.variant.crop_size
    scale = crop / model.variant.crop_size  # another crop keeps its share of the picture
    low, high = data.short_side or (round(side * scale) for side in model.variant.short_side)

    heads = list(model.heads)

    def clips(split: str, **options: Any) -> Any:
        made = training_clips(
            records, model.clip, training.batch_size, crop_size=crop, split=split, seed=training.seed, **options
        )
        return made.map(lambda frames, labels: (frames, {head: labels[head] for head in heads}))

    train_clips = clips(
        data.train_split,
        short_side=(low, high),
        flip=data.flip,
        strategy=data.strategy,
        clips_per_video=data.clips_per_video,
        color=None if data.color is None else ColorJitter(**dataclasses.asdict(data.color)),
        rand_augment=None if data.rand_augment is None else RandAugment(**dataclasses.asdict(data.rand_augment)),
        mixup=data.mixup,
        balanced=data.balanced,
    )
    if training.steps_per_epoch is not None:
        train_clips = train_clips.take(training.steps_per_epoch)
    if data.validation_split is None:
        return train_clips, None
    validation = clips(data.validation_split, short_side=(crop, crop), **VALIDATION)
    return train_clips, validation


def _heading(records: str | Path) -> str:
    used = ", ".join(f"{name} {version}" for name, version in versions().items())
    return f"# The recipe as run, on the records in {records}.\n# {used}\n"
