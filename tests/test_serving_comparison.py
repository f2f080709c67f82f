import numpy as np
import pytest
from serving_case import small_variant, spread_model

from kerasfast.serving import comparison
from kerasfast.serving.comparison import largest_differences, served_answers, tolerance_of
from kerasfast.serving.saved_model import export


@pytest.fixture(scope="module")
def model():
    return spread_model(small_variant())


@pytest.fixture(scope="module")
def answers(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "1"
    names = export(model, path).signatures
    return served_answers(path, names, model)


def test_every_signature_answers(model, answers):
    assert set(answers) == {"serving_default", "jpeg_frames", "views", "features"}
    assert set(answers["views"]) == set(model.heads) and set(answers["features"]) == {"pooled"}
    difference, relative = largest_differences(model, answers)
    assert 0 <= difference <= relative <= 1e-5


@pytest.mark.parametrize(("signature", "name"), [("jpeg_frames", "verb"), ("features", "pooled")])
def test_one_value_that_differs_is_found(model, answers, signature, name):
    changed = {key: {one: values.copy() for one, values in found.items()} for key, found in answers.items()}
    values = changed[signature][name]
    values.flat[0] += 0.1 * values.max()
    difference, relative = largest_differences(model, changed)
    assert relative == pytest.approx(0.1, rel=1e-3)
    assert (difference == pytest.approx(0.1 * answers[signature][name].max(), rel=1e-3)) == (name == "verb")


def test_what_is_not_a_number_is_not_passed_over(model, answers):
    changed = {"serving_default": {"verb": np.full((1, 4), np.nan, "float32")}, "views": answers["views"]}
    assert all(np.isnan(value) for value in largest_differences(model, changed))


def test_a_gpu_and_bfloat16_may_round_more(monkeypatch):
    monkeypatch.setattr(comparison, "on_gpu", lambda: False)
    on_cpu, in_bfloat16 = tolerance_of("float32"), tolerance_of("bfloat16")
    monkeypatch.setattr(comparison, "on_gpu", lambda: True)
    assert on_cpu < tolerance_of("float32") < in_bfloat16
