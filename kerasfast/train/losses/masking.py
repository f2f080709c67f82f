"""Loss that leaves out labels at random until each class has a better ratio of positives to negatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kerasfast.train.losses.base import REDUCTION, CountedLoss, check_range, crossentropies


@keras.saving.register_keras_serializable("kerasfast")
class PartialLabelMasking(CountedLoss):
    """Partial label masking (Duarte, Rawat, Shah 2021, "PLM: Partial Label Masking for Imbalanced ...").

    A class has r positives for each negative, and its ideal ratio is s. Where r > s, a positive is kept with
    probability s / r; where r < s, a negative with probability r / s; so that the labels that are left have the ratio
    s. A masked label counts 0 in the mean over the classes, any other its binary crossentropy.

    s begins at r, so that nothing is masked, and is multiplied after each epoch by exp(rate * (D+ - D-)). D+ is the
    Kullback-Leibler divergence of the predictions for the epoch's positives from their targets, in a histogram of
    `bins` equal parts of [0, 1]; D- the same for the negatives; each is standardised over the classes. A class that
    is predicted too rarely thus loses negatives, one that is predicted too often loses positives. As the targets fill
    one bin alone, D+ is minus the log of the share of positives predicted in the last bin, D- of negatives in the
    first.

    Where s begins, rate, bins, the direction of the divergence and its standardisation are taken from public
    reimplementations, not compared with the paper's text.

    `RatioUpdates` is the callback that says when epochs end and validation begins; without it nothing is masked and
    the loss is the binary crossentropy. Under `tf.distribute`, make the loss within the strategy's scope.

    Args:
        positives: For each class, the rows that have it. A class without positives counts as having one, one without
            negatives likewise.
        rows: All rows.
        rate: Rate of change of the ideal ratios.
        bins: Bins of the histogram.
        seed: Seed of the masks.
        name: Name of the loss.
        reduction: As for `MultiLabelLoss`.

    Attributes:
        variables: What changes in training, for a checkpoint to store: seed, ideal ratios, the epoch's counts.

    Raises:
        ValueError: As `ClassCounts`, a negative rate, or fewer than 2 bins.
    """

    def __init__(
        self,
        positives: Sequence[int],
        rows: int,
        rate: float = 0.1,
        bins: int = 10,
        seed: int = 0,
        name: str = "partial_label_masking",
        reduction: str = REDUCTION,
    ) -> None:
        super().__init__(positives, rows, name=name, reduction=reduction)
        check_range(name, "rate", rate, 0)
        check_range(name, "bins", bins, 2)
        self.rate, self.bins, self.seed = rate, int(bins), int(seed)
        self._ratio = self.counts.odds().astype("float32")
        self._seeds = keras.random.SeedGenerator(self.seed)
        self._ideal = _variable(self._ratio, f"{name}_ideal")
        # Rows: positives, those predicted in the last bin, negatives, those predicted in the first bin.
        self._seen = _variable(np.zeros((4, len(self._ratio)), "float32"), f"{name}_seen")
        self._training = _variable(np.zeros((), "float32"), f"{name}_training")
        self.variables = [self._seeds.state, self._ideal, self._seen]

    def per_class(self, targets: Any, probabilities: Any) -> Any:
        """Loss of each class of each row."""
        ops: Any = keras.ops  # whose stubs allow None
        positive = ops.cast(targets > 0.5, self.dtype)
        last, first = probabilities >= 1 - 1 / self.bins, probabilities < 1 / self.bins
        seen = [positive, positive * ops.cast(last, self.dtype), 1 - positive]
        seen.append(seen[-1] * ops.cast(first, self.dtype))
        self._seen.assign(self._seen + self._training * ops.sum(ops.stack(seen), axis=1))
        excess = ops.divide(self._ratio, self._ideal)
        kept = ops.where(positive > 0, 1 / excess, excess)
        draws = keras.random.uniform(ops.shape(targets), seed=self._seeds, dtype=self.dtype)
        mask = ops.cast(draws * self._training < kept, self.dtype)  # of [0, 1): all stay where kept is 1 or more
        present, absent = crossentropies(probabilities)
        return mask * (targets * present + (1 - targets) * absent)

    @property
    def ideal_ratios(self) -> np.ndarray:
        """Ideal positives for each negative, `(classes,)`."""
        return np.asarray(keras.ops.convert_to_numpy(self._ideal))

    def set_training(self, training: bool) -> None:
        """Mask and count what the loss sees from now on, or neither."""
        self._training.assign(float(training))

    def update_ratios(self) -> None:
        """End an epoch: change the ideal ratios by what was predicted in it, and count afresh.

        A class that the epoch did not show both with and without keeps its ratio.
        """
        positives, last, negatives, first = np.asarray(keras.ops.convert_to_numpy(self._seen), float)
        both = (positives > 0) & (negatives > 0)
        change = np.zeros(len(both))
        if both.any():
            change[both] = _divergences(last[both] / positives[both]) - _divergences(first[both] / negatives[both])
        self._ideal.assign((self.ideal_ratios * np.exp(self.rate * change)).astype("float32"))
        self._seen.assign(keras.ops.zeros_like(self._seen))

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {**super().get_config(), "rate": self.rate, "bins": self.bins, "seed": self.seed}


class RatioUpdates(keras.callbacks.Callback):
    """Tell the `PartialLabelMasking` losses of the model when they mask and when an epoch is over."""

    def __init__(self) -> None:
        super().__init__()
        self._fitting = False

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Mask."""
        self._fitting = True
        self._set_training(True)

    def on_test_begin(self, logs: dict | None = None) -> None:
        """Validation is not masked."""
        self._set_training(False)

    def on_test_end(self, logs: dict | None = None) -> None:
        """Mask again, if this was the validation of a training."""
        self._set_training(self._fitting)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Update the ideal ratios."""
        for loss in self._losses():
            loss.update_ratios()

    def on_train_end(self, logs: dict | None = None) -> None:
        """Leave losses that do not mask."""
        self._fitting = False
        self._set_training(False)

    def _losses(self) -> list[PartialLabelMasking]:
        model: Any = self.model
        return [loss for loss in keras.tree.flatten(model.loss) if isinstance(loss, PartialLabelMasking)]

    def _set_training(self, training: bool) -> None:
        for loss in self._losses():
            loss.set_training(training)


def _variable(value: np.ndarray, name: str) -> keras.Variable:
    """A variable that replicas mean over: the counts of one are a share of what all saw."""
    return keras.Variable(value, trainable=False, dtype="float32", aggregation="mean", name=name)


def _divergences(shares: np.ndarray) -> np.ndarray:
    """Divergence of predictions from targets that fill one bin, standardised over the classes.

    Args:
        shares: For each class, the share of predictions in that bin.
    """
    divergences = -np.log(np.maximum(shares, keras.config.epsilon()))
    deviation = divergences.std()
    return (divergences - divergences.mean()) / (deviation if deviation > 0 else 1)
