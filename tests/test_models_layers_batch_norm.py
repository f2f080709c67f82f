"""Batch norm by torch's rule on every path: fused, plain, synchronised; frozen; in bfloat16."""

import functools
import json

import keras
import numpy as np
import numpy_reference as reference
import pytest
import tensorflow as tf
from fresh_python import run_python
from model_case import check_layer_shape

from kerasfast.models.layers import BatchNorm


def some_batches(count=5, channels=3, seed=0):
    generator = np.random.default_rng(seed)
    shapes = [(2, 2, 3, 2, channels), (1, 4, 5, 3, channels), (3, 1, 2, 2, channels)]  # few values: n / (n - 1) shows
    return [
        generator.normal(3, 2, shapes[step % 3]).astype("float32") * np.arange(1, channels + 1, dtype="float32")
        for step in range(count)
    ]


def batch_norm(policy="replica", channels=3, dtype=None, **options):
    layer = BatchNorm(policy, dtype=dtype, **options)
    layer.build((None, None, None, None, channels))
    layer.gamma.assign(np.linspace(0.5, 1.5, channels))
    layer.beta.assign(np.linspace(-1, 1, channels))
    return layer, reference.BatchNorm(layer.gamma, layer.beta)


@pytest.mark.parametrize("path", ["_fused", "_plain", "_sync"])
def test_moving_statistics_follow_torch(path):
    """The fused kernel of TensorFlow, the fallback of other backends and `sync` on one replica all do."""
    layer, torch_norm = batch_norm("sync" if path == "_sync" else "replica")
    learn = {
        "_fused": lambda x: layer(x, training=True),
        "_plain": lambda x: layer._plain(x, True),
        "_sync": lambda x: layer(x, training=True),
    }[path]
    for batch in some_batches():
        np.testing.assert_allclose(learn(batch), torch_norm(batch, training=True), atol=2e-5)
        np.testing.assert_allclose(layer.moving_mean, torch_norm.mean, rtol=1e-5)
        np.testing.assert_allclose(layer.moving_variance, torch_norm.variance, rtol=1e-5)
    batch = some_batches(1, seed=9)[0]
    for got in (layer(batch), layer(batch, training=False), layer._plain(batch, False)):
        np.testing.assert_allclose(got, torch_norm(batch, training=False), atol=2e-5)


def test_fused_path_is_taken_in_a_graph_of_unknown_shape():
    layer, torch_norm = batch_norm()
    inputs = keras.Input((None, None, None, 3))
    outputs = layer(inputs)
    assert outputs.shape == (None, None, None, None, 3)
    step = tf.function(keras.Model(inputs, outputs), input_signature=[tf.TensorSpec((None, None, None, None, 3))])
    graph = step.get_concrete_function().graph.as_graph_def()
    assert [node.op for node in graph.node].count("FusedBatchNormV3") == 1
    batch = some_batches(1)[0]
    np.testing.assert_allclose(step(batch), torch_norm(batch, training=False), atol=2e-5)


def test_gradients_are_those_of_the_formula():
    batch = some_batches(1)[0]
    weights = np.random.default_rng(1).normal(size=batch.shape).astype("float32")

    def gradients(forward, layer, x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(forward(x) * weights)
        return tape.gradient(loss, [x, layer.gamma.value, layer.beta.value])

    for training in (True, False):
        fused, plain = batch_norm()[0], batch_norm()[0]
        for layer in (fused, plain):
            layer.moving_mean.assign([0.1, 0.2, 0.3])
        got = gradients(functools.partial(fused, training=training), fused, tf.constant(batch))
        expected = gradients(functools.partial(plain._plain, learning=training), plain, tf.constant(batch))
        for one, other in zip(got, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_frozen_statistics_stay_and_gamma_learns():
    layer, torch_norm = batch_norm("frozen")
    layer.moving_mean.assign([1.0, 2.0, 3.0])
    layer.moving_variance.assign([4.0, 5.0, 6.0])
    torch_norm.mean, torch_norm.variance = np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0])
    batch = some_batches(1)[0]
    with tf.GradientTape() as tape:
        outputs = layer(batch, training=True)
        loss = tf.reduce_sum(outputs**2)
    np.testing.assert_allclose(outputs, torch_norm(batch, training=False), atol=2e-5)
    np.testing.assert_array_equal(layer.moving_mean, [1, 2, 3])
    np.testing.assert_array_equal(layer.moving_variance, [4, 5, 6])
    for gradient in tape.gradient(loss, [layer.gamma.value, layer.beta.value]):
        assert np.all(np.asarray(gradient) != 0)


def test_untrainable_layer_learns_nothing():
    layer, torch_norm = batch_norm("replica")
    layer.trainable = False
    batch = some_batches(1)[0]
    np.testing.assert_allclose(layer(batch, training=True), torch_norm(batch, training=False), atol=2e-5)
    np.testing.assert_array_equal(layer.moving_variance, np.ones(3))


@pytest.mark.parametrize("policy", ["replica", "sync", "frozen"])
def test_statistics_are_float32_under_bfloat16(policy):
    """bfloat16 has 8 bits: a moving mean near 3 would not move by a hundredth."""
    layer, torch_norm = batch_norm(policy, dtype="mixed_bfloat16")
    assert {weight.dtype for weight in layer.weights} == {"float32"}
    for batch in some_batches():
        batch = np.asarray(tf.cast(tf.cast(batch, "bfloat16"), "float32"))  # the same rounded input for both
        outputs = layer(tf.cast(batch, "bfloat16"), training=True)
        assert outputs.dtype == "bfloat16"
        expected = torch_norm(batch, training=policy != "frozen")
        np.testing.assert_allclose(tf.cast(outputs, "float32"), expected, rtol=0.01, atol=0.02)
    np.testing.assert_allclose(layer.moving_mean, torch_norm.mean, rtol=1e-4)
    np.testing.assert_allclose(layer.moving_variance, torch_norm.variance, rtol=1e-4)


@pytest.mark.parametrize("graph", [False, True])
def test_a_large_batch_is_normalised_in_groups(graph):
    layer, _ = batch_norm(clips=2)
    learn = functools.partial(layer, training=True)
    if graph:
        learn = tf.function(learn, input_signature=[tf.TensorSpec((None, None, None, None, 3))])
    batch = np.random.default_rng(0).normal(3, 2, (4, 2, 3, 2, 3)).astype("float32")
    parts = [batch_norm() for _ in range(2)]
    expected = [norm(part, training=True) for (_, norm), part in zip(parts, (batch[:2], batch[2:]), strict=True)]
    np.testing.assert_allclose(learn(batch), np.concatenate(expected), atol=2e-5)
    np.testing.assert_allclose(layer.moving_mean, np.mean([norm.mean for _, norm in parts], axis=0), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, np.mean([norm.variance for _, norm in parts], axis=0), rtol=1e-5)
    again = BatchNorm.from_config(layer.get_config())
    assert again.clips == 2


def test_a_batch_below_a_group_is_one():
    layer, torch_norm = batch_norm(clips=8)
    for batch in some_batches():
        np.testing.assert_allclose(layer(batch, training=True), torch_norm(batch, training=True), atol=2e-5)
        np.testing.assert_allclose(layer.moving_variance, torch_norm.variance, rtol=1e-5)
    batch = some_batches(1, seed=9)[0]
    np.testing.assert_allclose(layer(batch), torch_norm(batch, training=False), atol=2e-5)


def test_one_value_a_channel_does_not_divide_by_zero():
    layer, _ = batch_norm()
    one = np.ones((1, 1, 1, 1, 3), "float32")
    assert np.isfinite(layer(one, training=True)).all() and np.isfinite(layer.moving_variance).all()
    assert np.isfinite(layer._plain(one, True)).all() and np.isfinite(layer.moving_variance).all()


# Logical devices have to be configured before TensorFlow starts, hence a fresh interpreter.
TWO_REPLICAS = """
    import json
    import keras
    import numpy as np
    import tensorflow as tf
    from kerasfast.models.layers import BatchNorm

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    generator = np.random.default_rng(0)
    halves = [generator.normal(shift, 2, (2, 2, 3, 2, 3)).astype("float32") for shift in (0, 3)]
    weights = [generator.normal(size=half.shape).astype("float32") for half in halves]
    joint, joint_weights = np.concatenate(halves), np.concatenate(weights)

    def make(policy):
        layer = BatchNorm(policy)
        layer.build((None, None, None, None, 3))
        layer.gamma.assign([0.5, 1.0, 1.5])
        return layer

    def step(layer, x, weight):
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x, training=True)
            loss = tf.reduce_sum(outputs * weight)
        return outputs, *tape.gradient(loss, [x, layer.gamma.value])

    results = {}
    one = make("replica")
    outputs, x_gradient, gamma_gradient = step(one, tf.constant(joint), joint_weights)
    results["joint"] = [outputs, x_gradient, gamma_gradient, one.moving_mean, one.moving_variance]
    for policy in ("sync", "replica"):
        with strategy.scope():
            layer = make(policy)

        def split(arrays):
            make_value = lambda context: tf.constant(arrays[context.replica_id_in_sync_group])
            return strategy.experimental_distribute_values_from_function(make_value)

        run = tf.function(lambda x, weight, layer=layer: step(layer, x, weight))
        outputs, x_gradient, gamma_gradient = strategy.run(run, (split(halves), split(weights)))
        together = lambda value: np.concatenate(strategy.experimental_local_results(value))
        results[policy] = [
            together(outputs),
            together(x_gradient),
            sum(strategy.experimental_local_results(gamma_gradient)),
            layer.moving_mean,
            layer.moving_variance,
        ]
    print(json.dumps({key: [np.asarray(v).tolist() for v in values] for key, values in results.items()}))
"""


def test_sync_on_two_replicas_is_one_replica_on_the_joint_batch():
    results = json.loads(run_python(TWO_REPLICAS).splitlines()[-1])
    names = ("outputs", "input gradient", "gamma gradient", "moving mean", "moving variance")
    for name, joint, sync, replica in zip(names, results["joint"], results["sync"], results["replica"], strict=True):
        np.testing.assert_allclose(sync, joint, rtol=1e-4, atol=1e-5, err_msg=name)
        # Each replica by itself gives other numbers; the mean of the means alone is the same.
        if name != "moving mean":
            assert np.abs(np.subtract(replica, joint)).max() > 1e-3, name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"policy": "synch"}, "must be one of replica, sync, frozen. Received: bn='synch'"),
        ({"axis": 1}, "last axis.*Received: axis=1"),
        ({"center": False}, "gamma and beta.*Received: center=False"),
        ({"scale": False}, "gamma and beta.*Received: scale=False"),
        ({"renorm": True}, "Received: renorm=True"),
    ],
)
def test_batch_norm_refuses_what_it_is_not(arguments, message):
    with pytest.raises(ValueError, match=message):
        BatchNorm(**arguments)


def test_batch_norm_takes_video_features_only():
    with pytest.raises(ValueError, match=r"\(batch, T, H, W, channels\). Received: shape \(2, 8, 8, 3\)"):
        BatchNorm()(np.zeros((2, 8, 8, 3), "float32"))


def test_batch_norm_keeps_shapes():
    check_layer_shape(BatchNorm(), np.ones((2, 4, 5, 6, 3), "float32"))
