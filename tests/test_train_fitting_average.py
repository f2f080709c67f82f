"""Averaged weights are validated and saved; the trained ones come back bit for bit."""

import keras
import numpy as np
import pytest

from kerasfast.train.fitting.average import AveragedWeights
from kerasfast.train.optimizers.optim import optimizer

MOMENTUM = 0.75


class Recorder(keras.callbacks.Callback):
    """The weights of every step, and those that callbacks see at the end of each epoch."""

    def __init__(self):
        super().__init__()
        self.steps, self.ends = [], []

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(self.model.get_weights())

    def on_epoch_end(self, epoch, logs=None):
        self.ends.append(self.model.get_weights())


def data(rows=12):
    generator = np.random.default_rng(0)
    return generator.normal(size=(rows, 4)).astype("float32"), (generator.random((rows, 3)) < 0.5).astype("float32")


def trained(callbacks, ema=MOMENTUM, validate=True, scaled=False):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(3, activation="sigmoid")(inputs))
    opt = optimizer("sgd", 0.3, ema=ema)
    model.compile(keras.optimizers.LossScaleOptimizer(opt) if scaled else opt, "binary_crossentropy")
    x, y = data()
    validation = (x, 1 - y) if validate else None
    options = {"batch_size": 4, "epochs": 2, "shuffle": False, "verbose": 0}
    history = model.fit(x, y, validation_data=validation, callbacks=callbacks, **options).history
    return model, history


def averages(steps):
    """After each step, by the definition; the first weights are the first average."""
    found = [steps[0]]
    for weights in steps[1:]:
        found.append([MOMENTUM * a + (1 - MOMENTUM) * w for a, w in zip(found[-1], weights, strict=True)])
    return found


@pytest.mark.parametrize("scaled", [False, True])
def test_averages_are_validated_and_seen_at_the_end_of_an_epoch(scaled):
    before, after = Recorder(), Recorder()
    model, history = trained([before, AveragedWeights(), after], scaled=scaled)
    x, y = data()
    expected = averages(before.steps)
    for epoch, step in enumerate((2, 5)):
        for a, b, raw, own in zip(
            after.ends[epoch], expected[step], before.ends[epoch], before.steps[step], strict=True
        ):
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)
            np.testing.assert_array_equal(raw, own)
        model.set_weights(after.ends[epoch])
        loss = model.evaluate(x, 1 - y, batch_size=4, verbose=0)
        assert loss == pytest.approx(history["val_loss"][epoch], rel=1e-6)


def test_validation_changes_nothing_of_the_training():
    with_validation, without = Recorder(), Recorder()
    trained([AveragedWeights(), with_validation])
    trained([without], validate=False)
    for one, other in zip(with_validation.steps, without.steps, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_model_ends_with_the_averages_also_where_it_stops_early():
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    recorder = Recorder()
    model, _ = trained([recorder, AveragedWeights(), Stop()])
    assert len(recorder.steps) == 3
    for a, b in zip(model.get_weights(), averages(recorder.steps)[-1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


def test_an_optimizer_without_an_average_is_refused():
    with pytest.raises(ValueError, match=r"Received: 'l2_sgd' with use_ema=False\. Set optimizer\.ema"):
        trained([AveragedWeights()], ema=None)
