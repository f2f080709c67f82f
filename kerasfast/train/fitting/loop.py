"""One `Model.fit` after the other, over the stages of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from kerasfast.models.classifier import VideoClassifier
from kerasfast.train.distribute import distribute_clips, no_batch_taken_ahead, scope
from kerasfast.train.fitting.checkpoint import Checkpoints, build_variables, check_variables, taken
from kerasfast.train.fitting.checkpoint_files import Checkpoint, CheckpointFolder, Position
from kerasfast.train.fitting.datasets import training_set, validation_set
from kerasfast.train.fitting.stages import Stage, Stages
from kerasfast.train.fitting.validation_map import ValidationMap


@dataclasses.dataclass(frozen=True)
class Loop:
    """What all stages of a run share.

    Args:
        stages: The stages.
        folder: Folder that this process writes the run to.
        checkpoints: Where checkpoints go.
        identity: What they say about the run.
        callbacks: Callbacks beside the recipe's.
        strategy: A `tf.distribute.Strategy`, or None.
        verbose: As for `Model.fit`.
    """

    stages: Stages
    folder: Path
    checkpoints: CheckpointFolder
    identity: Mapping[str, Any]
    callbacks: Sequence[keras.callbacks.Callback]
    strategy: Any = None
    verbose: Any = "auto"

    def run(self, model: VideoClassifier, resume: Checkpoint | None = None) -> VideoClassifier:
        """Fit all stages, or what is left of them.

        Args:
            model: The model of the first stage, not compiled.
            resume: The checkpoint to go on from; None: from the begin.

        Returns:
            The model of the last stage.

        Raises:
            ValueError: The checkpoint is of another model.
        """
        epoch = resume.position.epoch if resume else 0
        for stage in self.stages.stages:
            if epoch < stage.end_epoch:
                model, end = self._fit(model, stage, resume)
                # Losses of clips of another shape are not comparable: the best weights are looked for anew.
                others = [state for state in end.callbacks if state[0] != "BestWeights"]
                resume, epoch = dataclasses.replace(end, callbacks=others), stage.end_epoch
        return model

    def _fit(
        self, model: VideoClassifier, stage: Stage, resume: Checkpoint | None
    ) -> tuple[VideoClassifier, Checkpoint]:
        """Fit one stage; its model, and what the next goes on from."""
        recipe, records = self.stages.recipe, self.stages.records
        start = resume.position if resume else Position()
        with scope(self.strategy):
            model = self.stages.compiled(model, stage)
            build_variables(model)
        if resume is not None:
            check_variables(resume, model)
        validation = validation_set(recipe, records, model)
        used = [*recipe.callbacks(self.folder, bn_clips=self._bn_clips(model)), *self.callbacks]
        if recipe.training.best == "map":
            used.insert(0, ValidationMap(validation, model.heads))

        def clips_of(worker: tuple[int, int] | None) -> Any:
            return self.stages.batches(model, stage, start, worker)

        every = recipe.training.checkpoint_steps or stage.steps
        with no_batch_taken_ahead(model):
            model.fit(
                distribute_clips(self.strategy, clips_of, recipe.training.batch_size)[0],
                initial_epoch=start.epoch,
                epochs=stage.end_epoch,
                steps_per_epoch=stage.steps,
                validation_data=validation,
                callbacks=[*used, Checkpoints(self.checkpoints, every, self.identity, used, resume)],
                verbose=self.verbose,
                shuffle=False,  # the records are; Keras would warn
            )
        steps = (stage.end_epoch - start.epoch) * stage.steps - start.batch
        model.reset_metrics()  # the next stage begins with an epoch
        return model, taken(Position(stage.end_epoch, 0, start.step + steps), self.identity, model, used)

    def _bn_clips(self, model: VideoClassifier) -> Any:
        """The clips that precise batch norm is taken over: the same ones each time, as they are trained on."""
        if not self.stages.recipe.training.precise_bn_batches:
            return None
        return training_set(self.stages.recipe, self.stages.records, model, same_clips=True)
