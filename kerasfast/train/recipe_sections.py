"""The tables of a recipe that say what is trained and tested: model, data, evaluation and the published result.

One frozen dataclass each; units are in the names, defaults in the fields.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kerasfast.train.recipe_checks import at_least as _at_least
from kerasfast.train.recipe_checks import one_of as _one_of


@dataclass(frozen=True)
class HeadTable:
    """A head that is not simply that many sigmoid classes.

    Args:
        classes: Number of classes.
        activation: `sigmoid` or `softmax`.
        composed_of: Heads whose logits this head's are combined from, such as `["verb", "object"]` for the actions of
            Charades; the records say which class of each belongs to a class of this head.
    """

    classes: int
    activation: str = "sigmoid"
    composed_of: tuple[str, ...] = ()

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
        weights: A zoo name or a file to start from; `false`: random ones; none: those of the name's tag.
        embedding: Width of a dense layer before the heads; none: no such layer.
        dropout: Rate before the heads.
        bn: Batch-norm policy: `replica`, `sync` or `frozen`.
        recompute: Keep less for the gradient and compute it again: less memory, more time.
        dtype: Keras dtype policy such as `mixed_bfloat16`; none: the global one.
        clip: Clip of the model; none: the architecture's.
        variant: Other fields of the architecture to replace, such as `beta` or `head_fusion`.
    """

    name: str
    heads: dict[str, int | HeadTable]
    weights: str | bool | None = None
    embedding: int | None = None
    dropout: float = 0.5
    bn: str = "replica"
    recompute: bool = False
    dtype: str | None = None
    clip: ClipTable | None = None
    variant: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.heads:
            raise ValueError("model.heads must name at least one head, as in heads = {action = 157}.")
        if self.weights is True:
            raise ValueError("model.weights must be a name of the zoo, a path or false. Received: True.")
        for name, head in self.heads.items():
            _at_least(f"model.heads.{name}", head if isinstance(head, int) else head.classes, 1)
            for part in head.composed_of if isinstance(head, HeadTable) else ():
                _one_of(f"model.heads.{name}.composed_of", part, [other for other in self.heads if other != name])
        if not 0 <= self.dropout < 1:
            raise ValueError(f"model.dropout must be in [0, 1). Received: {self.dropout}.")

    @property
    def activations(self) -> dict[str, str]:
        """Activation per head."""
        return {name: head.activation for name, head in self.head_tables.items()}

    @property
    def sizes(self) -> dict[str, int]:
        """Number of classes per head."""
        return {name: head.classes for name, head in self.head_tables.items()}

    @property
    def head_tables(self) -> dict[str, HeadTable]:
        """Heads, each as a table."""
        return {name: HeadTable(h) if isinstance(h, int) else h for name, h in self.heads.items()}


@dataclass(frozen=True)
class ColorTable:
    """The arguments of `kerasfast.data.ColorJitter`."""

    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.0


@dataclass(frozen=True)
class RandAugmentTable:
    """The arguments of `kerasfast.data.RandAugment`."""

    ops: int = 2
    magnitude: float = 9.0
    magnitude_std: float = 0.5
    probability: float = 0.5
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True)
class Data:
    """`[data]`: how clips are cut from the records.

    Args:
        crop_size: Side of the square training crop in pixels; none: the architecture's.
        short_side: Range of the jittered short side in pixels; none: the architecture's.
        flip: Whether to mirror half of the clips. Wrong where labels tell left from right or one sense of
            rotation from the other.
        strategy: `dense`, or `uniform` for frames of the whole video (Something-Something).
        clips_per_video: Clips of each video in a batch, each with draws of its own.
        color: Colour jitter; none: no change.
        rand_augment: RandAugment; none: no change.
        mixup: Alpha of the mixing of clips and targets; 0: none.
        balanced: Head whose classes are drawn equally often; none: every video once an epoch.
        train_split: Split of the records to train on.
        validation_split: Split whose loss picks the best weights; none: the last weights are kept.
    """

    crop_size: int | None = None
    short_side: tuple[int, int] | None = None
    flip: bool = True
    strategy: str = "dense"
    clips_per_video: int = 1
    color: ColorTable | None = None
    rand_augment: RandAugmentTable | None = None
    mixup: float = 0.0
    balanced: str | None = None
    train_split: str = "train"
    validation_split: str | None = None

    def __post_init__(self) -> None:
        if self.crop_size is not None:
            _at_least("data.crop_size", self.crop_size, 1)
        if self.short_side is not None and not 0 < self.short_side[0] <= self.short_side[1]:
            raise ValueError(f"data.short_side must be a rising range. Received: {list(self.short_side)}.")
        _one_of("data.strategy", self.strategy, ("dense", "uniform"))
        _at_least("data.clips_per_video", self.clips_per_video, 1)
        _at_least("data.mixup", self.mixup, 0)


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


@dataclass(frozen=True)
class Published:
    """`[published]`: what the recipe is to reach, and where that number comes from. Nothing is computed from it.

    Args:
        command: Command lines that run it, from records to the score.
        hardware: What it was run on, or what it takes.
        protocol: Views, merging and rule behind the metrics.
        source: Paper, table or configuration that states the metrics and the settings.
        metrics: Name of a metric, such as `action_map` or `action_top1`, to its value from 0 to 1; empty where the
            source states none.
        reached: Whether kerasfast has reached them, and how: a sentence.
        notes: What the source leaves open, and what was chosen.
    """

    command: str
    hardware: str
    protocol: str
    source: str
    metrics: dict[str, float] = field(default_factory=dict)
    reached: str = "not trained here: neither the data nor the hardware is at hand"
    notes: str = ""

    def __post_init__(self) -> None:
        for name, value in self.metrics.items():
            if not 0 < value <= 1:
                raise ValueError(f"published.metrics.{name} must be a share in (0, 1]. Received: {value}.")
