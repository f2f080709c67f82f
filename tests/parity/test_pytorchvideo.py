"""Our networks against PyTorchVideo's, stage by stage, with the same random weights through real files."""

import pytest

pytest.importorskip("torch", reason="parity needs torch: make parity")
pytest.importorskip("pytorchvideo", reason="parity needs pytorchvideo: make parity")

import torch

from kerasfast.models.classifier import build
from kerasfast.models.heads import KINETICS400
from kerasfast.models.variants import variant
from kerasfast.verify.certificates import Sample, find_certificate
from kerasfast.verify.graph import TOLERANCE, seeded_weights
from kerasfast.weights import assign, canonical_weights
from parity import reference
from parity.cases import CASES
from parity.compare import CLASSES, Comparison, compare, largest_difference, noise, traced
from parity.literal_keys import fixtures_of, read_keys
from parity.nonlocal_torch import NonLocal
from parity.torch_names import set_weights

pytestmark = [
    pytest.mark.parity,
    # PyTorchVideo uses what torch has deprecated since.
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*TypedStorage is deprecated:UserWarning"),
]
PARAMETERS = [pytest.param(case, id=name, marks=[pytest.mark.slow] * case.slow) for name, case in CASES.items()]


@pytest.mark.parametrize("case", PARAMETERS)
def test_every_stage(case, tmp_path, record_property):
    found = compare(case, tmp_path)
    record_property("parity", found.line(case.name))
    assert found.containers_agree
    fixtures = fixtures_of(case.architecture, case.form)
    assert not fixtures or found.shapes == read_keys(fixtures[0]), "the file is none that its library would write"
    assert found.within(TOLERANCE), found.differences
    ours, theirs = zip(found.parameters, found.moving_values, strict=True)
    assert ours == theirs
    assert case.parameters in (None, ours[0]) and case.moving_values in (None, ours[1])
    # What zoo/parity says is what the reference computes.
    certificate = find_certificate(case.architecture, case.form)
    assert (certificate.parameters, certificate.moving_values) == theirs
    assert set(certificate.activations) == set(found.tiny)
    for stage, sample in certificate.activations.items():
        assert sample.difference(Sample.of(found.tiny[stage])) <= TOLERANCE / 10, stage


def pair(row):
    """Our network and the reference under the same weights."""
    ours, theirs = build(row, heads=KINETICS400), reference.build(row, CLASSES)
    arrays = seeded_weights({name: tuple(weight.shape) for name, weight in canonical_weights(ours).items()})
    assign(ours, arrays, source="seeded weights", new_heads=False)
    set_weights(theirs, arrays, row)
    return ours, theirs


@pytest.mark.parametrize("instantiation", ["softmax", "dot_product"])
@pytest.mark.parametrize("pool", [(1, 2, 2), (2, 2, 2)])
def test_forms_of_the_nonlocal_block(instantiation, pool):
    row = variant("slow_r50_4x16_nl", nonlocal_instantiation=instantiation, nonlocal_pool=pool)
    ours, theirs = pair(row)
    frames = noise(row.clip.frames, 112)
    got, expected = traced(ours)(frames), reference.run(theirs, frames, row)
    for stage in ("slow_res3", "slow_res4", "action_logits"):
        assert largest_difference(got[stage], expected[stage]) <= TOLERANCE, stage
    # The seeded weights tell the forms apart.
    for block in (part for part in theirs.modules() if isinstance(part, NonLocal)):
        block.instantiation = "softmax" if instantiation == "dot_product" else "dot_product"
    other = reference.run(theirs, frames, row)
    assert largest_difference(got["slow_res3"], other["slow_res3"]) > 100 * TOLERANCE


def test_a_stage_that_is_not_a_number_is_seen():
    stages = {"slow_res2": 1e-7, "slow_res3": float("nan"), "slow_res4": 1e-7}
    assert not Comparison({"224": stages}, {}, {}, (0, 0), (0, 0), True).within(TOLERANCE)
    assert Comparison({"224": {"slow_res2": 1e-7}}, {}, {}, (0, 0), (0, 0), True).within(TOLERANCE)


def test_a_wrongly_padded_pool_is_seen():
    """The tolerance has to catch what Keras' own padding would do: shift the reference's stem pool by one pixel."""
    row = CASES["slowfast_r50_4x16.pytorchvideo"].variant
    ours, theirs = pair(row)
    frames = noise(row.clip.frames, 224)
    stem = theirs.blocks[0].multipathway_blocks[1]

    def pool_padded_at_the_end(x):
        return torch.nn.functional.max_pool3d(torch.nn.functional.pad(x, (0, 1, 0, 1)), (1, 3, 3), (1, 2, 2))

    stem.pool = None
    stem.register_forward_hook(lambda module, inputs, output: pool_padded_at_the_end(output))
    wrong = reference.run(theirs, frames, row)["action_logits"]
    assert largest_difference(traced(ours)(frames)["action_logits"], wrong) > 10 * TOLERANCE
