"""A whole training run: recipe and records in, a run folder out."""

from __future__ import annotations

import importlib.util
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerasfast.data.files import write_text
from kerasfast.data.records.read import read_manifest
from kerasfast.train.environment import ENVIRONMENT_FILE, write_environment
from kerasfast.train.fitting.checkpoint_files import CheckpointFolder
from kerasfast.train.fitting.checkpoint_identity import RunIdentity
from kerasfast.train.fitting.datasets import check_validation
from kerasfast.train.operating.points import POINTS_FILE
from kerasfast.train.plots import curves
from kerasfast.train.recipes.recipe import Recipe, load
from kerasfast.train.run import RECIPE_FILE, WEIGHTS_FILE, recipe_heading, save_model_config
from kerasfast.train.scoring.heads import check_heads
from kerasfast.train.scoring.result import versions

if TYPE_CHECKING:
    import keras

    from kerasfast.data.labels import LabelSpace
    from kerasfast.models.classifier import VideoClassifier

TENSORBOARD_FOLDER = "tensorboard"
# What a run that is replaced left, and would be wrong of the new one.
STALE = (
    *(WEIGHTS_FILE, "history.csv", "metrics*.json", "metrics*.npz", "curves.png", POINTS_FILE, "reliability.png"),
    *(ENVIRONMENT_FILE, "report.html"),
)


@dataclass(frozen=True)
class TrainResult:
    """What a run gave.

    Attributes:
        model: The model with the weights of `best.weights.h5`.
        recipe: The recipe as run.
        folder: Holds `config.toml`, `model.json`, `history.csv`, `best.weights.h5`, `curves.png` and
            `environment.json`; `kerasfast.train.run.load_model` reads it.
        history: Per column of `history.csv` without the learning rate, a value per epoch.
        steps: Steps of the run.
        seconds: Seconds of `Model.fit`.
        resumed: Steps that an earlier process had taken.
    """

    model: VideoClassifier
    recipe: Recipe
    folder: Path
    history: dict[str, list[float]]
    steps: int
    seconds: float
    resumed: int = 0


def train(
    recipe: Recipe | str | Path,
    records: str | Path,
    out: str | Path,
    *,
    smoke: bool = False,
    epochs: int | None = None,
    checkpoint_steps: int | None = None,
    deterministic: bool = False,
    tensorboard: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    strategy: Any = None,
    verbose: Any = "auto",
    overwrite: bool = False,
) -> TrainResult:
    """Train a model as a recipe says, or go on with an unfinished run.

    A run saves checkpoints. Where `out` holds one that did not end, because it was killed, its disk was full or its
    loss diverged, the same call goes on from the last checkpoint, with the very next batch. With `deterministic` it
    comes to the same losses and weights, bit for bit, as a run that was never stopped.

    Args:
        recipe: A recipe, its name, or the path of its file.
        records: Folder of `kerasfast records build`, or its address in a store (`s3://`).
        out: Folder of the run; made if need be.
        smoke: Take the recipe's short version, which shows that everything runs.
        epochs: Number of epochs in place of the recipe's.
        checkpoint_steps: Steps from one checkpoint to the next in place of the recipe's, which says one an epoch. The
            last two are kept; each holds the model, and the optimizer's state of once (SGD) or twice (AdamW) its size.
        deterministic: Let equal inputs give equal bits (`tf.config.experimental.enable_op_determinism`). The cost:
            `tf.data` then makes the clips one after the other on one core, a few operations on GPUs are slower, and
            those without a deterministic form are refused. It holds for the process, from now on.
        tensorboard: Write logs for TensorBoard into `tensorboard` of the run.
        callbacks: More callbacks of `Model.fit`, such as `kerasfast.train.callbacks.StepLog`.
        strategy: One of `kerasfast.train.distribute.make_strategy`, for several devices or processes; None: one
            device. The processes of several machines need to see the same `out`; the chief alone writes to it.
        verbose: As for `Model.fit`: 1 a progress bar, 2 a line an epoch, 0 silence.
        overwrite: Replace the run that is in `out`, finished or not.

    Raises:
        ValueError: A wrong recipe, heads that do not fit the records, fewer videos than a batch, a finished run in
            `out`, or an unfinished one of another recipe or on other records; names what differs.
        TrainingDivergedError: The loss became NaN; names the step.
        DataError: Records that are missing, damaged, or of other clips.
        OSError: A checkpoint cannot be written, as on a full disk. The earlier ones are as they were.
    """
    recipe = recipe if isinstance(recipe, Recipe) else load(recipe)
    if smoke:
        recipe = recipe.smoked()
    if epochs is not None:
        recipe = recipe.override(training={"epochs": epochs, "steps": None})
    if checkpoint_steps is not None:
        recipe = recipe.override(training={"checkpoint_steps": checkpoint_steps})
    folder = Path(out)
    checkpoints = CheckpointFolder(folder / "checkpoints")
    if (folder / "history.csv").exists() and not (checkpoints.exists() or overwrite):
        raise ValueError(f"{folder} holds a run already (history.csv). Give another folder, or allow to overwrite.")
    labels = read_manifest(records, recipe.data.train_split).labels
    check_heads(recipe.model.sizes, labels.sizes, str(records))
    check_validation(recipe, records)
    identity = RunIdentity.of(recipe, records, deterministic)
    resume = None if overwrite else checkpoints.latest()
    if resume is not None:
        identity.check(resume.identity, str(folder))
    if tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise ValueError("Logs for TensorBoard need the package tensorboard. Run: pip install tensorboard")
    import keras  # late, so that a mistake above shows without the seconds that TensorFlow takes to load
    import tensorflow as tf

    from kerasfast.data.pipeline.reading import named_damage
    from kerasfast.train.distribute import own_folder, replicas_of, scope, warn_of_small_batches
    from kerasfast.train.fitting.loop import Loop
    from kerasfast.train.fitting.stages import Stages
    from kerasfast.train.losses import class_counts, needs_counts

    keras.utils.set_random_seed(recipe.training.seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    warn_of_small_batches(recipe.model.bn, recipe.training.batch_size, replicas_of(strategy))
    counts = class_counts(records, recipe.data.train_split) if needs_counts(recipe.loss.name) else None
    with scope(strategy):
        model = build_model(recipe, labels)
        stages = Stages.of(recipe, records, model, counts)
        stages.check(model)
    if resume is not None and verbose:
        at = resume.position
        print(f"{folder} holds an unfinished run. Going on from epoch {at.epoch + 1}, step {at.step + 1}.")
    with own_folder(strategy, folder) as own, named_damage(records, recipe.data.train_split):
        checkpoints = CheckpointFolder(own / "checkpoints")
        _prepare(own, checkpoints, new=resume is None or own != folder)
        if resume is not None and own != folder and (folder / WEIGHTS_FILE).is_file():
            shutil.copy2(folder / WEIGHTS_FILE, own / WEIGHTS_FILE)  # no later epoch may be better
        write_text(own / RECIPE_FILE, recipe_heading(records, versions()) + recipe.to_toml())
        save_model_config(model, own)
        history = keras.callbacks.History()
        more = [*callbacks, history]
        if tensorboard:
            more.append(keras.callbacks.TensorBoard(str(own / TENSORBOARD_FOLDER)))
        loop = Loop(stages, own, checkpoints, identity.to_dict(), more, strategy, verbose)
        begin = time.perf_counter()
        model = loop.run(model, resume)
        seconds = time.perf_counter() - begin
        model.load_weights(own / WEIGHTS_FILE)
        curves(own / "history.csv", own / "curves.png")
        resumed = resume.position.step if resume else 0
        write_environment(own, seconds=round(seconds, 1), steps=stages.steps, resumed_at_step=resumed)
        checkpoints.remove()  # the mark of an unfinished run
    return TrainResult(model, recipe, folder, history.history, stages.steps, seconds, resumed)


def build_model(recipe: Recipe, labels: LabelSpace) -> VideoClassifier:
    """Build the recipe's model, with the weights that it starts from.

    Args:
        recipe: The recipe.
        labels: The classes of the records: their names, which the model's heads carry, and for composed heads which
            class of each part belongs to a class.

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
        name: Head(
            table.classes,
            table.activation,
            tuple(labels.heads[name]),
            labels.parts(name, table.composed_of) if table.composed_of else None,
        )
        for name, table in recipe.model.head_tables.items()
    }
    return load_model(
        recipe.model.name,
        heads=heads,
        weights=recipe.model.weights,
        embedding=recipe.model.embedding,
        dropout=recipe.model.dropout,
        bn=recipe.model.bn,
        recompute=recipe.model.recompute,
        dtype=recipe.model.dtype,
        **overrides,
    )


def _prepare(folder: Path, checkpoints: CheckpointFolder, new: bool) -> None:
    """Make the folder of a run, and take away what a run that is replaced left in it."""
    folder.mkdir(parents=True, exist_ok=True)
    if new:
        for stale in (path for pattern in STALE for path in folder.glob(pattern)):
            stale.unlink(missing_ok=True)
        shutil.rmtree(folder / TENSORBOARD_FOLDER, ignore_errors=True)
        checkpoints.begin()
