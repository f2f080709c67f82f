"""The names and shapes of the libraries' own networks (`keys/*.txt`) against those of our rows, one to one."""

import dataclasses
import functools
import subprocess
import sys

import numpy as np
import pytest

from kerasfast.checkpoints import to_canonical
from kerasfast.data.clips import ClipSpec
from kerasfast.models.classifier import build
from kerasfast.models.row import Variant
from kerasfast.models.variants import VARIANTS, variant
from kerasfast.verify.certificates import form_of
from kerasfast.weights import canonical_weights
from parity.cases import CASES
from parity.literal_keys import KEYS, NETWORKS, read_keys

# MMAction2's non-local blocks pool behind their convolutions, which ours do not; names and shapes are the same.
MMACTION2_NONLOCAL = {"nonlocal_after": ((3, 0), (3, 2), (4, 0), (4, 2), (4, 4))}
LARGE = ("r101", "x3d_l")
PAIRS = [
    pytest.param(fixture, row, id=f"{fixture}-{row}", marks=[pytest.mark.slow] * any(part in row for part in LARGE))
    for fixture, rows in NETWORKS.items()
    for row in rows
]


def row_of(architecture: str, scheme: str) -> Variant:
    """Our row in the form of a scheme's library."""
    case = CASES.get(f"{architecture}.{form_of(scheme)}")
    return case.variant if case else variant(architecture, **MMACTION2_NONLOCAL)


@functools.cache
def _shapes(row: Variant) -> dict[str, tuple[int, ...]]:
    return {name: tuple(weight.shape) for name, weight in canonical_weights(build(row)).items()}


def shapes_of(row: Variant) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a row's weights; rows that differ in nothing that matters for them are built once."""
    plain = VARIANTS["slow_r50_8x8"]
    same = ("head_pool", "head_average", "pixel_mean", "pixel_std", "slow_frames", "nonlocal_instantiation")
    row = dataclasses.replace(row, name="row", clip=ClipSpec(64, 1), alpha=8, temporal_pool=1)
    return _shapes(dataclasses.replace(row, **{field: getattr(plain, field) for field in same}))


@pytest.mark.parametrize(("fixture", "architecture"), PAIRS)
def test_one_to_one(fixture, architecture):
    keys = read_keys(fixture)
    scheme = fixture.partition(".")[2]
    weights = to_canonical({key: np.broadcast_to(np.float32(0), shape) for key, shape in keys.items()})
    assert weights.family == scheme.partition("_")[0]
    assert dict(weights.shapes) == shapes_of(row_of(architecture, scheme))
    used = set(weights._keys.values())
    assert all(key.endswith(".num_batches_tracked") for key in set(keys) - used)
    assert len(used) == len(weights._keys)
    # MMAction2's non-local blocks have no bias before batch norm, which we fill with zeros.
    made_up = set(weights) - set(weights._keys)
    assert len(made_up) == (5 if scheme == "mmaction2" and architecture.endswith("_nl") else 0)


def test_every_fixture_is_used():
    assert {path.stem for path in KEYS.glob("*.txt")} == set(NETWORKS)


def test_every_published_form_has_a_fixture():
    """Forms without one: PySlowFast and PyTorchVideo have no configuration of these networks."""
    without = {
        name for name, case in CASES.items() if not any(case.architecture in rows for rows in _rows_of(case.form))
    }
    assert without == {
        *(f"{name}.pytorchvideo" for name in ("slowfast_r101_50_101_8x8", "slowfast_r101_r50_4x16", "i3d_r101_8x8")),
        *(f"{name}.pytorchvideo" for name in ("slow_r101_8x8", "slow_r101_16x8", "c2d_nopool_r50_8x8", "fast_r50_8x8")),
        *(f"{name}.pyslowfast" for name in ("slow_r101_8x8", "slow_r101_16x8")),
        *("slowfast_r50_8x8.pyslowfast_multigrid", "slowfast_r50_16x8.pyslowfast_multigrid"),
    }


def _rows_of(form: str):
    return [rows for fixture, rows in NETWORKS.items() if fixture.partition(".")[2] == form]


@pytest.mark.parity
def test_pytorchvideo_still_builds_them(tmp_path):
    pytest.importorskip("torch", reason="parity needs torch: make parity")
    pytest.importorskip("pytorchvideo", reason="parity needs pytorchvideo: make parity")
    tool = KEYS.parents[2] / "tools" / "make_parity_keys.py"
    command = [sys.executable, "-W", "ignore", str(tool), "pytorchvideo", "--out", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    fresh = {path.name: path.read_text("ascii") for path in tmp_path.iterdir()}
    assert fresh == {path.name: path.read_text("ascii") for path in KEYS.glob("*.pytorchvideo.txt")}
