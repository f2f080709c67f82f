"""Recipes: training runs as TOML files. `kerasfast.recipes` is this module."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerasfast.models.variants import nearest
from kerasfast.train.optimizers.compiling import check_accumulation, check_replicas, jit_compile
from kerasfast.train.recipes.sections import Data, Evaluation, Model, Published
from kerasfast.train.recipes.toml_tables import dump, from_table, merged, read_toml, to_table
from kerasfast.train.recipes.training import Loss, Multigrid, Optimizer, Schedule, Training

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Recipe:
    """A training run: what to build, on which clips, how to optimise, how to test.

    Args:
        model: Architecture, heads and what to start from.
        schedule: Learning rate.
        training: Length, batch and seed.
        data: How clips are cut.
        optimizer: Optimizer.
        loss: Loss of the heads.
        multigrid: Coarser clips in larger batches for part of the time; none: the same clips throughout.
        evaluation: Protocol of the test.
        published: What it is to reach, and where that number comes from.
        smoke: Tables like the above with what `smoked` replaces, for a run of seconds.
        name: The file's name without `.toml` where the file does not say.
    """

    model: Model
    schedule: Schedule
    training: Training
    data: Data = field(default_factory=Data)
    optimizer: Optimizer = field(default_factory=Optimizer)
    loss: Loss = field(default_factory=Loss)
    multigrid: Multigrid | None = None
    evaluation: Evaluation = field(default_factory=Evaluation)
    published: Published | None = None
    smoke: dict[str, Any] = field(default_factory=dict)
    name: str = ""

    def __post_init__(self) -> None:
        grid, rate = self.multigrid, self.schedule
        if rate.name == "plateau" and self.data.validation_split is None:
            raise ValueError(
                "schedule.name = 'plateau' decays where the validation stops improving. "
                "Received: no data.validation_split. Name a split, or take another schedule."
            )
        if grid is not None and grid.long_cycle and rate.name != "step":
            raise ValueError(
                "multigrid.long_cycle changes the clips within the stages of schedule.name = 'step'. "
                f"Received: {rate.name!r}. Take 'step', or set multigrid.long_cycle = false."
            )
        if grid is not None and self.optimizer.ema is not None:
            raise ValueError(
                "multigrid and optimizer.ema do not go together: clips of one size would be averaged with those of "
                f"another. Received: ema={self.optimizer.ema}. Leave one of them out."
            )

    def override(self, **tables: Mapping[str, Any]) -> Recipe:
        """Return the recipe with some keys replaced; None sets a key back to its default.

        >>> load("miniature_slowfast_nano").override(training={"epochs": 3}).training.epochs
        3

        Raises:
            ValueError: As `load`.
        """
        return from_table(Recipe, merged(to_table(self), tables), f"recipe {self.name!r}")

    def smoked(self) -> Recipe:
        """Return the recipe as its `[smoke]` tables shorten it."""
        return replace(self.override(**self.smoke), smoke={})

    def to_toml(self) -> str:
        """Return text that `load` reads back to an equal recipe."""
        table = to_table(self)
        return dump({"name": table.pop("name"), **table})

    def compile_args(
        self,
        *,
        steps_per_epoch: int,
        counts: Mapping[str, Any] | None = None,
        learning_rate: Any = None,
    ) -> dict[str, Any]:
        """Return the keyword arguments of `Model.compile`: `optimizer`, `loss` and `jit_compile`.

        Args:
            steps_per_epoch: Batches of an epoch; the schedule counts in batches.
            counts: For each head how often each class labels a training video, for losses that weigh classes.
            learning_rate: A schedule in place of the recipe's, such as that of `kerasfast.train.fitting.multigrid`.

        Raises:
            ValueError: A warm-up that does not fit the schedule, a loss that fits none of the heads, or
                `optimizer.accumulate` where replicas cannot do so.
        """
        from kerasfast.train import losses
        from kerasfast.train.optimizers import optim

        chosen = self.optimizer
        if chosen.accumulate > 1:
            check_accumulation(chosen.accumulate)
        check_replicas(chosen.clip_norm, self.model.dtype)
        optimizer: Any = optim.optimizer(
            chosen.name,
            self.learning_rate(steps_per_epoch) if learning_rate is None else learning_rate,
            momentum=chosen.momentum,
            nesterov=chosen.nesterov,
            weight_decay=chosen.weight_decay,
            clip_norm=chosen.clip_norm,
            rates=chosen.rates,
            ema=chosen.ema,
            accumulate=chosen.accumulate,
        )
        loss = losses.head_losses(self.model.activations, self.loss.name, options=self.loss.options, counts=counts)
        return {"optimizer": self._scaled(optimizer), "loss": loss, "jit_compile": jit_compile()}

    @property
    def highest_rate(self) -> float:
        """Highest learning rate, in proportion to the clips of an update where the recipe says for how many."""
        rate, clips = self.schedule, self.training.batch_size * self.optimizer.accumulate
        return rate.learning_rate * clips / (rate.base_batch_size or clips)

    def learning_rate(self, steps_per_epoch: int) -> Any:
        """Return the schedule of the learning rate, or a number that does not change.

        Args:
            steps_per_epoch: Batches of an epoch; the schedule counts in batches.
        """
        from kerasfast.train.optimizers import optim

        if self.training.steps_per_epoch is not None:
            steps_per_epoch = min(steps_per_epoch, self.training.steps_per_epoch)
        rate = self.schedule
        return optim.schedule(
            rate.name,
            self.highest_rate,
            self.training.whole_epochs(steps_per_epoch) * steps_per_epoch,
            warmup_steps=rate.warmup_steps or round(rate.warmup_epochs * steps_per_epoch),
            warmup_from=rate.warmup_from,
            final_fraction=rate.final_fraction,
            cosine_after_warmup=rate.cosine_after_warmup,
            decay_steps=tuple(round(epoch * steps_per_epoch) for epoch in rate.decay_epochs),
            decay_factor=rate.decay_factor,
        )

    def _scaled(self, optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
        """Scale the loss under mixed_float16, where small gradients would become 0.

        Keras does so by the policy of the model, which is the global one; `model.dtype` is that of its layers.
        """
        import keras

        if self.model.dtype != "mixed_float16":
            return optimizer
        return keras.optimizers.LossScaleOptimizer(optimizer, name="loss_scale_optimizer")

    def evaluation_args(self) -> dict[str, Any]:
        """Keyword arguments of `kerasfast.evaluate` for the recipe's protocol."""
        return asdict(self.evaluation)

    def callbacks(self, run_folder: str | Path, *, bn_clips: Any = None) -> builtins.list[keras.callbacks.Callback]:
        """Return callbacks of `Model.fit` that write `history.csv` and `best.weights.h5` into a folder.

        `best.weights.h5` holds the weights of the lowest validation loss, or the last ones where `fit` gets
        no `validation_data`; with `optimizer.ema` the averaged ones, which are validated too. The schedule `plateau`
        lowers the rate here, and losses that follow the predictions do so. A loss that is NaN or infinite raises
        `TrainingDivergedError`.

        Args:
            run_folder: Folder to write to.
            bn_clips: Batches for `training.precise_bn_batches`, in a dataset of their own that gives the same ones in
                every pass, as `training_clips(..., same_clips=True)`.

        Raises:
            ValueError: The recipe asks for precise batch norm, and there are no `bn_clips`.
        """
        from kerasfast.train.callbacks import VAL_MAP, BestWeights, HistoryFile, Plateau, StopOnNaN
        from kerasfast.train.fitting.average import AveragedWeights
        from kerasfast.train.losses import loss_callbacks

        folder = Path(run_folder)
        folder.mkdir(parents=True, exist_ok=True)
        callbacks: builtins.list[keras.callbacks.Callback] = [StopOnNaN(), *loss_callbacks(self.loss.name)]
        if self.optimizer.ema is not None:
            callbacks.append(AveragedWeights())
        if self.training.precise_bn_batches:
            callbacks.append(_precise_bn(bn_clips, self.training.precise_bn_batches))
        callbacks += [HistoryFile(folder / "history.csv"), BestWeights(folder / "best.weights.h5")]
        if self.schedule.name == "plateau":
            by_map = self.training.best == "map"
            plateau = Plateau(
                monitor=VAL_MAP if by_map else "val_loss",
                mode="max" if by_map else "min",
                factor=self.schedule.decay_factor,
                patience=self.schedule.patience,
                min_delta=0.0,
            )
            callbacks.append(plateau)
        return callbacks


def _precise_bn(clips: Any, batches: int) -> keras.callbacks.Callback:
    if clips is None:
        raise ValueError(
            f"training.precise_bn_batches = {batches} needs batches to take statistics over. Received: bn_clips=None. "
            "Give Recipe.callbacks(bn_clips=training_clips(..., same_clips=True)), or set it to 0."
        )
    from kerasfast.train.fitting.precise_bn import PreciseBN

    return PreciseBN(clips, batches)


def load(name_or_path: str | Path) -> Recipe:
    """Read a recipe by its name or from a file.

    Args:
        name_or_path: A name of `list()`, or the path of a TOML file.

    Raises:
        ValueError: No such recipe (the nearest name is suggested), text that is not TOML, an unknown key, a
            wrong type or value; the message names file and key.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        names = list()
        if str(name_or_path) not in names:
            raise ValueError(
                f"There is no recipe {str(name_or_path)!r}.{nearest(str(name_or_path), names)} "
                f"Give the path of a .toml file or one of: {', '.join(names)}."
            )
        path = _folder() / f"{name_or_path}.toml"
    if not path.is_file():
        raise ValueError(f"There is no recipe file {path}. kerasfast.recipes.list() has those with names.")
    recipe = from_table(Recipe, {"name": path.stem, **read_toml(path)}, str(path))
    if recipe.smoke:  # a typo in [smoke] shows now, not in the first smoke run
        unknown = [key for key in recipe.smoke if key in ("smoke", "name")]
        if unknown:
            raise ValueError(f"{path}: [smoke] cannot replace {unknown[0]!r}.")
        from_table(Recipe, merged(to_table(recipe), recipe.smoke), f"{path}: with [smoke]")
    return recipe


def list() -> builtins.list[str]:
    """Return the names of the recipes that come with kerasfast."""
    return sorted(path.stem for path in _folder().glob("*.toml"))


def _folder() -> Path:
    from kerasfast._data_folders import recipes_dir

    return recipes_dir()
