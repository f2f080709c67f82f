"""The stages of a run: parts with clips of one shape each, of which only multigrid training has several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerasfast.data.records.read import read_manifest
from kerasfast.train.fitting.checkpoint_files import Position
from kerasfast.train.fitting.datasets import training_set
from kerasfast.train.optimizers.layer_rates import check_rates
from kerasfast.train.recipes.recipe import Recipe

if TYPE_CHECKING:
    from kerasfast.models.classifier import VideoClassifier
    from kerasfast.train.fitting.multigrid import Phase


@dataclass(frozen=True)
class Stage:
    """Epochs `first_epoch` up to `end_epoch` of `steps` steps each.

    Args:
        first_epoch: Its first epoch, counted from 0.
        end_epoch: The epoch after its last.
        steps: Steps of an epoch.
        phase: The phase of multigrid training that it is; None: the clips are the model's.
    """

    first_epoch: int
    end_epoch: int
    steps: int
    phase: Phase | None = None


@dataclass(frozen=True)
class Stages:
    """The stages of a run, in order, and what they share.

    Args:
        recipe: The recipe.
        records: The records.
        counts: Class counts for losses that weigh classes, or None.
        stages: The stages.
        learning_rate: The schedule over all of them; None: the recipe's.
    """

    recipe: Recipe
    records: str | Path
    counts: Mapping[str, Any] | None
    stages: tuple[Stage, ...]
    learning_rate: Any = None

    @classmethod
    def of(cls, recipe: Recipe, records: str | Path, model: VideoClassifier, counts: Any = None) -> Stages:
        """The stages of a recipe on its records.

        Raises:
            ValueError: Clips, batches or videos that do not fit each other.
            DataError: Records that are missing, damaged, or of other clips.
        """
        if recipe.multigrid is None:
            steps = int(training_set(recipe, records, model).cardinality())
            return cls(recipe, records, counts, (Stage(0, recipe.training.whole_epochs(steps), steps),))
        from kerasfast.train.fitting.multigrid import learning_rate, phases

        clips = _clips_of_an_epoch(recipe, records)
        cut = recipe.training.steps_per_epoch
        epochs = recipe.training.whole_epochs(min(clips // recipe.training.batch_size, cut or clips))
        plan = phases(recipe, model.variant, epochs)
        counted = [min(phase.steps(clips), cut or clips) for phase in plan]
        stages = tuple(
            Stage(phase.first_epoch, phase.first_epoch + phase.epochs, steps, phase)
            for phase, steps in zip(plan, counted, strict=True)
        )
        return cls(recipe, records, counts, stages, learning_rate(recipe, plan, counted))

    @property
    def epochs(self) -> int:
        """Epochs in all."""
        return self.stages[-1].end_epoch

    @property
    def steps(self) -> int:
        """Steps in all."""
        return sum((stage.end_epoch - stage.first_epoch) * stage.steps for stage in self.stages)

    def check(self, model: VideoClassifier) -> None:
        """Refuse an optimizer or a loss that does not fit the model, before anything of an earlier run is replaced.

        Raises:
            ValueError: As in `Recipe.compile_args`, or rates of layers that there are not.
        """
        self._compile_args(self.stages[0])
        check_rates(self.recipe.optimizer.rates, [variable.path for variable in model.trainable_variables])

    def compiled(self, model: VideoClassifier, stage: Stage) -> VideoClassifier:
        """The model of a stage, compiled anew: `model` itself, or in multigrid training one with its weights."""
        arguments = self._compile_args(stage)
        if stage.phase is None:
            model.compile(**arguments)
            return model
        from kerasfast.train.fitting.multigrid import phase_model

        return phase_model(model, stage.phase, self.recipe, arguments)

    def _compile_args(self, stage: Stage) -> dict[str, Any]:
        return self.recipe.compile_args(
            steps_per_epoch=stage.steps, counts=self.counts, learning_rate=self.learning_rate
        )

    def batches(
        self, model: VideoClassifier, stage: Stage, start: Position, worker: tuple[int, int] | None = None
    ) -> Any:
        """The batches of a stage from a position on, epoch after epoch without end.

        `Model.fit` takes all epochs for as long as the first, so it gets one stream with `steps_per_epoch`, and need
        not be called a second time after an epoch that was begun before.

        Args:
            model: The model of the stage.
            stage: The stage.
            start: Where to begin; at the begin of the stage if that is before it.
            worker: As for `kerasfast.data.training_clips`.
        """
        epoch, batch = (start.epoch, start.batch) if start.epoch >= stage.first_epoch else (stage.first_epoch, 0)
        stream = self._epochs(model, stage, epoch + (batch > 0), 0, worker).repeat()
        if batch:
            stream = self._epochs(model, stage, epoch, batch, worker).concatenate(stream)
        return stream

    def _epochs(
        self, model: VideoClassifier, stage: Stage, epoch: int, step: int, worker: tuple[int, int] | None
    ) -> Any:
        if stage.phase is None:
            return training_set(self.recipe, self.records, model, first_epoch=epoch, first_step=step, worker=worker)
        from kerasfast.train.fitting.multigrid import phase_clips

        if worker is not None:
            raise ValueError(
                "Multigrid training, whose batches differ in size, runs on one device. "
                "Received: a strategy. Train with strategy 'none', or leave [multigrid] out."
            )

        def make(**options: Any) -> Any:
            return training_set(self.recipe, self.records, model, **options)

        clips = phase_clips(
            stage.phase, _clips_of_an_epoch(self.recipe, self.records), make, first_epoch=epoch, first_step=step
        )
        return clips.take(stage.steps - step)


def _clips_of_an_epoch(recipe: Recipe, records: str | Path) -> int:
    return len(read_manifest(records, recipe.data.train_split).videos) * recipe.data.clips_per_video
