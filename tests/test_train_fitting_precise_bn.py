"""Statistics of batch norm over many batches, against NumPy."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from model_case import wake_up

from kerasfast.models.classifier import build
from kerasfast.models.layers import BatchNorm
from kerasfast.train.fitting.precise_bn import PreciseBN, precise_batch_norm

SHAPE = (4, 6, 5, 3)  # frames, height, width, channels


def some_batches(sizes=(2, 3, 1), seed=0):
    """Float clips whose channels have other means and spreads, and whose batches differ in both."""
    random = np.random.default_rng(seed)
    return [
        (random.normal(40 + 3 * number, 1 + number, (size, *SHAPE)) * (1, 2, 3)).astype("float32")
        for number, size in enumerate(sizes)
    ]


def norms(policy="replica", dtype=None):
    """Batch norm, a convolution, batch norm."""
    inputs = keras.Input(SHAPE)
    x = BatchNorm(policy, name="first", dtype=dtype)(inputs)
    x = keras.layers.Conv3D(4, 1, kernel_initializer=keras.initializers.RandomNormal(seed=1), dtype=dtype)(x)
    x = BatchNorm("replica", name="second", dtype=dtype)(x)
    return keras.Model(inputs, x)


def statistics(model, name):
    layer = model.get_layer(name)
    return np.asarray(layer.moving_mean.value), np.asarray(layer.moving_variance.value)


def test_statistics_are_those_of_all_values_of_all_batches():
    model, batches = norms(), some_batches()
    precise_batch_norm(model, batches)
    values = np.concatenate([batch.reshape(-1, 3) for batch in batches]).astype("float64")
    mean, variance = statistics(model, "first")
    np.testing.assert_allclose(mean, values.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(variance, values.var(axis=0), rtol=1e-5)
    # The second layer sees what the first makes of each batch by the batch's own statistics.
    kernel, bias = (weight.numpy() for weight in model.layers[2].weights)
    seen = []
    for batch in batches:
        flat = batch.reshape(-1, 3).astype("float64")
        seen.append((flat - flat.mean(axis=0)) / np.sqrt(flat.var(axis=0) + 1e-5) @ kernel[0, 0, 0] + bias)
    mean, variance = statistics(model, "second")
    np.testing.assert_allclose(mean, np.concatenate(seen).mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(variance, np.concatenate(seen).var(axis=0), rtol=1e-5)


@pytest.mark.parametrize("policy", ["replica", "sync"])
def test_after_one_batch_inference_on_it_is_training_on_it(policy):
    model = build("slow_nano", heads={"action": 3}, dropout=0.0, bn=policy)
    wake_up(model)
    frames = np.random.default_rng(0).integers(0, 256, (4, 4, 64, 64, 3), dtype="uint8")
    before = model(frames, training=False)["action"]
    precise_batch_norm(model, [(frames, "labels")])
    inference = model(frames, training=False)["action"]
    training = model(frames, training=True)["action"]  # the last: it moves the statistics
    np.testing.assert_allclose(inference, training, rtol=1e-5)
    assert np.abs(np.subtract(before, training)).max() > 1e-2


def test_statistics_are_float32_in_mixed_precision():
    model, batches = norms(dtype="mixed_bfloat16"), some_batches()
    precise_batch_norm(model, batches)
    rounded = [np.asarray(tf.cast(tf.cast(batch, "bfloat16"), "float32")).reshape(-1, 3) for batch in batches]
    mean, variance = statistics(model, "first")
    np.testing.assert_allclose(mean, np.concatenate(rounded).mean(axis=0, dtype="float64"), rtol=1e-6)
    np.testing.assert_allclose(variance, np.concatenate(rounded).var(axis=0, dtype="float64"), rtol=1e-5)
    assert mean.dtype == variance.dtype == np.float32


def test_frozen_and_untrainable_layers_are_left_alone():
    model = norms("frozen")
    precise_batch_norm(model, some_batches())
    np.testing.assert_array_equal(statistics(model, "first"), [np.zeros(3), np.ones(3)])
    assert np.all(statistics(model, "second")[0] != 0)
    model = norms()
    model.get_layer("second").trainable = False
    precise_batch_norm(model, some_batches())
    np.testing.assert_array_equal(statistics(model, "second"), [np.zeros(4), np.ones(4)])
    assert np.all(statistics(model, "first")[0] != 0)


def test_a_model_without_such_layers_stays_as_it_is():
    model = norms("frozen")
    model.trainable = False
    precise_batch_norm(model, some_batches())
    np.testing.assert_array_equal(statistics(model, "second"), [np.zeros(4), np.ones(4)])


def test_no_batches_are_refused():
    with pytest.raises(ValueError, match=r"needs batches\. Received: none"):
        precise_batch_norm(norms(), [])
    with pytest.raises(ValueError, match=r"batches must be at least 1\. Received: 0"):
        PreciseBN([], 0)


class Watch(keras.callbacks.Callback):
    """Notes the mean of the first layer when a validation ends, and when an epoch does."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_test_end(self, logs=None):
        self.seen.append(("validation", statistics(self.model, "first")[0]))

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(("epoch", statistics(self.model, "first")[0]))
        if getattr(self, "stop_after", None) == epoch:
            self.model.stop_training = True


def fitted(precise, validated, epochs=2, stop_after=None):
    watch = Watch()
    watch.stop_after = stop_after
    model = norms()
    model.compile("sgd", "mse")
    clips = np.concatenate(some_batches((2, 2), seed=5))
    targets = np.zeros((4, *SHAPE[:3], 4), "float32")
    data = tf.data.Dataset.from_tensor_slices((clips, targets)).batch(2)
    model.fit(
        data,
        epochs=epochs,
        validation_data=data if validated else None,
        callbacks=[precise, watch],
        shuffle=False,
        verbose=0,
    )
    return model, watch.seen


def test_the_callback_runs_before_each_validation_and_at_the_end():
    batches = some_batches()
    mean = np.concatenate([batch.reshape(-1, 3) for batch in batches[:2]]).mean(axis=0)
    is_precise = lambda value: np.allclose(value, mean, rtol=1e-5)  # noqa: E731
    _, seen = fitted(PreciseBN(batches, batches=2), validated=True)
    assert [(name, is_precise(value)) for name, value in seen] == [("validation", True), ("epoch", True)] * 2
    model, seen = fitted(PreciseBN(batches, batches=2), validated=False)
    assert [(name, is_precise(value)) for name, value in seen] == [("epoch", False), ("epoch", True)]
    model, seen = fitted(PreciseBN(batches, batches=2), validated=False, epochs=3, stop_after=0)
    assert [is_precise(value) for _, value in seen] == [False]
    assert is_precise(statistics(model, "first")[0])


def test_the_callback_takes_no_batch_too_many_and_updates_once_for_the_same_weights():
    taken = []

    class Counted:
        def __iter__(self):
            for batch in itertools.cycle(some_batches((2,))):
                taken.append(1)
                yield batch

    fitted(PreciseBN(Counted(), batches=3), validated=True)
    assert len(taken) == 6
