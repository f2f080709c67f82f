"""Partial label masking against the rules of Duarte, Rawat and Shah 2021."""

import keras
import numpy as np
import pytest
from loss_case import SCORES, TARGETS, loss_of

from kerasfast.train.losses import PartialLabelMasking, RatioUpdates

ROWS = 20_000


def half_masked():
    """A loss of two classes, one to lose half of its positives, one to lose half of its negatives; its targets."""
    loss = PartialLabelMasking((8_000, 2_000), ROWS, seed=3)
    loss.set_training(True)
    ratio = np.array([8 / 12, 2 / 18])
    np.testing.assert_allclose(loss.ideal_ratios, ratio, rtol=1e-6)
    loss.variables[1].assign(ratio * [0.5, 2])
    targets = np.stack([np.arange(ROWS) < n for n in loss.counts.positives], axis=1).astype("float32")
    return loss, targets


def test_labels_that_stay_have_the_ideal_ratio():
    loss, targets = half_masked()
    scores = np.full_like(targets, 0.5)
    costs = keras.ops.convert_to_numpy(loss.per_class(*map(keras.ops.convert_to_tensor, (targets, scores))))
    assert set(np.unique(costs.round(4))) == {0, np.float32(0.6931)}
    kept = costs > 0
    positives, negatives = (kept & (targets == 1)).sum(axis=0), (kept & (targets == 0)).sum(axis=0)
    assert negatives[0] == 12_000  # of the class that has too many positives, no negative is masked
    assert positives[1] == 2_000
    # 8,000 and 18,000 draws at 1/2: within five standard deviations.
    assert abs(positives[0] - 4_000) < 5 * np.sqrt(8_000 / 4)
    assert abs(negatives[1] - 9_000) < 5 * np.sqrt(18_000 / 4)


def test_masks_follow_the_seed_and_change_from_step_to_step():
    (one, targets), (two, _) = half_masked(), half_masked()
    scores = np.full_like(targets, 0.5)
    values = [float(loss(targets, scores)) for loss in (one, one, two, two)]
    assert values[:2] == values[2:]
    assert values[0] != values[1]


def test_without_training_it_is_the_binary_crossentropy():
    loss, targets = half_masked()
    loss.set_training(False)
    scores = np.full_like(targets, 0.3)
    assert float(loss(targets, scores)) == pytest.approx(float(loss_of("bce")(targets, scores)), rel=1e-6)
    assert not np.any(loss.variables[2])  # and nothing is counted


def test_ratios_follow_the_divergence_of_predictions_from_targets():
    """Written out with histograms: D(target || prediction) of positives less that of negatives, each standardised."""
    loss = loss_of("partial_label_masking", rate=0.2, bins=5)
    loss.set_training(True)
    before = loss.ideal_ratios
    random = np.random.default_rng(0)
    targets = (random.uniform(size=(400, 5)) < [0.6, 0.2, 0.1, 0.05, 0]).astype("float32")
    scores = random.beta(0.5 + targets, 1.5 - targets).astype("float32")
    for part in range(0, 400, 100):
        loss(targets[part : part + 100], scores[part : part + 100])
    loss.update_ratios()

    def divergence(side, c):
        rows = targets[:, c] == side
        shares = [np.histogram(values[rows, c], 5, (0, 1))[0] / rows.sum() for values in (targets, scores)]
        return sum(t * np.log(t / p) for t, p in zip(*shares, strict=True) if t)

    difference = np.zeros(4)
    for side, sign in ((1, 1), (0, -1)):
        found = np.array([divergence(side, c) for c in range(4)])
        difference += sign * (found - found.mean()) / found.std()
    np.testing.assert_allclose(loss.ideal_ratios[:4] / before[:4], np.exp(0.2 * difference), rtol=1e-4)
    assert loss.ideal_ratios[4] == before[4]  # the class without positives in the epoch
    after = loss.ideal_ratios
    loss.update_ratios()  # an epoch that showed nothing
    np.testing.assert_array_equal(loss.ideal_ratios, after)


def test_a_class_predicted_too_rarely_loses_negatives():
    loss = PartialLabelMasking((10, 10), 40)
    loss.set_training(True)
    targets = np.repeat([[1, 1], [0, 0]], [10, 30], axis=0).astype("float32")
    scores = np.where(targets == 1, [0.95, 0.2], [0.3, 0.05]).astype("float32")  # too often, too rarely
    scores[0], scores[-1] = (0.95, 0.95), (0.05, 0.05)
    loss(targets, scores)
    loss.update_ratios()
    assert loss.ideal_ratios[0] < 1 / 3 < loss.ideal_ratios[1]


def test_the_callback_updates_after_each_epoch_and_spares_the_validation():
    same = keras.layers.Dense(5, use_bias=False, kernel_initializer="identity")  # predicts what it is given
    model = keras.Sequential([keras.Input((5,)), same])
    loss = loss_of("partial_label_masking")
    model.compile(keras.optimizers.SGD(0.0), loss=loss)
    ratios, counts = [], []

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            counts.append(np.array(loss.variables[2])[0].sum())

        def on_epoch_end(self, epoch, logs=None):
            ratios.append(loss.ideal_ratios)

    callbacks = [RatioUpdates(), Look()]
    scores = np.where(TARGETS == 1, 0.95, SCORES)
    scores[0, 1:4] = 0.01  # of some classes, one negative is in the first bin
    data = (scores, TARGETS)
    history = model.fit(
        *data, batch_size=3, epochs=2, shuffle=False, verbose=0, callbacks=callbacks, validation_data=data
    ).history
    assert counts == [TARGETS[:3].sum(), TARGETS.sum()] * 2
    assert (ratios[0] != ratios[1]).any()
    plain = float(loss_of("bce")(TARGETS, scores))
    assert history["val_loss"] == pytest.approx([plain, plain], rel=1e-6)
    assert model.evaluate(*data, verbose=0) == pytest.approx(plain, rel=1e-6)


def test_state_continues_from_its_variables():
    """What a checkpoint needs to continue with the same masks and ratios."""
    first, targets = half_masked()
    scores = np.full_like(targets, 0.5)
    first(targets, scores)
    second, _ = half_masked()
    for variable, value in zip(second.variables, [np.array(v) for v in first.variables], strict=True):
        variable.assign(value)
    assert float(first(targets, scores)) == float(second(targets, scores))
    np.testing.assert_array_equal(first.variables[2], second.variables[2])
