"""Optimizers and learning-rate schedules as the published SlowFast recipes mean them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from kerasfast.train.optimizers.layer_rates import check_rates, rate_of

# Names of batch norm's trainable variables; every published recipe sets their weight decay to 0
# (PySlowFast: BN.WEIGHT_DECAY 0.0).
BATCH_NORM_VARIABLES = ("gamma", "beta")


class _LayerRates:
    """What both optimizers add to Keras' own: factors of the learning rate, and decay that spares batch norm.

    Keras updates one variable after the other, so that each can have its own rate.
    """

    def __init__(
        self,
        *args: Any,
        rates: Mapping[str, float] | None = None,
        spared: Sequence[str] = BATCH_NORM_VARIABLES,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.rates, self.spared = dict(rates or {}), tuple(spared)
        self.exclude_from_weight_decay(var_names=self.spared)
        self._factors: dict[Any, float] = {}

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Create the state of `variables` and find each one's factor.

        Raises:
            ValueError: A key of `rates` fits no variable.
        """
        if not self.built and self.rates:
            check_rates(self.rates, [variable.path for variable in variables])
            self._factors = {self._var_key(variable): rate_of(variable.path, self.rates) for variable in variables}
        super().build(variables)

    def _apply_weight_decay(self, variables: Any) -> None:
        """Nothing: the decay is part of the update, where the rate is that of the variable."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update `variable` with weight decay, at its own rate; at 0 it stays as it is, bit for bit."""
        factor = self._factors.get(self._var_key(variable), 1.0)
        if factor == 0:
            return
        rate = ops.cast(learning_rate, variable.dtype) * factor
        gradient = ops.cast(gradient, variable.dtype)
        if self.weight_decay and self._use_weight_decay(variable):
            gradient = self._decayed(gradient, variable, rate)
        super().update_step(gradient, variable, rate)

    def get_config(self) -> dict:
        """Return the arguments of `__init__`."""
        return {**super().get_config(), "rates": dict(self.rates), "spared": self.spared}


@keras.saving.register_keras_serializable(package="kerasfast")
class L2SGD(_LayerRates, keras.optimizers.SGD):
    """SGD whose weight decay is added to the gradient, before the momentum, as in Caffe2 and PyTorch.

    `keras.optimizers.SGD(weight_decay=...)` shrinks the weights beside the momentum instead, which at
    momentum 0.9 decays ten times less, so a published weight decay would not mean what it says.

    Args:
        learning_rate: A float or a schedule.
        momentum: Momentum in [0, 1].
        nesterov: Whether to look one step ahead.
        weight_decay: Factor of the weights in the gradient; None or 0 for none.
        spared: Variables whose name contains one of these get no weight decay.
        rates: Factors of the learning rate by the beginning of a layer's name (see
            `kerasfast.train.optimizers.layer_rates`).
        **kwargs: As for `keras.optimizers.SGD`.

    Raises:
        ValueError: When it meets its variables: a key of `rates` fits none of them.
    """

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.9,
        nesterov: bool = True,
        weight_decay: float | None = None,
        spared: Sequence[str] = BATCH_NORM_VARIABLES,
        rates: Mapping[str, float] | None = None,
        name: str = "l2_sgd",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            learning_rate=learning_rate,
            momentum=momentum,
            nesterov=nesterov,
            weight_decay=weight_decay or None,
            spared=spared,
            rates=rates,
            name=name,
            **kwargs,
        )

    def _decayed(self, gradient: Any, variable: Any, rate: Any) -> Any:
        return gradient + self.weight_decay * variable


@keras.saving.register_keras_serializable(package="kerasfast")
class AdamW(_LayerRates, keras.optimizers.AdamW):  # pyright: ignore[reportIncompatibleMethodOverride]
    """`keras.optimizers.AdamW` that still spares batch norm after a compiled model was saved and loaded.

    Keras keeps what `exclude_from_weight_decay` was told in the object alone, not in its config.

    Args:
        *args: As for `keras.optimizers.AdamW`.
        spared: Variables whose name contains one of these get no weight decay.
        rates: Factors of the learning rate by the beginning of a layer's name (see
            `kerasfast.train.optimizers.layer_rates`).
        **kwargs: As for `keras.optimizers.AdamW`.

    Raises:
        ValueError: When it meets its variables: a key of `rates` fits none of them.
    """

    def _decayed(self, gradient: Any, variable: Any, rate: Any) -> Any:
        self.assign_sub(variable, variable * self.weight_decay * rate)
        return gradient


@keras.saving.register_keras_serializable(package="kerasfast")
class LinearWarmup(keras.optimizers.schedules.LearningRateSchedule):
    """A linear rise to what `after` gives at the last warm-up step, then `after` itself.

    Keras has a warm-up in `CosineDecay` only.

    Args:
        after: Schedule that takes over, counted from step 0 of the training, not from the warm-up's end.
        steps: Steps of the warm-up, positive.
        start: Learning rate of step 0.
    """

    def __init__(
        self,
        after: keras.optimizers.schedules.LearningRateSchedule,
        steps: int,
        start: float = 0.0,
        name: str = "linear_warmup",
    ) -> None:
        super().__init__()
        if isinstance(after, dict):  # what get_config of a saved model gives
            after = keras.saving.deserialize_keras_object(after)
        if steps <= 0:
            raise ValueError(f"LinearWarmup.steps must be positive. Received: steps={steps}.")
        self.after, self.steps, self.start, self.name = after, steps, start, name

    def __call__(self, step: Any) -> Any:
        """Return the learning rate of `step`, a float32 scalar."""
        step = ops.cast(step, "float32")
        target: Any = ops.cast(self.after(self.steps), "float32")
        rising = self.start + (target - self.start) * step / self.steps
        return ops.where(step < self.steps, rising, ops.cast(self.after(step), "float32"))

    def get_config(self) -> dict:
        """Return the arguments of `__init__`."""
        after = keras.saving.serialize_keras_object(self.after)
        return {"after": after, "steps": self.steps, "start": self.start, "name": self.name}


def schedule(
    name: str,
    learning_rate: float,
    total_steps: int,
    *,
    warmup_steps: int = 0,
    warmup_from: float = 0.0,
    final_fraction: float = 0.0,
    cosine_after_warmup: bool = True,
    decay_steps: tuple[int, ...] = (),
    decay_factor: float = 0.1,
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Return the learning rate per step.

    Args:
        name: `"constant"`, `"cosine"` (half a period up to `total_steps`), `"step"` (times
            `decay_factor` at each of `decay_steps`) or `"plateau"`: a plain number, which
            `keras.callbacks.ReduceLROnPlateau` can lower.
        learning_rate: Highest rate.
        total_steps: Steps of the whole training, warm-up included.
        warmup_steps: Steps of the linear rise from `warmup_from` to `learning_rate`.
        warmup_from: Rate of step 0 of a warm-up.
        final_fraction: Last rate of `"cosine"` as a fraction of `learning_rate`.
        cosine_after_warmup: Whether `"cosine"` begins at the end of the warm-up; False: at step 0, and the warm-up
            rises to what it gives there (Feichtenhofer et al. 2019; PySlowFast).
        decay_steps: Rising steps at which `"step"` decays.
        decay_factor: Factor of each decay.

    Raises:
        ValueError: An unknown name, a warm-up as long as the training, or one of `"plateau"`.
    """
    schedules = keras.optimizers.schedules
    if not 0 <= warmup_steps < total_steps:
        raise ValueError(
            f"The warm-up must be shorter than the training. Received: {warmup_steps} of {total_steps} "
            "steps. Shorten the warm-up or train for more epochs."
        )
    if name == "plateau":
        if warmup_steps:
            raise ValueError(
                "The schedule 'plateau' has no warm-up: a rate that a callback lowers cannot rise by the step. "
                f"Received: {warmup_steps} warm-up steps. Leave the warm-up out, or take the schedule 'step'."
            )
        return learning_rate
    if name == "cosine" and not (warmup_steps and not cosine_after_warmup):
        warmup = {"warmup_target": learning_rate, "warmup_steps": warmup_steps} if warmup_steps else {}
        start = warmup_from if warmup_steps else learning_rate
        return schedules.CosineDecay(start, total_steps - warmup_steps, alpha=final_fraction, **warmup)
    if name == "cosine":
        plain = schedules.CosineDecay(learning_rate, total_steps, alpha=final_fraction)
    elif name == "step":
        rates = [learning_rate * decay_factor**k for k in range(len(decay_steps) + 1)]
        # Keras holds a value through its boundary, the recipes change at it.
        plain = schedules.PiecewiseConstantDecay([step - 1 for step in decay_steps], rates)
    elif name == "constant":
        if not warmup_steps:
            return learning_rate
        plain = schedules.PiecewiseConstantDecay([0], [learning_rate, learning_rate])
    else:
        raise ValueError(f"schedule must be 'constant', 'cosine', 'step' or 'plateau'. Received: {name!r}.")
    return LinearWarmup(plain, warmup_steps, warmup_from) if warmup_steps else plain


def optimizer(
    name: str,
    learning_rate: Any,
    *,
    momentum: float = 0.9,
    nesterov: bool = True,
    weight_decay: float = 0.0,
    clip_norm: float | None = None,
    rates: Mapping[str, float] | None = None,
    ema: float | None = None,
    accumulate: int = 1,
) -> keras.optimizers.Optimizer:
    """Make `"sgd"` (`L2SGD`) or `"adamw"`; neither decays batch norm.

    Args:
        name: Which.
        learning_rate: A float or a schedule. A schedule counts batches, also of several to an update.
        momentum: Momentum of SGD; AdamW keeps Keras' betas.
        nesterov: For SGD.
        weight_decay: Added to the gradient by SGD; shrinks the weights by `learning_rate * weight_decay`
            in AdamW.
        clip_norm: Largest norm of all gradients together; None for no clipping.
        rates: Factors of the learning rate by the beginning of a layer's name (see
            `kerasfast.train.optimizers.layer_rates`).
        ema: Momentum of the moving average of the weights over updates; None for no average. What is trained are the
            weights themselves (see `kerasfast.train.fitting.average`).
        accumulate: Batches whose gradients are averaged for an update.

    Raises:
        ValueError: An unknown name.
    """
    shared: dict[str, Any] = {"weight_decay": weight_decay, "global_clipnorm": clip_norm, "rates": rates}
    if accumulate > 1:
        shared["gradient_accumulation_steps"] = accumulate
    if ema is not None:
        # Keras averages after every batch, also of several to an update; this power makes them one average of `ema`.
        shared |= {"use_ema": True, "ema_momentum": ema ** (1 / accumulate)}
    if name == "sgd":
        return L2SGD(learning_rate, momentum, nesterov, **shared)
    if name == "adamw":
        return AdamW(learning_rate, **shared)
    raise ValueError(f"optimizer must be 'sgd' or 'adamw'. Received: {name!r}.")
