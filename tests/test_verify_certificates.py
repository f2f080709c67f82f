"""The certificates of the zoo, and which one stands for a name."""

import math

import numpy as np
import pytest
from parity.cases import CASES
from parity.literal_keys import fixtures_of

from kerasfast import registry
from kerasfast.models.variants import VARIANTS, variant
from kerasfast.registry import Entry, Source, index
from kerasfast.verify.certificates import Certificate, Sample, find_certificate, graph_fields, parity_dir
from kerasfast.verify.graph import TOLERANCE


def published(name, family="pytorchvideo", **overrides):
    source = Source(url=f"https://example.org/{name}", family=family)
    return Entry(name, "a test's", overrides=overrides, source=source)


@pytest.fixture
def zoo(monkeypatch):
    """A zoo of more entries."""

    def add(*entries):
        rows = {**index(), **{entry.name: entry for entry in entries}}
        monkeypatch.setattr(registry, "index", lambda: rows)

    return add


def test_every_case_has_its_certificate():
    assert {path.stem for path in parity_dir().glob("*")} == set(CASES)


def test_every_architecture_of_a_library_is_certified():
    assert {case.architecture for case in CASES.values()} == {name for name in VARIANTS if not name.endswith("_nano")}


@pytest.mark.parametrize("name", CASES)
def test_a_certificate_is_that_of_its_case(name):
    case, found = CASES[name], find_certificate(CASES[name].architecture, CASES[name].form)
    assert found.name == name
    assert (found.overrides, found.reference) == (case.overrides, case.reference)
    assert found.names == fixtures_of(case.architecture, case.form)
    assert case.parameters in (None, found.parameters) and case.moving_values in (None, found.moving_values)
    assert set(found.differences) == {str(case.variant.crop_size), str(case.variant.test_crop_size)}
    stages = {f"{path}_{stage}" for path in case.variant.pathways for stage in ("stem", "res2", "res3", "res4", "res5")}
    for differences in (*found.differences.values(), found.activations):
        assert set(differences) == stages | {"action_logits", "action"}
    assert all(value <= TOLERANCE for crop in found.differences.values() for value in crop.values())
    assert {"torch", "pytorchvideo", "tensorflow", "keras"} <= set(found.versions)
    assert found.versions["pytorchvideo"] in found.reference


def test_every_published_entry_is_covered():
    names = [name for name, row in index().items() if row.source is not None]
    for name in names:
        found = find_certificate(name)
        assert graph_fields(found.variant) == graph_fields(index()[name].variant)


def test_certificates_are_small():
    sizes = [path.stat().st_size for path in parity_dir().glob("*.json")]
    assert max(sizes) < 10_000


# --- names -----------------------------------------------------------------------------------------------------------


def test_an_architecture_has_the_form_of_pytorchvideo_by_default():
    assert find_certificate("slowfast_r50_4x16").form == "pytorchvideo"
    assert find_certificate("slow_r50_4x16_nl").form == "pyslowfast"
    assert find_certificate("slowfast_r50_4x16", "mmaction2").overrides["slow_frames"] == "stride"


def test_weights_have_the_form_of_their_file(zoo):
    zoo(
        published("slow_r50_4x16.a", head_average="logits"),
        published("slow_r50_4x16.b", "caffe2"),
        published("slowfast_r50_8x8.c", "pyslowfast", head_pool="global"),
        # These fields say nothing about the network of a single pathway with one position.
        published(
            "slow_r50_4x16.d", "mmaction2", **{**CASES["slowfast_r50_4x16.mmaction2"].overrides, "crop_size": 96}
        ),
    )
    assert find_certificate("slow_r50_4x16.a").name == "slow_r50_4x16.pytorchvideo"
    assert find_certificate("slow_r50_4x16.b").name == "slow_r50_4x16.pyslowfast"
    assert find_certificate("slowfast_r50_8x8.c").name == "slowfast_r50_8x8.pyslowfast_multigrid"
    assert find_certificate("slow_r50_4x16.d").name == "slow_r50_4x16.mmaction2"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (published("slow_r50_4x16.a", pixel_mean=(1.0, 2.0, 3.0)), "pytorchvideo differs in head_average, pixel_mean"),
        (published("slow_r50_4x16.a", clip={"frames": 6}), "frames"),
        (published("slow_r50_4x16_nl.a"), "slow_r50_4x16_nl has none of pytorchvideo"),
    ],
)
def test_other_networks_are_not_covered(zoo, entry, message):
    zoo(entry)
    with pytest.raises(ValueError, match=rf"No parity certificate covers the network of {entry.name}: .*{message}"):
        find_certificate(entry.name)


@pytest.mark.parametrize(
    ("name", "form", "message"),
    [
        ("slow_r50_4x17", None, "Did you mean 'slow_r50_4x16'"),
        ("slow_nano", None, "no parity certificate. Certified forms of it: none"),
        ("slow_r50_4x16_nl", "mmaction2", "of the form 'mmaction2'. Certified forms of it: pyslowfast"),
        ("slowfast_nano.miniature", None, "was trained with kerasfast"),
        ("slowfast_nano.miniatur", None, "Did you mean 'slowfast_nano.miniature'"),
    ],
)
def test_names_without_a_certificate(name, form, message):
    with pytest.raises(ValueError, match=message):
        find_certificate(name, form)


def test_weights_take_no_form(zoo):
    zoo(published("slow_r50_4x16.a", head_average="logits"))
    with pytest.raises(ValueError, match="Received: form='pyslowfast'"):
        find_certificate("slow_r50_4x16.a", "pyslowfast")


def test_fields_that_are_of_no_account():
    row = variant("slow_r50_4x16")
    assert graph_fields(row) == graph_fields(variant("slow_r50_4x16", lateral_norm=False, short_side=(256, 340)))
    assert graph_fields(row) != graph_fields(variant("slow_r50_4x16", head_average="logits"))
    fused = variant("slowfast_r50_4x16")
    assert graph_fields(fused) != graph_fields(variant("slowfast_r50_4x16", lateral_norm=False))


# --- samples ---------------------------------------------------------------------------------------------------------


def test_a_sample_sees_a_shift_of_one_value_and_another_shape():
    values = np.random.default_rng(0).normal(size=(1, 2, 3, 4, 5)).astype("float32")
    sample = Sample.of(values)
    assert sample.difference(Sample.of(values)) == 0
    other = values.copy()
    other[0, 1, 2, 3, 4] += 1e-3 * sample.largest
    assert sample.difference(Sample.of(other)) == pytest.approx(1e-3 / values.size, rel=1e-3)  # in the mean
    assert sample.difference(Sample.of(values.reshape(1, 3, 2, 4, 5))) == math.inf
    other[0, 0, 0, 0, 0] = np.nan
    assert not sample.difference(Sample.of(other)) <= TOLERANCE


def test_reading_gives_back_what_was_written(tmp_path):
    from make_parity import write_json

    found = find_certificate("x3d_xs_4x12")
    write_json(found, tmp_path / "again.json")
    assert Certificate.read(tmp_path / "again.json") == found
