"""The tables of a recipe, one frozen dataclass each; units are in the names, defaults in the fields."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class HeadTable:
    """A head that is not simply that many sigmoid classes.

    Args:
        classes: Number of classes.
        activation: `sigmoid` or `softmax`.
    """

    classes: int
    activation: str = "sigmoid"

    def __post_init__(self) -> None:
        _at_least("classes of a head", self.classes, 1)
        _one_of("activation of a head", self.activation, ("sigmoid", "softmax"))


@dataclass(frozen=True)
class ClipTable:
    """A clip other than the architecture's: `frames` frames, every `stride`-th, counted at `fps`."""

    frames: int
    stride: int
    fps: float


@dataclass(frozen=True)
class Model:
    """`[model]`: what to build.

    Args:
        name: Name of the zoo, with or without a weights tag.
        heads: Classes per head; the records must have these heads with as many classes.
        weights: A zoo name or a file to start from; none: those of the name's tag.
        embedding: Width of a dense layer before the heads; none: no such layer.
        dropout: Rate before the heads.
        bn: Batch-norm policy: `replica`, `sync` or `frozen`.
        dtype: Keras dtype policy such as `mixed_bfloat16`; none: the global one.
        clip: Clip of the model; none: the architecture's.
        variant: Other fields of the architecture to replace, such as `beta` or `head_fusion`.
    """

    name: str
    heads: dict[str, int | HeadTable]
    weights: str | None = None
    embedding: int | None = None
    dropout: float = 0.5
    bn: str = "replica"
    dtype: str | None = None
    clip: ClipTable | None = None
    variant: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.heads:
            raise ValueError("model.heads must name at least one head, as in heads = {action = 157}.")
        for name, head in self.heads.items():
            _at_least(f"model.heads.{name}", head if isinstance(head, int) else head.classes, 1)
        if not 0 <= self.dropout < 1:
            raise ValueError(f"model.dropout must be in [0, 1). Received: {self.dropout}.")

    @property
    def activations(self) -> dict[str, str]:
        """Activation per head."""
        return {name: head.activation for name, head in self.head_tables.items()}

    @property
    def head_tables(self) -> dict[str, HeadTable]:
        """Heads, each as a table."""
        return {name: HeadTable(h) if isinstance(h, int) else h for name, h in self.heads.items()}


@dataclass(frozen=True)
class Data:
    """`[data]`: how clips are cut from the records.

    Args:
        crop_size: Side of the square training crop in pixels; none: the architecture's.
        short_side: Range of the jittered short side in pixels; none: the architecture's.
        flip: Whether to mirror half of the clips. Wrong where labels tell left from right or one sense of
            rotation from the other.
        train_split: Split of the records to train on.
        validation_split: Split whose loss picks the best weights; none: the last weights are kept.
    """

    crop_size: int | None = None
    short_side: tuple[int, int] | None = None
    flip: bool = True
    train_split: str = "train"
    validation_split: str | None = None

    def __post_init__(self) -> None:
        if self.crop_size is not None:
            _at_least("data.crop_size", self.crop_size, 1)
        if self.short_side is not None and not 0 < self.short_side[0] <= self.short_side[1]:
            raise ValueError(f"data.short_side must be a rising range. Received: {list(self.short_side)}.")


@dataclass(frozen=True)
class Optimizer:
    """`[optimizer]`: see `kerasfast.train.optim.optimizer`.

    Args:
        name: `sgd` or `adamw`.
        momentum: Of SGD.
        nesterov: Of SGD.
        weight_decay: Batch norm never decays.
        clip_norm: Largest norm of all gradients together; none: no clipping.
        loss: Loss of the heads that it fits (`kerasfast.train.losses.LOSSES`); none: each head's default.
    """

    name: str = "sgd"
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 0.0
    clip_norm: float | None = None
    loss: str | None = None

    def __post_init__(self) -> None:
        _one_of("optimizer.name", self.name, ("sgd", "adamw"))
        _at_least("optimizer.weight_decay", self.weight_decay, 0)
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ValueError(f"optimizer.clip_norm must be positive. Received: {self.clip_norm}.")


@dataclass(frozen=True)
class Schedule:
    """`[schedule]`: see `kerasfast.train.optim.schedule`.

    Args:
        learning_rate: Highest rate, for the recipe's batch size.
        name: `constant`, `cosine` or `step`.
        warmup_epochs: Length of the linear warm-up in epochs (may be a fraction).
        warmup_steps: The same in steps; give one of the two.
        warmup_from: Rate of the first step of a warm-up.
        final_fraction: Last rate of `cosine`, as a fraction of `learning_rate`.
        decay_epochs: Epochs, counted from 0, that begin with a decay of `step`.
        decay_factor: Factor of each decay.
    """

    learning_rate: float
    name: str = "cosine"
    warmup_epochs: float = 0.0
    warmup_steps: int = 0
    warmup_from: float = 0.0
    final_fraction: float = 0.0
    decay_epochs: tuple[float, ...] = ()
    decay_factor: float = 0.1

    def __post_init__(self) -> None:
        _one_of("schedule.name", self.name, ("constant", "cosine", "step"))
        if not self.learning_rate > 0:
            raise ValueError(f"schedule.learning_rate must be positive. Received: {self.learning_rate}.")
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
        batch_size: Clips of a step, over all replicas.
        seed: Of weights, dropout, clips and their order.
        steps_per_epoch: Steps after which an epoch is cut short; none: all of it.
    """

    epochs: int
    batch_size: int
    seed: int = 0
    steps_per_epoch: int | None = None

    def __post_init__(self) -> None:
        _at_least("training.epochs", self.epochs, 1)
        _at_least("training.batch_size", self.batch_size, 1)
        if self.steps_per_epoch is not None:
            _at_least("training.steps_per_epoch", self.steps_per_epoch, 1)


@dataclass(frozen=True)
class Evaluation:
    """`[evaluation]`: the protocol of the test.

    Args:
        clips: Clips of a video, spread evenly over it.
        crops: Crops of a clip: 3 (left, centre, right or top, centre, bottom) or 1 (centre).
        merge: How the views of a video become one score: `max` or `mean`; none: as the head's activation asks.
        rule: `sklearn` or `charades` (`kerasfast.train.metrics`).
        split: Split of the records to test on.
        batch_size: Views of a step.
        crop_size: Side of a view in pixels; none: the architecture's.
    """

    clips: int = 10
    crops: int = 3
    merge: str | None = None
    rule: str = "sklearn"
    split: str = "test"
    batch_size: int = 16
    crop_size: int | None = None

    def __post_init__(self) -> None:
        _at_least("evaluation.clips", self.clips, 1)
        _one_of("evaluation.crops", self.crops, (1, 3))
        if self.merge is not None:
            _one_of("evaluation.merge", self.merge, ("max", "mean"))
        _one_of("evaluation.rule", self.rule, ("sklearn", "charades"))
        _at_least("evaluation.batch_size", self.batch_size, 1)


def _at_least(name: str, value: float, least: float) -> None:
    if value < least:
        raise ValueError(f"{name} must be at least {least}. Received: {value}.")


def _one_of(name: str, value: Any, choices: Collection[Any]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}. Received: {value!r}.")
