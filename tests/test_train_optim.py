"""Optimizers and schedules against their rules written out."""

import keras
import numpy as np
import pytest

from kerasfast.train.optim import L2SGD, LinearWarmup, optimizer, schedule


def steps_of(opt, gradients, value=2.0, name="kernel"):
    variable = keras.Variable(np.full(3, value, "float32"), name=name)
    for gradient in gradients:
        opt.apply([keras.ops.convert_to_tensor(np.full(3, gradient, "float32"))], [variable])
    return float(variable[0])


@pytest.mark.parametrize("nesterov", [False, True])
def test_l2sgd_is_pytorchs_rule(nesterov):
    rate, momentum, decay, gradients = 0.1, 0.9, 0.01, [1.0, -0.5, 0.25]
    weight, buffer = 2.0, 0.0
    for gradient in gradients:
        gradient = gradient + decay * weight
        buffer = momentum * buffer + gradient
        weight -= rate * (gradient + momentum * buffer if nesterov else buffer)
    found = steps_of(L2SGD(rate, momentum, nesterov, decay), gradients)
    assert found == pytest.approx(weight, rel=1e-6)
    keras_own = steps_of(
        keras.optimizers.SGD(rate, momentum=momentum, nesterov=nesterov, weight_decay=decay), gradients
    )
    assert abs(keras_own - weight) > 1e-4  # which is why the class exists


@pytest.mark.parametrize("name", ["sgd", "adamw"])
@pytest.mark.parametrize("variable, decays", [("kernel", True), ("bias", True), ("gamma", False), ("beta", False)])
def test_batch_norm_never_decays(name, variable, decays):
    plain = steps_of(optimizer(name, 0.1, weight_decay=0.0), [1.0, 1.0], name=variable)
    decayed = steps_of(optimizer(name, 0.1, weight_decay=0.5), [1.0, 1.0], name=variable)
    assert (plain != decayed) == decays


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_no_weight_decay_by_default_in_the_gradient(name):
    assert steps_of(optimizer(name, 0.1), [0.0, 0.0]) == 2.0


def test_clipping_is_by_the_norm_of_all_gradients():
    opt = optimizer("sgd", 1.0, momentum=0.0, nesterov=False, clip_norm=1.0)
    variables = [keras.Variable(np.zeros(1, "float32")) for _ in range(2)]
    opt.apply([keras.ops.convert_to_tensor(np.array([g], "float32")) for g in (3.0, 4.0)], variables)
    np.testing.assert_allclose([float(v[0]) for v in variables], [-0.6, -0.8], rtol=1e-6)


def test_l2sgd_survives_serialisation_with_what_it_spares():
    first = L2SGD(schedule("step", 0.1, 9, warmup_steps=2, decay_steps=(5,)), weight_decay=0.5, spared=("gamma",))
    again = keras.optimizers.deserialize(keras.optimizers.serialize(first))
    assert steps_of(again, [1.0] * 7) == steps_of(L2SGD.from_config(first.get_config()), [1.0] * 7)
    assert again.spared == ("gamma",)
    assert float(again._learning_rate(1)) == pytest.approx(0.05)


def test_adamw_survives_serialisation_with_what_it_spares():
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer("adamw", 0.1, weight_decay=0.5)))
    spared, decayed = (
        steps_of(again.from_config(again.get_config()), [0.0], name=name) for name in ("gamma", "kernel")
    )
    assert (spared, decayed) == (2.0, pytest.approx(1.9))


def rates(*arguments, steps, **options):
    result = schedule(*arguments, **options)
    return [float(result(step)) for step in steps]


def test_cosine_rises_to_the_rate_and_falls_to_its_end():
    found = rates("cosine", 0.4, 110, steps=(0, 5, 10, 60, 110), warmup_steps=10, warmup_from=0.1, final_fraction=0.25)
    np.testing.assert_allclose(found, [0.1, 0.25, 0.4, 0.25, 0.1], rtol=1e-5)
    np.testing.assert_allclose(rates("cosine", 0.4, 100, steps=(0, 50, 100)), [0.4, 0.2, 0], atol=1e-6)


def test_step_decays_at_its_steps_after_the_warmup():
    found = rates("step", 1.0, 100, steps=(0, 4, 10, 49, 50, 80), warmup_steps=10, decay_steps=(50, 80))
    np.testing.assert_allclose(found, [0, 0.4, 1, 1, 0.1, 0.01], rtol=1e-5)


def test_constant_with_and_without_a_warmup():
    assert schedule("constant", 0.3, 10) == 0.3
    np.testing.assert_allclose(rates("constant", 0.3, 10, steps=(0, 1, 2, 9), warmup_steps=2), [0, 0.15, 0.3, 0.3])


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match=r"warm-up must be shorter.*Received: 10 of 10 steps"):
        schedule("cosine", 0.1, 10, warmup_steps=10)
    with pytest.raises(ValueError, match=r"schedule must be 'constant', 'cosine' or 'step'. Received: 'linear'"):
        schedule("linear", 0.1, 10)
    with pytest.raises(ValueError, match=r"optimizer must be 'sgd' or 'adamw'. Received: 'lars'"):
        optimizer("lars", 0.1)
    with pytest.raises(ValueError, match=r"LinearWarmup.steps must be positive"):
        LinearWarmup(schedule("cosine", 0.1, 10), 0)
