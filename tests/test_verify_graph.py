"""The graph check passes on the certified network and on no other."""

import keras
import numpy as np
import pytest

from kerasfast.models import layers
from kerasfast.verify.certificates import find_certificate
from kerasfast.verify.graph import check_graph, compare_stages, seeded_model, seeded_weights, tiny_clip
from kerasfast.weights import canonical_weights

NAME = "x3d_xs_4x12"
ORDER = ["slow_stem", "slow_res2", "slow_res3", "slow_res4", "slow_res5", "action_logits", "action"]


@pytest.fixture(scope="module")
def certified():
    found = find_certificate(NAME)
    return found, seeded_model(found)


def failed(stages):
    assert [stage.name for stage in stages] == ORDER
    return [stage.name for stage in stages if not stage.passed]


def test_the_certified_network_passes(certified):
    assert failed(compare_stages(*certified)) == []


@pytest.mark.parametrize(
    ("weight", "first"),
    [
        ("slow/res3/block2/conv_b/kernel", "slow_res3"),
        ("head/action/kernel", "action_logits"),
    ],
)
def test_a_weight_that_is_off_is_seen_from_its_stage_on(certified, weight, first):
    found, model = certified
    variable = canonical_weights(model)[weight]
    before = np.array(variable.value)
    variable.assign(before * 1.1)
    try:
        assert failed(compare_stages(found, model)) == ORDER[ORDER.index(first) :]
    finally:
        variable.assign(before)


def test_a_wrong_padding_is_seen(monkeypatch):
    """Keras' own padding of a strided convolution: all of it at the end."""
    plain = keras.layers.ZeroPadding3D

    def at_the_end(padding, **options):
        return plain(tuple((0, 2 * size) for size in padding), **options)

    monkeypatch.setattr(layers.keras.layers, "ZeroPadding3D", at_the_end)
    _, stages = check_graph(NAME)
    assert failed(stages) == ORDER


def test_seeded_weights_are_those_of_every_version():
    shapes = {"b/kernel": (2, 1, 1, 3, 2), "a/moving_variance": (3,), "a/nonlocal1/g/kernel": (1, 2), "c/bias": (2,)}
    arrays = seeded_weights(shapes)
    assert list(arrays) == sorted(shapes)
    assert all(array.dtype == np.float32 and array.shape == shapes[name] for name, array in arrays.items())
    again = seeded_weights(dict(reversed(shapes.items())))
    assert all(np.array_equal(arrays[name], again[name]) for name in shapes)
    np.testing.assert_allclose(arrays["a/moving_variance"], [1.1369617, 0.76978672, 0.54097354], rtol=1e-6)
    np.testing.assert_allclose(arrays["c/bias"], [-0.031630017, 0.041163053], rtol=1e-6)
    assert tiny_clip(2).shape == (1, 2, 64, 80, 3)
    assert tiny_clip(2)[0, 0, 0, :2].tolist() == [[95, 130, 194], [217, 207, 235]]
