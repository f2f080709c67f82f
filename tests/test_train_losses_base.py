"""What holds for every loss of sigmoid heads, and the refusals that they share."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from fresh_python import REPOSITORY, run_python
from loss_case import COUNTS, MULTI_LABEL, SCORES, TARGETS, loss_of

from kerasfast.train.losses import Asymmetric, ClassBalanced, PartialLabelMasking, loss_callbacks

OWN = [name for name in MULTI_LABEL if name != "bce"]  # which is Keras's
COUNTED = [name for name in OWN if name not in ("focal", "asymmetric")]
every_loss = pytest.mark.parametrize("name", MULTI_LABEL)


@every_loss
def test_gradients_are_finite_where_probabilities_saturate(name):
    probabilities = tf.constant([[0.0, 1.0, 0.0, 1.0, 0.5], [1e-9, 1 - 1e-7, 0.05, 1.0, 0.0]])
    for targets in (np.zeros((2, 5)), np.ones((2, 5)), np.eye(5)[:2]):
        with tf.GradientTape() as tape:
            tape.watch(probabilities)
            value = loss_of(name)(targets, probabilities)
        assert np.isfinite(float(value))
        assert np.isfinite(tape.gradient(value, probabilities)).all()


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("name", ["focal", "class_balanced", "asymmetric"])
def test_gradients_are_finite_at_every_focusing(name, gamma):
    options = {"gamma_pos": gamma, "gamma_neg": gamma} if name == "asymmetric" else {"gamma": gamma}
    probabilities = tf.constant([[0.0, 1.0, 0.01, 0.05, 0.5]])
    for targets in (np.zeros((1, 5)), np.ones((1, 5))):
        with tf.GradientTape() as tape:
            tape.watch(probabilities)
            value = loss_of(name, **options)(targets, probabilities)
        assert np.isfinite(tape.gradient(value, probabilities)).all()


@every_loss
def test_a_better_answer_costs_less(name):
    loss = loss_of(name)
    right, wrong = 0.1 + 0.8 * TARGETS, 0.9 - 0.8 * TARGETS
    assert float(loss(TARGETS, right)) < 0.5 * float(loss(TARGETS, wrong))


@every_loss
def test_half_precision_is_computed_in_single(name):
    half = SCORES.astype("float16")
    value = loss_of(name)(TARGETS.astype("float16"), tf.constant(half))
    assert value.dtype == "float32"
    assert float(value) == pytest.approx(float(loss_of(name)(TARGETS, half.astype("float32"))), rel=1e-6)


@every_loss
def test_rows_are_weighed_one_by_one(name):
    weights = np.array([1, 0, 2, 0, 0, 1], "float32")
    rows = [float(loss_of(name)(TARGETS[[i]], SCORES[[i]])) for i in range(len(TARGETS))]
    weighed = loss_of(name)(TARGETS, SCORES, sample_weight=weights)
    assert float(weighed) == pytest.approx(np.mean(rows * weights), rel=1e-5)


@every_loss
def test_the_configuration_is_complete_and_plain(name):
    """Every argument of the constructor returns from JSON."""
    options = {"alpha": 0.4} if name in ("focal", "distribution_balanced") else {}
    loss = loss_of(name, **options)
    stored = json.loads(json.dumps(keras.losses.serialize(loss)))
    again = keras.losses.deserialize(stored)
    assert again.get_config() == loss.get_config()
    assert float(again(TARGETS, SCORES)) == float(loss(TARGETS, SCORES))
    if name in OWN:
        arguments = set(type(loss).__init__.__code__.co_varnames[1 : type(loss).__init__.__code__.co_argcount])
        assert arguments == set(loss.get_config())
        assert stored["registered_name"] == f"kerasfast>{type(loss).__name__}"


def test_a_compiled_model_trains_saves_and_returns(tmp_path):
    """A head for each loss."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((3,))
    heads = {name: keras.layers.Dense(5, activation="sigmoid", name=name)(inputs) for name in MULTI_LABEL}
    model = keras.Model(inputs, heads)
    losses = {name: loss_of(name) for name in MULTI_LABEL}
    model.compile(keras.optimizers.SGD(0.5), loss=losses, jit_compile=False)
    features, targets = TARGETS[:, :3], dict.fromkeys(MULTI_LABEL, TARGETS)
    callbacks = [callback for name in MULTI_LABEL for callback in loss_callbacks(name)]
    history = model.fit(features, targets, epochs=5, shuffle=False, verbose=0, callbacks=callbacks).history
    for name in MULTI_LABEL:
        assert history[f"{name}_loss"][-1] < history[f"{name}_loss"][0], name
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    for name in MULTI_LABEL:
        assert again.loss[name].get_config() == losses[name].get_config()
        assert float(again.loss[name](TARGETS, SCORES)) == float(losses[name](TARGETS, SCORES))


@every_loss
def test_xla_compiles_it(name):
    loss = loss_of(name)
    compiled = tf.function(loss, jit_compile=True)
    assert float(compiled(TARGETS, SCORES)) == pytest.approx(float(loss(TARGETS, SCORES)), rel=1e-5)


@pytest.mark.parametrize("name", OWN)
def test_targets_that_are_no_numbers_are_refused(name):
    broken = TARGETS.copy()
    broken[2, 1] = np.nan
    with pytest.raises(tf.errors.InvalidArgumentError, match="Targets of a loss must be numbers"):
        loss_of(name)(broken, SCORES)
    in_a_graph = tf.function(loss_of(name))
    with pytest.raises(tf.errors.InvalidArgumentError, match="Targets of a loss must be numbers"):
        in_a_graph(broken, SCORES)


@pytest.mark.parametrize("name", OWN)
def test_another_number_of_targets_is_refused(name):
    with pytest.raises(ValueError, match=r"needs one target for each probability. Received: .*\(6, 4\).*\(6, 5\)"):
        loss_of(name)(TARGETS[:, :4], SCORES)


@pytest.mark.parametrize("name", COUNTED)
def test_another_number_of_classes_than_counted_is_refused(name):
    with pytest.raises(ValueError, match=r"frequencies of 5 classes. Received: probabilities of 4"):
        loss_of(name)(TARGETS[:, :4], SCORES[:, :4])


def test_arguments_out_of_range_are_refused():
    counts = {"positives": COUNTS.positives, "rows": COUNTS.rows}
    with pytest.raises(ValueError, match=r"margin of loss 'asymmetric' must be in \[0, 1\). Received: margin=1"):
        Asymmetric(margin=1)
    with pytest.raises(ValueError, match=r"beta of loss 'class_balanced' must be in \[0, 1\)"):
        ClassBalanced(**counts, beta=1)
    with pytest.raises(ValueError, match=r"bins of loss 'partial_label_masking' must be in \[2, inf\)"):
        PartialLabelMasking(**counts, bins=1)


def test_two_replicas_compute_what_one_does():
    """The mean over the batch and its gradients, weights by row, and what partial label masking counts."""
    run_python(
        """
        import sys

        sys.path.insert(0, "tests")
        import keras
        import numpy as np
        import tensorflow as tf

        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        from loss_case import TARGETS, loss_of

        names = ("distribution_balanced", "partial_label_masking")

        def trained(strategy):
            with strategy.scope():
                keras.utils.set_random_seed(1)
                inputs = keras.Input((3,))
                heads = {name: keras.layers.Dense(5, activation="sigmoid", name=name)(inputs) for name in names}
                model = keras.Model(inputs, heads)
                losses = {name: loss_of(name) for name in names}
                losses["partial_label_masking"].set_training(True)
                model.compile(keras.optimizers.SGD(0.5), loss=losses, jit_compile=False)
            targets = dict.fromkeys(names, TARGETS)
            history = model.fit(TARGETS[:, :3], targets, epochs=2, shuffle=False, verbose=0).history
            seen = np.array(losses["partial_label_masking"].variables[2])
            return history["loss"], model.get_weights(), seen / seen.sum()

        one, two = trained(tf.distribute.get_strategy()), trained(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
        np.testing.assert_allclose(one[0], two[0], rtol=1e-5)
        for first, second in zip(one[1], two[1], strict=True):
            np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(one[2], two[2], rtol=1e-5)
        """,
        cwd=REPOSITORY,
    )
