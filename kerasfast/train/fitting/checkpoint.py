"""Exact resume: all that a run consists of, saved in front of a batch and put back in front of the same batch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from kerasfast.train.fitting.checkpoint_files import Checkpoint, CheckpointFolder, Position

# What Keras' callbacks remember. All of their attributes would be too many: `ReduceLROnPlateau` changes the sign of its
# `min_delta` at the first epoch, and would change it back after a restart.
_STATE_OF_KERAS = {
    keras.callbacks.History: ("epoch", "history"),
    keras.callbacks.ReduceLROnPlateau: ("best", "wait", "cooldown_counter"),
    keras.callbacks.EarlyStopping: ("best", "wait", "best_epoch", "stopped_epoch"),
    keras.callbacks.ModelCheckpoint: ("best",),
}
# Keras numbers layers by how many the process made before, as in `dropout_3`.
_NUMBER = re.compile(r"_\d+(?=/|$)")


class Checkpoints(keras.callbacks.Callback):
    """Write checkpoints, and go on from one.

    A checkpoint is taken, and put back, at one and the same place of `Model.fit`: in front of a batch, after all
    callbacks have begun the epoch. So nothing that Keras does at the begin of a training or of an epoch (metrics set
    to 0, callbacks set back, averaged weights swapped) can come between. It holds the variables of model (with the
    statistics of batch norm and the seeds of dropout), optimizer and metrics (the means of the running epoch), and what
    callbacks remember: the history, the best loss so far, how long `ReduceLROnPlateau` has waited. A callback of your
    own names its attributes, of types that JSON has, in a class attribute `checkpointed`.

    `keras.callbacks.BackupAndRestore` saves model and optimizer alone: after a kill the epoch begins again with other
    clips, its means lack the steps before, and what callbacks remember is lost.

    `Model.fit` counts batches from the begin of an epoch. Where the run goes on within one, the batches that were
    taken are counted without being read or computed: the data must begin with the batch at the position.

    Give it last, so that what it saves is what the others left. TensorFlow alone: elsewhere Keras keeps the variables
    outside of the model while it trains.

    Args:
        folder: Where to write.
        every: Steps from one checkpoint to the next.
        identity: What the checkpoints say about the run.
        callbacks: Callbacks whose state belongs to the run.
        resume: Where to go on; None: at the begin.
    """

    def __init__(
        self,
        folder: CheckpointFolder,
        every: int,
        identity: Mapping[str, Any],
        callbacks: Sequence[keras.callbacks.Callback],
        resume: Checkpoint | None = None,
    ) -> None:
        super().__init__()
        self._folder, self._every, self._identity, self._callbacks = folder, every, dict(identity), callbacks
        self._resume = resume
        self._position = Position()
        self._train_function: Any = None

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Count the batches that were taken without computing them."""
        if self._resume is None:
            return
        start = self._resume.position
        self._position = Position(start.epoch, 0, start.step - start.batch)
        # Keras looks the function up at each step, and has made it before it comes here.
        model: Any = self.model
        self._train_function = model.train_function
        model.train_function = lambda iterator: {}

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Note the epoch."""
        self._position = Position(epoch, 0, self._position.step)

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        """Save what is to be saved, or put it back."""
        self._position = position = Position(self._position.epoch, batch, self._position.step)
        if self._resume is not None:
            if batch == self._resume.position.batch:
                model: Any = self.model
                model.train_function = self._train_function
                restore(self._resume, model, self._callbacks)
                self._resume = None  # and its arrays
        elif position.step and position.step % self._every == 0 and self._is_finite():
            self._folder.write(taken(position, self._identity, self.model, self._callbacks))

    def _is_finite(self) -> bool:
        """Whether no weight is NaN: the update of a step may make one that only the next loss shows."""
        model: Any = self.model
        return all(bool(keras.ops.all(keras.ops.isfinite(variable))) for variable in model.trainable_variables)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Count the step."""
        position = self._position
        self._position = Position(position.epoch, position.batch, position.step + 1)


def build_variables(model: Any) -> None:
    """Make the variables of optimizer, loss and metrics of a compiled model, which Keras makes in the first step.

    A checkpoint is put back before that. A model of several replicas needs it too: Keras would take a batch of the
    data to make them.

    Args:
        model: A compiled model with a dict of outputs `(batch, classes)`.
    """
    some = {name: np.zeros((1, *output.shape[1:]), np.float32) for name, output in model.output.items()}
    if not model.optimizer.built:  # that of a later phase of multigrid is
        model.optimizer.build(model.trainable_variables)
    model.compute_loss(None, some, some)
    model.compute_metrics(None, some, some)
    model.reset_metrics()


def taken(
    position: Position, identity: Mapping[str, Any], model: Any, callbacks: Sequence[keras.callbacks.Callback]
) -> Checkpoint:
    """The checkpoint of a run at a position; its arrays are read from the variables one after the other."""
    found = _variables(model)
    states = [
        (type(callback).__name__, {name: getattr(callback, name) for name in _state_names(callback)})
        for callback in callbacks
    ]
    return Checkpoint(position, dict(identity), states, list(found), _Arrays(list(found.values())))


def restore(checkpoint: Checkpoint, model: Any, callbacks: Sequence[keras.callbacks.Callback]) -> None:
    """Put a checkpoint back.

    Args:
        checkpoint: What `CheckpointFolder.latest` gave.
        model: The compiled model, with all its variables.
        callbacks: Those of the run; one that the checkpoint does not know keeps the state of a begin.

    Raises:
        ValueError: The checkpoint is of another model; names a variable. Nothing has been changed then.
    """
    check_variables(checkpoint, model)
    for variable, array in zip(_variables(model).values(), checkpoint.arrays, strict=True):
        # NumPy stores bfloat16, which is not its own, as bytes.
        variable.assign(array.view(_array(variable).dtype))
    left = list(callbacks)
    for name, state in checkpoint.callbacks:
        same = next((callback for callback in left if type(callback).__name__ == name), None)
        if same is not None:
            left.remove(same)
            for attribute, value in state.items():
                setattr(same, attribute, value)


def check_variables(checkpoint: Checkpoint, model: Any) -> None:
    """Refuse a checkpoint of another model.

    Raises:
        ValueError: Names the first variable that differs.
    """
    ours = [(name, tuple(variable.shape)) for name, variable in _variables(model).items()]
    theirs = [(name, array.shape) for name, array in zip(checkpoint.names, checkpoint.arrays, strict=True)]
    if ours == theirs:
        return
    at = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))
    wanted, found = (" ".join(map(str, side[at])) if at < len(side) else "none" for side in (ours, theirs))
    raise ValueError(
        f"{checkpoint.path} is of another model: it has {len(theirs)} variables, this one {len(ours)}, and number "
        f"{at} is {found} there, {wanted} here. Give the recipe of the run, or another folder."
    )


class _Arrays(Sequence):
    """Values of variables, each read when it is asked for."""

    def __init__(self, variables: Sequence[Any]) -> None:
        self._variables = variables

    def __len__(self) -> int:
        return len(self._variables)

    def __getitem__(self, index: Any) -> Any:
        return _array(self._variables[index])


def _variables(model: Any) -> dict[str, Any]:
    """Every variable of a training by a name that another process gives it too."""
    groups = {
        "model": model.variables,
        "optimizer": model.optimizer.variables,
        "metrics": model.metrics_variables,
        # Of losses that follow the predictions; Keras does not know them.
        "losses": [v for loss in keras.tree.flatten(model.loss) for v in getattr(loss, "variables", ())],
    }
    found = {}
    for group, variables in groups.items():
        for number, variable in enumerate(variables):
            found[f"{group}/{number}/{_NUMBER.sub('', variable.path)}"] = variable
    return found


def _array(variable: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(variable))


def _state_names(callback: keras.callbacks.Callback) -> tuple[str, ...]:
    """Attributes that a callback remembers from one epoch to another."""
    own = getattr(callback, "checkpointed", ())
    return (*own, *(name for kind, names in _STATE_OF_KERAS.items() if isinstance(callback, kind) for name in names))
