"""The moving average of the weights in the place of the weights, for validation and for what is saved."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np


class AveragedWeights(keras.callbacks.Callback):
    """Puts the average that the optimizer keeps (`use_ema`) into the model, for validations and at the end of an epoch.

    Callbacks after this one in the list see the averages in `on_test_begin` and `on_epoch_end`, those before it the
    weights that are trained: weights to use are saved after it, checkpoints to go on from before it.

    Keras' `SwapEMAWeights` exchanges them by sums and differences, which rounds the weights at every validation, so
    that a run that is resumed would go another way; here they come back bit for bit. After the last epoch Keras itself
    puts the averages into the model. Moving statistics of batch norm have no other average than their own.

    Raises:
        ValueError: When the training begins: the optimizer keeps no average.
    """

    def __init__(self) -> None:
        super().__init__()
        self._trained: list[np.ndarray] | None = None  # weights that the averages stand in for

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Look whether there is an average."""
        self._trained = None
        if not self._optimizer.use_ema:
            raise ValueError(
                "AveragedWeights needs an optimizer that averages the weights. "
                f"Received: {self._optimizer.name!r} with use_ema=False. Set optimizer.ema, or leave the callback out."
            )

    def on_test_begin(self, logs: dict | None = None) -> None:
        """Validate the averages."""
        self._put_in()

    def on_test_end(self, logs: dict | None = None) -> None:
        """Give the trained weights back."""
        self._take_out()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Let what comes after in the list save the averages."""
        self._put_in()

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Give the trained weights back."""
        self._take_out()

    @property
    def _optimizer(self) -> Any:
        model: Any = self.model
        return getattr(model.optimizer, "inner_optimizer", model.optimizer)  # inside of the loss scale of float16

    @property
    def _variables(self) -> list[Any]:
        model: Any = self.model
        return model.trainable_variables

    def _put_in(self) -> None:
        if self._trained is None:
            variables = self._variables
            self._trained = [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]
            # Keras' own way, under every strategy; the averages are in the order of the variables.
            self._optimizer.finalize_variable_values(variables)

    def _take_out(self) -> None:
        if self._trained is not None:
            for variable, value in zip(self._variables, self._trained, strict=True):
                variable.assign(value)
            self._trained = None
