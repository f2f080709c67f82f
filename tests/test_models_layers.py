"""Layers against NumPy: padding and slow frames; batch norm has its own file."""

import itertools

import keras
import numpy as np
import numpy_reference as reference
import pytest
from model_case import check_config, check_layer_shape, own_layers

from kerasfast.models import layers
from kerasfast.models.layers import BatchNorm, LayerOptions, SelectFrames, slow_frame_indices

CONSTRUCTORS = {
    BatchNorm: {
        "policy": "frozen",
        "momentum": 0.8,
        "epsilon": 1e-3,
        "clips": 8,
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


def test_chosen_convolutions_start_at_zero():
    """Only the starting values change: the layer says of itself what it always says."""
    frames = keras.Input((4, 8, 8, 3))

    def build(name):
        layer = layers.conv(frames, 6, (1, 3, 3), name=name, options=LayerOptions())._keras_history.operation
        return layer.get_config()["kernel_initializer"], np.asarray(layer.kernel.value)

    plain, _ = build("chosen")
    with layers.zero_convolutions(lambda name: name == "chosen"):
        assert build("chosen")[0] == plain and not build("chosen")[1].any()
        assert build("other")[1].any()
    assert build("chosen")[1].any()


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


def test_every_alphath_frame():
    """MMAction2 takes frames[::alpha], which never reaches the last frame."""
    assert slow_frame_indices(32, 8, "stride") == (0, 8, 16, 24)
    assert slow_frame_indices(8, 4, "stride") == (0, 4)
    assert slow_frame_indices(4, 4, "stride") == (0,)


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
