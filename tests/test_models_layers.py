"""Layers against NumPy: padding, batch norm by torch's rule, slow frames."""

import functools
import itertools
import json

import keras
import numpy as np
import numpy_reference as reference
import pytest
import tensorflow as tf
from fresh_python import run_python
from model_case import check_config, check_layer_shape, own_layers

from kerasfast.models import layers
from kerasfast.models.layers import BatchNorm, LayerOptions, SelectFrames, slow_frame_indices

CONSTRUCTORS = {
    BatchNorm: {
        "policy": "frozen",
        "momentum": 0.8,
        "epsilon": 1e-3,
        "gamma_initializer": "zeros",
        "name": "norm",
        "trainable": False,
    },
    SelectFrames: {"indices": (0, 4, 7), "name": "some"},
}


def test_configs_are_complete():
    assert set(CONSTRUCTORS) == own_layers(layers.__name__)
    check_config(BatchNorm, CONSTRUCTORS[BatchNorm], given=("gamma_initializer",))
    check_config(SelectFrames, CONSTRUCTORS[SelectFrames])
    again = BatchNorm.from_config(BatchNorm("sync", gamma_initializer="zeros").get_config())
    assert again.policy == "sync" and again.synchronized
    assert isinstance(again.gamma_initializer, keras.initializers.Zeros)


# --- convolution -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kernel", "strides", "dilation"),
    [
        ((1, 7, 7), (1, 2, 2), 1),  # Slow stem
        ((5, 7, 7), (1, 2, 2), 1),  # Fast stem
        ((1, 3, 3), (1, 1, 1), 1),
        ((1, 3, 3), (1, 2, 2), 1),  # first block of a stage
        ((1, 1, 1), (1, 2, 2), 1),  # its shortcut
        ((3, 1, 1), (1, 1, 1), 1),
        ((5, 1, 1), (8, 1, 1), 1),  # lateral, 4x16
        ((7, 1, 1), (4, 1, 1), 1),  # lateral, 8x8
        ((1, 3, 3), (1, 1, 1), 2),  # dilated res5
    ],
)
@pytest.mark.parametrize("shape", [(8, 10, 12), (16, 9, 11)])  # even and odd sides
def test_conv_pads_as_torch_does(kernel, strides, dilation, shape):
    generator = np.random.default_rng(0)
    frames = generator.normal(size=(2, *shape, 3)).astype("float32")
    weights = generator.normal(size=(*kernel, 3, 4)).astype("float32")
    inputs = keras.Input((None, None, None, 3))
    outputs = layers.conv(
        inputs, 4, kernel, strides=strides, spatial_dilation=dilation, name="conv", options=LayerOptions()
    )
    model = keras.Model(inputs, outputs)
    model.get_layer("conv").kernel.assign(weights)
    reference.assert_close(model(frames), reference.conv(frames, weights, strides, dilation))
    assert [weight.name for weight in model.weights] == ["kernel"]  # no bias: a batch norm follows


def test_keras_own_padding_would_differ():
    """The reason for `conv`, and proof that the reference above can tell: Keras pads 0/1 where torch pads 1/1."""
    frames = np.random.default_rng(0).normal(size=(1, 2, 8, 8, 3)).astype("float32")
    same = keras.layers.Conv3D(4, (1, 3, 3), strides=(1, 2, 2), padding="same", use_bias=False)
    got = np.asarray(same(frames))
    expected = reference.conv(frames, np.asarray(same.kernel), (1, 2, 2))
    assert got.shape == expected.shape and np.abs(got - expected).max() > 0.1


def test_conv_starts_with_kaiming_fan_out():
    x = layers.conv(keras.Input((None, None, None, 64)), 128, (1, 3, 3), name="conv", options=LayerOptions())
    kernel = np.asarray(keras.Model(x._keras_history.operation.input, x).get_layer("conv").kernel)
    np.testing.assert_allclose(kernel.std(), np.sqrt(2 / (128 * 9)), rtol=0.02)
    assert np.abs(kernel).max() > 3 * kernel.std()  # not truncated at two deviations, as Keras' he_normal is


# --- batch norm ------------------------------------------------------------------------------------------------------


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


# --- slow frames -----------------------------------------------------------------------------------------------------

# trunc(linspace(0, T - 1, T // alpha)) as torch computes it, printed by torch.
SLOW_FRAMES = {
    (32, 4): (0, 4, 8, 13, 17, 22, 26, 31),
    (32, 8): (0, 10, 20, 31),
    (64, 4): (0, 4, 8, 12, 16, 21, 25, 29, 33, 37, 42, 46, 50, 54, 58, 63),
    (64, 8): (0, 9, 18, 27, 36, 45, 54, 63),
    (16, 4): (0, 5, 10, 15),
    (8, 4): (0, 7),
    (4, 4): (0,),
    (32, 32): (0,),
}


@pytest.mark.parametrize(("frames", "alpha"), SLOW_FRAMES)
def test_slow_frames_of_the_reference(frames, alpha):
    assert slow_frame_indices(frames, alpha) == SLOW_FRAMES[frames, alpha]


def test_slow_frames_use_float32_from_both_ends():
    """Where exact quotients (47, 53, 59) or NumPy's float64 linspace (47, 53, 58) choose another frame than torch."""
    assert slow_frame_indices(95, 4)[11] == 46
    assert slow_frame_indices(160, 4)[13] == 52
    assert slow_frame_indices(119, 2)[29] == 59
    for frames, alpha in itertools.product(range(2, 257), (2, 4, 8, 16)):
        if frames >= alpha:
            chosen = slow_frame_indices(frames, alpha)
            assert len(chosen) == frames // alpha and chosen[0] == 0
            assert list(chosen) == sorted(set(chosen)) and chosen[-1] in (0, frames - 1)


def test_select_frames():
    clip = np.arange(2 * 5 * 2 * 2 * 1, dtype="float32").reshape(2, 5, 2, 2, 1)
    layer = SelectFrames((0, 2, 4))
    np.testing.assert_array_equal(layer(clip), clip[:, [0, 2, 4]])
    assert check_layer_shape(layer, clip) == (2, 3, 2, 2, 1)
