"""The tables of a recipe that say how it is trained: optimizer, loss, schedule, length and multigrid.

One frozen dataclass each; units are in the names, defaults in the fields.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from kerasfast.train.recipes.checks import at_least as _at_least
from kerasfast.train.recipes.checks import one_of as _one_of


@dataclass(frozen=True)
class Optimizer:
    """`[optimizer]`: see `kerasfast.train.optimizers.optim.optimizer`.

    Args:
        name: `sgd` or `adamw`.
        momentum: Of SGD.
        nesterov: Of SGD.
        weight_decay: Batch norm never decays.
        clip_norm: Largest norm of all gradients together; none: no clipping.
        rates: Factor of the learning rate for layers whose name begins with a key, such as `{slow = 0.1, fast = 0.1}`;
            the longest key that fits counts, the others keep 1. The key `backbone` stands for all layers before the
            pooling.
        ema: Momentum of an exponential moving average of the weights, which is what is validated and saved; none: no
            average.
        accumulate: Batches whose gradients are averaged before a step.
    """

    name: str = "sgd"
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 0.0
    clip_norm: float | None = None
    rates: dict[str, float] = field(default_factory=dict)
    ema: float | None = None
    accumulate: int = 1

    def __post_init__(self) -> None:
        _one_of("optimizer.name", self.name, ("sgd", "adamw"))
        _at_least("optimizer.weight_decay", self.weight_decay, 0)
        _at_least("optimizer.accumulate", self.accumulate, 1)
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ValueError(f"optimizer.clip_norm must be positive. Received: {self.clip_norm}.")
        if self.ema is not None and not 0 < self.ema < 1:
            raise ValueError(f"optimizer.ema must be in (0, 1). Received: {self.ema}.")
        for key, factor in self.rates.items():
            _at_least(f"optimizer.rates.{key}", factor, 0)


@dataclass(frozen=True)
class Loss:
    """`[loss]`: see `kerasfast.train.losses`.

    Args:
        name: A key of `kerasfast.train.losses.LOSSES`, for the heads whose activation it fits; none: each head's
            default.
        options: Arguments of that loss, such as `{gamma = 2.0}`.
    """

    name: str | None = None
    options: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.options and self.name is None:
            raise ValueError(f"loss.options belong to a loss.name. Received: options={self.options} alone.")


@dataclass(frozen=True)
class Schedule:
    """`[schedule]`: see `kerasfast.train.optimizers.optim.schedule`.

    Args:
        learning_rate: Highest rate, for the recipe's batch size or for `base_batch_size`.
        name: `constant`, `cosine`, `step`, or `plateau`: constant, and times `decay_factor` whenever the validation
            has not improved for `patience` epochs.
        base_batch_size: Batch size that `learning_rate` is stated for; the rate of a run is in proportion to its own.
        warmup_epochs: Length of the linear warm-up in epochs (may be a fraction).
        warmup_steps: The same in steps; give one of the two.
        warmup_from: Rate of the first step of a warm-up.
        final_fraction: Last rate of `cosine`, as a fraction of `learning_rate`.
        cosine_after_warmup: Whether the half period of `cosine` begins where the warm-up ends; false: at step 0, as in
            the SlowFast paper and PySlowFast, so that the warm-up ends a little below `learning_rate`.
        decay_epochs: Epochs, counted from 0, that begin with a decay of `step`.
        decay_factor: Factor of each decay.
        patience: Validations without improvement before a decay of `plateau`.
    """

    learning_rate: float
    name: str = "cosine"
    base_batch_size: int | None = None
    warmup_epochs: float = 0.0
    warmup_steps: int = 0
    warmup_from: float = 0.0
    final_fraction: float = 0.0
    cosine_after_warmup: bool = True
    decay_epochs: tuple[float, ...] = ()
    decay_factor: float = 0.1
    patience: int = 5

    def __post_init__(self) -> None:
        _one_of("schedule.name", self.name, ("constant", "cosine", "step", "plateau"))
        if not self.learning_rate > 0:
            raise ValueError(f"schedule.learning_rate must be positive. Received: {self.learning_rate}.")
        if self.base_batch_size is not None:
            _at_least("schedule.base_batch_size", self.base_batch_size, 1)
        _at_least("schedule.patience", self.patience, 1)
        if self.warmup_epochs and self.warmup_steps:
            raise ValueError(
                "Give schedule.warmup_epochs or schedule.warmup_steps, not both. "
                f"Received: {self.warmup_epochs} and {self.warmup_steps}."
            )
        if (self.name == "step") != bool(self.decay_epochs):
            raise ValueError(
                "schedule.decay_epochs and schedule.name = 'step' go together. "
                f"Received: name={self.name!r}, decay_epochs={list(self.decay_epochs)}."
            )
        if list(self.decay_epochs) != sorted(set(self.decay_epochs)):
            raise ValueError(f"schedule.decay_epochs must rise. Received: {list(self.decay_epochs)}.")


@dataclass(frozen=True)
class Training:
    """`[training]`: how long.

    Args:
        epochs: Passes over the training videos, one random clip of each.
        steps: Steps in place of epochs, rounded to whole epochs of the records at hand, at least one.
        batch_size: Clips of a step, over all replicas.
        seed: Of weights, dropout, clips and their order.
        steps_per_epoch: Steps after which an epoch is cut short; none: all of it.
        checkpoint_steps: Steps from one checkpoint, from which a killed run goes on, to the next; none: one an epoch.
        best: What decides on `best.weights.h5`: the lowest validation `loss`, or the highest mean `map` of the heads.
        precise_bn_batches: Batches whose mean statistics batch norm gets after the last epoch and before each
            validation; 0: it keeps its moving statistics.
    """

    batch_size: int
    epochs: int | None = None
    steps: int | None = None
    seed: int = 0
    steps_per_epoch: int | None = None
    checkpoint_steps: int | None = None
    best: str = "loss"
    precise_bn_batches: int = 0

    def __post_init__(self) -> None:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError(
                "Give training.epochs or training.steps, one of the two. "
                f"Received: epochs={self.epochs}, steps={self.steps}."
            )
        for key in ("batch_size", "epochs", "steps", "steps_per_epoch", "checkpoint_steps"):
            if getattr(self, key) is not None:
                _at_least(f"training.{key}", getattr(self, key), 1)
        _one_of("training.best", self.best, ("loss", "map"))
        _at_least("training.precise_bn_batches", self.precise_bn_batches, 0)

    def whole_epochs(self, steps_per_epoch: int) -> int:
        """Epochs of the run.

        Args:
            steps_per_epoch: Batches of an epoch.
        """
        if self.epochs is not None:
            return self.epochs
        return max(1, round((self.steps or 0) / steps_per_epoch))


@dataclass(frozen=True)
class Multigrid:
    """`[multigrid]`: training on coarser clips in larger batches for part of the time (Wu et al. 2020).

    See `kerasfast.train.fitting.multigrid`.

    Args:
        long_cycle: Change frames and crop over the training.
        short_cycle: Change the crop from one step to the next.
        epoch_factor: The training is so many times longer in epochs.
        bn_base_clips: Clips that batch norm takes its statistics over, whatever the batch.
    """

    long_cycle: bool = True
    short_cycle: bool = True
    epoch_factor: float = 1.5
    bn_base_clips: int = 8

    def __post_init__(self) -> None:
        if not (self.long_cycle or self.short_cycle):
            raise ValueError("multigrid needs long_cycle or short_cycle. Leave the table out to train without.")
        _at_least("multigrid.epoch_factor", self.epoch_factor, 1)
        _at_least("multigrid.bn_base_clips", self.bn_base_clips, 1)
