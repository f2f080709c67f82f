"""Multigrid training: coarser clips in larger batches for part of the time (Wu et al. 2020, arXiv:1912.00998).

The long cycle changes frames and crop over the training, the short cycle the crop from one step to the next. A batch
has as many more clips as its clips have fewer pixels, so that every step costs about the same and an epoch fewer steps.
Shapes, lengths and rates are those of PySlowFast's `MultigridSchedule`; what is read otherwise:

- A clip of fewer frames spans what the full clip does. PySlowFast draws its stride between the full clip's and this.
- A clip belongs to one batch size by its place in the order of the epoch, so that a video still comes once an epoch.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kerasfast.data.clips import ClipSpec
from kerasfast.models.classifier import SMALLEST_SIDE, VideoClassifier
from kerasfast.models.layers import BatchNorm
from kerasfast.models.row import Variant
from kerasfast.train.optimizers.optim import LinearWarmup

if TYPE_CHECKING:
    import tensorflow as tf

    from kerasfast.train.recipes.recipe import Recipe

# PySlowFast's MULTIGRID.LONG_CYCLE_FACTORS, of frames and crop, and SHORT_CYCLE_FACTORS, of the crop; the third step of
# a short cycle has the crop of the long one.
LONG_FACTORS = ((1 / 4, 0.5**0.5), (1 / 2, 0.5**0.5), (1 / 2, 1.0), (1.0, 1.0))
SHORT_FACTORS = (0.5, 0.5**0.5)


@dataclass(frozen=True)
class Batch:
    """The shape of a step: `size` clips, cropped to `crop_size` pixels."""

    size: int
    crop_size: int


@dataclass(frozen=True)
class Phase:
    """A part of the training with clips of one kind.

    Args:
        first_epoch: Epoch that it begins with, from 0.
        epochs: Its epochs, at least one.
        clip: Its clips.
        batches: Shapes of its steps, in turn: one, or the three of a short cycle.
        rate: Learning rate as a factor of the recipe's highest.
    """

    first_epoch: int
    epochs: int
    clip: ClipSpec
    batches: tuple[Batch, ...]
    rate: float

    def steps(self, clips: int) -> int:
        """Steps of an epoch; what is left over fills no batch.

        Args:
            clips: Clips of an epoch.

        Raises:
            ValueError: The first batch is larger than an epoch.
        """
        ends = list(itertools.accumulate(batch.size for batch in self.batches))
        cycles, rest = divmod(clips, ends[-1])
        if not (steps := cycles * len(ends) + sum(end <= rest for end in ends)):
            raise ValueError(
                f"An epoch must fill the largest batch of multigrid, {self.batches[0].size} clips. "
                f"Received: {clips} clips. Make training.batch_size smaller."
            )
        return steps


def phases(recipe: Recipe, variant: Variant, epochs: int) -> list[Phase]:
    """The phases of a training.

    Each stage between decays of the schedule `step` goes through `LONG_FACTORS`, in parts of equally many steps. The
    last stage has full clips, its first half still at the rate before. The rate is in proportion to the batch of a
    phase, which its short cycle does not change. Without a long cycle there is one phase, of the recipe's schedule.

    Args:
        recipe: A recipe with `[multigrid]`.
        variant: Its architecture, with full clips.
        epochs: Epochs that it would train without multigrid; there are `epoch_factor` times as many.

    Raises:
        ValueError: Clips that the architecture cannot see, batches that batch norm cannot part, or decays outside of
            the training.
    """
    grid = recipe.multigrid
    if grid is None:
        raise ValueError("phases() needs a recipe with multigrid. Received: none. Add the table [multigrid].")
    if variant.head_pool != "global":
        raise ValueError(
            "Multigrid trains on clips of several sizes and needs head_pool='global'. "
            f"Received: {variant.head_pool!r}. Set variant = {{head_pool = 'global'}} in [model]."
        )
    if not grid.long_cycle:
        return [Phase(0, int(epochs * grid.epoch_factor), variant.clip, _batches(recipe, variant, 1.0, 1.0), 1.0)]
    decays = recipe.schedule.decay_epochs
    if decays[-1] >= epochs:
        raise ValueError(
            f"schedule.decay_epochs must lie within the {epochs} epochs. Received: {list(decays)}. Leave some out."
        )
    shapes = [(_clip(variant, time), _batches(recipe, variant, time, space)) for time, space in LONG_FACTORS]
    sizes = [np.mean([batch.size for batch in batches]) / recipe.training.batch_size for _, batches in shapes]
    # In epochs: a stage is shared out by batch size, which is in equal numbers of steps.
    stages = np.diff((0.0, *decays))
    lengths = [stage * size / sum(sizes) for stage in stages for size in sizes]
    # The last stage saves the share of steps that the others do, and its clips are the full ones.
    lengths.append((epochs - decays[-1]) * len(sizes) / sum(sizes) * sizes[-1])
    ends = [_rounded(end * epochs * grid.epoch_factor / sum(lengths)) for end in itertools.accumulate(lengths)]
    factor = recipe.schedule.decay_factor
    plan = [
        (end, shape, factor**stage * shape[1][-1].size / recipe.training.batch_size)
        for end, (stage, shape) in zip(ends, itertools.product(range(len(stages)), shapes), strict=False)
    ]
    full = shapes[-1]
    plan += [((ends[-2] + ends[-1]) // 2, full, plan[-1][2]), (ends[-1], full, factor ** len(stages))]
    begins = [0, *(end for end, *_ in plan)]
    return [
        Phase(begin, end - begin, clip, batches, rate)
        for begin, (end, (clip, batches), rate) in zip(begins, plan, strict=False)
        if end > begin
    ]


def learning_rate(recipe: Recipe, plan: Sequence[Phase], steps: Sequence[int]) -> Any:
    """The learning rate of a training in phases, over all their steps.

    Args:
        recipe: The recipe.
        plan: Its phases.
        steps: Steps of an epoch of each.
    """
    rate, grid = recipe.schedule, recipe.multigrid
    if grid is not None and not grid.long_cycle:
        longer = dataclasses.replace(recipe.training, epochs=plan[0].epochs, steps=None)
        decays = tuple(float(int(epoch * grid.epoch_factor)) for epoch in rate.decay_epochs)
        later = dataclasses.replace(rate, decay_epochs=decays)
        return dataclasses.replace(recipe, training=longer, schedule=later).learning_rate(steps[0])
    ends = np.cumsum([phase.epochs * count for phase, count in zip(plan, steps, strict=True)])
    rates = [recipe.highest_rate * phase.rate for phase in plan]
    # Keras holds a value through its boundary.
    stages = keras.optimizers.schedules.PiecewiseConstantDecay([int(end) - 1 for end in ends[:-1]], rates)
    epochs = [0, *(phase.first_epoch + phase.epochs for phase in plan)]
    warmup = rate.warmup_steps or round(float(np.interp(rate.warmup_epochs, epochs, [0, *ends])))
    return LinearWarmup(stages, warmup, rate.warmup_from) if warmup else stages


def phase_clips(
    phase: Phase,
    clips: int,
    make: Callable[..., tf.data.Dataset],
    *,
    first_epoch: int | None = None,
    first_step: int = 0,
) -> tf.data.Dataset:
    """The batches of a phase: those of its shapes in turn; one pass is one epoch.

    The order of an epoch is cut into turns of a batch of each shape, so that every video comes once, up to those at
    the end that fill no batch. A batch is a function of seed, epoch and step.

    Args:
        phase: The phase.
        clips: Clips of an epoch: training videos times `data.clips_per_video`.
        make: Makes a dataset, as `kerasfast.data.training_clips` of the phase's clip, from the keyword arguments
            `batch_size`, `crop_size`, `turn`, `first_epoch` and `first_step`.
        first_epoch: Epoch of the first pass; by default the phase's first.
        first_step: Steps of that epoch to leave out; the dataset is then the rest of that one epoch.
    """
    import tensorflow as tf

    sizes = [batch.size for batch in phase.batches]
    steps, shapes = phase.steps(clips), len(sizes)
    datasets = []
    for number, batch in enumerate(phase.batches[:steps]):
        done = math.ceil(max(first_step - number, 0) / shapes)
        over = number + done * shapes >= steps  # all of its batches are among those left out
        dataset = make(
            batch_size=batch.size,
            crop_size=batch.crop_size,
            turn=(sum(sizes[:number]), sum(sizes)),
            first_epoch=phase.first_epoch if first_epoch is None else first_epoch,
            first_step=0 if over else done,
        )
        datasets.append(dataset.take(0) if over else dataset)
    choices = tf.data.Dataset.range(first_step, steps).map(lambda step: step % shapes)
    joined = tf.data.Dataset.choose_from_datasets(datasets, choices, stop_on_empty_dataset=False)
    return joined.apply(tf.data.experimental.assert_cardinality(steps - first_step))


def phase_model(model: VideoClassifier, phase: Phase, recipe: Recipe, compile_args: dict[str, Any]) -> VideoClassifier:
    """The network of a phase, compiled: that of the phase before, with its weights and the state of its optimizer.

    Frames are part of a network's graph, so another number of them is another model; height and width are free.

    Args:
        model: The network of the phase before, or the one to begin with, compiled or not.
        phase: The phase.
        recipe: The recipe.
        compile_args: What `Recipe.compile_args` gives with the rate of all phases; made anew for each, as an optimizer
            belongs to the variables of one model.

    Returns:
        `model` itself where it sees such clips and is compiled.
    """
    if model.clip == phase.clip and model.compiled:
        return model
    row = dataclasses.replace(model.variant, clip=phase.clip)
    other = VideoClassifier.from_config({**model.get_config(), "variant": row.to_dict()})
    other.sampling = model.sampling
    for ours, theirs in zip(other.layers, model.layers, strict=True):
        if isinstance(ours, BatchNorm) and ours.policy == "replica" and recipe.multigrid is not None:
            ours.clips = recipe.multigrid.bn_base_clips
        _copy(theirs.variables, ours.variables)  # the state of dropout's random numbers among them
    other.compile(**compile_args)
    if model.compiled and model.optimizer.built:
        other.optimizer.build(other.trainable_variables)
        _copy(model.optimizer.variables, other.optimizer.variables)
    return other


def _copy(sources: Sequence[Any], targets: Sequence[Any]) -> None:
    for source, target in zip(sources, targets, strict=True):
        target.assign(source)


def _clip(variant: Variant, factor: float) -> ClipSpec:
    """The clip of fewer frames over the same span."""
    full = variant.clip
    frames = _rounded(full.frames * factor)
    alpha = variant.alpha if len(variant.pathways) == 2 else 1
    if frames < 1 or full.frames % frames or frames % alpha:
        raise ValueError(
            f"Multigrid takes {factor:g} of the {full.frames} frames of a clip, which must be whole and a multiple of "
            f"alpha. Received: {full.frames * factor:g} frames, alpha={alpha}. Take clips of {4 * alpha} frames or a "
            "multiple of it, or set multigrid.long_cycle = false."
        )
    return ClipSpec(frames, full.stride * (full.frames // frames), full.fps)


def _batches(recipe: Recipe, variant: Variant, time: float, space: float) -> tuple[Batch, ...]:
    """The shapes of the steps of a phase whose clips have these factors of frames and crop."""
    grid, full = recipe.multigrid, recipe.data.crop_size or variant.crop_size
    factors = (*(SHORT_FACTORS if grid is not None and grid.short_cycle else ()), space)
    crops = [_rounded(full * factor) for factor in factors]
    if min(crops) < SMALLEST_SIDE:
        raise ValueError(
            f"Multigrid's smallest crop must be at least {SMALLEST_SIDE} pixels. Received: {min(crops)} of a crop of "
            f"{full}. Take data.crop_size = {2 * SMALLEST_SIDE} or more."
        )
    base = recipe.training.batch_size
    batches = tuple(Batch(base * _rounded(full**2 / (crop**2 * time)), crop) for crop in crops)
    clips = base if grid is None else grid.bn_base_clips
    if uneven := [batch.size for batch in batches if batch.size > clips and batch.size % clips]:
        raise ValueError(
            "Multigrid's batches must be multiples of multigrid.bn_base_clips where they are larger. Received: "
            f"{uneven[0]} clips, bn_base_clips={clips}. Take a training.batch_size that is a multiple or a divisor."
        )
    return batches


def _rounded(value: float) -> int:
    """Half up, whatever the last bit of the quotient."""
    return math.floor(round(value, 6) + 0.5)
