"""Which factor a layer gets, and names that are refused."""

import pytest

from kerasfast.models.classifier import build
from kerasfast.train.optimizers.layer_rates import check_rates, rate_of


def test_the_backbone_is_all_before_embedding_and_heads():
    model = build("slowfast_nano", heads={"verb": 2, "action": 3}, embedding=4)
    paths = [variable.path for variable in model.trainable_variables]
    check_rates({"backbone": 0.1}, paths)
    found = {path.split("/")[0]: rate_of(path, {"backbone": 0.1}) for path in paths}
    assert {layer for layer, factor in found.items() if factor == 1} == {"embed", "head_verb", "head_action"}
    assert {layer.split("_")[0] for layer, factor in found.items() if factor == 0.1} == {"slow", "fast", "lateral"}


def test_the_layers_around_x3ds_pooling_are_of_the_backbone():
    layers = ("head_conv5", "head_bn5", "head_lin5", "head_action", "head_conv51")
    assert [rate_of(f"{layer}/kernel", {"backbone": 0.1}) for layer in layers] == [0.1, 0.1, 0.1, 1.0, 1.0]


def test_the_longest_key_counts():
    rates = {"slow_res": 0.3, "backbone": 0.1, "slow_res4_block0": 0.5, "head": 2.0}
    layers = ("slow_stem_conv", "slow_res2_block0_conv_a", "slow_res4_block0_conv_a", "head_action", "embed")
    assert [rate_of(f"{layer}/kernel", rates) for layer in layers] == [0.1, 0.3, 0.5, 2.0, 1.0]


def test_a_name_that_no_layer_has_is_refused():
    paths = ["slow_stem_conv/kernel", "slow_stem_bn/gamma", "slow_res2_block0_conv_a/kernel", "head_verb/bias"]
    message = (
        r"by the beginning of their names\. Received: 'backbon', which fits none\. Did you mean 'backbone'\? "
        r"There are: slow_stem, slow_res2, head_verb; 'backbone' stands for"
    )
    with pytest.raises(ValueError, match=message):
        check_rates({"slow": 0.5, "backbon": 0.1}, paths)
