"""Optimizers and schedules against their rules written out."""

import keras
import numpy as np
import pytest

from kerasfast.models.classifier import build
from kerasfast.models.variants import variant
from kerasfast.train.optimizers.optim import L2SGD, AdamW, LinearWarmup, optimizer, schedule


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


def layers_of(**names):
    """A variable for each layer, as the layers of a model name them."""
    variables = []
    for layer, value in names.items():
        with keras.name_scope(layer):
            variables.append(keras.Variable(np.full(3, value, "float32"), name="kernel"))
    return variables


def after(opt, variables, gradients=(1.0, -0.5, 0.25)):
    for gradient in gradients:
        opt.apply([keras.ops.convert_to_tensor(np.full(3, gradient, "float32"))] * len(variables), variables)
    return [float(variable[0]) for variable in variables]


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_a_layer_with_a_factor_is_trained_at_that_rate(name):
    """Weight decay and momentum included: everything is as with an optimizer of its own."""
    options = {"weight_decay": 0.1}
    opt = optimizer(name, 0.1, rates={"backbone": 0.5, "slow_res5": 0.25}, **options)
    found = after(opt, layers_of(fast_stem_conv=2.0, slow_res5_block0_conv_a=2.0, head_verb=2.0))
    alone = [after(optimizer(name, 0.1 * factor, **options), layers_of(layer=2.0))[0] for factor in (0.5, 0.25, 1.0)]
    assert found == pytest.approx(alone, rel=1e-6)
    assert len(set(found)) == 3


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_a_factor_of_0_leaves_a_layer_as_it_is(name):
    opt = optimizer(name, 0.1, rates={"slow": 0.0}, weight_decay=0.1)
    frozen, trained = after(opt, layers_of(slow_stem_conv=0.1, head_verb=0.1))
    assert frozen == float(np.float32(0.1)) and trained != frozen


def test_a_rate_for_no_layer_is_refused_before_the_first_step():
    opt = optimizer("sgd", 0.1, rates={"backbone": 0.1, "heads": 1.0})
    with pytest.raises(ValueError, match=r"Received: 'heads', which fits none.*There are: slow_stem, head_verb; 'back"):
        opt.build(layers_of(slow_stem_conv=1.0, head_verb=1.0))


@pytest.mark.parametrize("kind", [L2SGD, AdamW])
def test_rates_survive_serialisation(kind):
    config = keras.optimizers.serialize(kind(0.1, rates={"slow": 0.5}))
    again = keras.optimizers.deserialize(config)
    plain = after(kind(0.1), layers_of(slow_stem_conv=2.0))
    assert again.rates == {"slow": 0.5} and type(again.get_config()["rates"]) is dict
    assert after(again, layers_of(slow_stem_conv=2.0)) != plain


def test_two_batches_of_four_make_the_step_of_eight():
    generator = np.random.default_rng(0)
    frames = generator.integers(0, 256, (8, 4, 64, 64, 3)).astype("float32")
    labels = {"action": (generator.random((8, 3)) < 0.5).astype("float32")}
    narrow = variant("slow_nano", stem_channels=8, stage_channels=(16, 16, 16))
    weights = []
    for accumulate in (1, 2):
        keras.utils.set_random_seed(0)
        model = build(narrow, heads={"action": 3}, dropout=0.0, bn="frozen")
        opt = optimizer("sgd", 0.1, weight_decay=0.01, clip_norm=0.5, accumulate=accumulate, rates={"backbone": 0.5})
        model.compile(opt, "binary_crossentropy", jit_compile=False)
        before = model.get_weights()
        model.fit(frames, labels, batch_size=8 // accumulate, shuffle=False, verbose=0)
        weights.append(model.get_weights())
    moved = [np.abs(a - b).max() for a, b in zip(weights[0], before, strict=True)]
    assert max(moved) > 1e-3
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_a_schedule_counts_batches_also_of_several_to_an_update():
    opt = optimizer("sgd", schedule("step", 1.0, 8, decay_steps=(4,)), momentum=0.0, nesterov=False, accumulate=2)
    # Updates after batches 2 and 4 at rate 1, after 6 at 0.1.
    assert after(opt, layers_of(layer=0.0), [1.0] * 6) == pytest.approx([-2.1])


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_average_is_over_updates(accumulate):
    opt = optimizer("sgd", 1.0, momentum=0.0, nesterov=False, ema=0.5, accumulate=accumulate)
    variables = layers_of(layer=0.0)
    # One batch short of another update: the average has then seen the weights of two updates for as long.
    after(opt, variables, [1.0] * (2 * accumulate + accumulate - 1))
    assert float(variables[0][0]) == -2
    opt.finalize_variable_values(variables)
    assert float(variables[0][0]) == pytest.approx(0.5 * -1 + 0.5 * -2)


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


def test_plateau_is_a_number_that_a_callback_can_lower():
    assert schedule("plateau", 0.3, 10) == 0.3
    with pytest.raises(ValueError, match=r"'plateau' has no warm-up.*Received: 2 warm-up steps"):
        schedule("plateau", 0.3, 10, warmup_steps=2)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match=r"warm-up must be shorter.*Received: 10 of 10 steps"):
        schedule("cosine", 0.1, 10, warmup_steps=10)
    with pytest.raises(
        ValueError, match=r"schedule must be 'constant', 'cosine', 'step' or 'plateau'. Received: 'linear'"
    ):
        schedule("linear", 0.1, 10)
    with pytest.raises(ValueError, match=r"optimizer must be 'sgd' or 'adamw'. Received: 'lars'"):
        optimizer("lars", 0.1)
    with pytest.raises(ValueError, match=r"LinearWarmup.steps must be positive"):
        LinearWarmup(schedule("cosine", 0.1, 10), 0)
