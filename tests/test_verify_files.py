"""The file check on files as torch writes them: the right one, and everything else that might be given."""

import hashlib

import numpy as np
import pytest
from checkpoint_files import as_tensor, module_state, torch_legacy, torch_zip
from parity.literal_keys import read_keys

from kerasfast import registry
from kerasfast.checkpoints import CheckpointError
from kerasfast.models.classifier import build
from kerasfast.registry import Entry, Source, index
from kerasfast.verify.files import check_file

NAME = "x3d_xs_4x12.tests"
HEADS = {"action": {"classes": 400, "activation": "softmax"}}


def state(family, seed=0, **replaced):
    """A state dict under the literal names of a library's own network."""
    rng = np.random.default_rng(seed)
    values = {}
    for key, shape in read_keys(f"x3d_m_16x5.{family}").items():
        if key.endswith("num_batches_tracked"):
            values[key] = np.array(7)
        elif key.endswith("running_var"):
            values[key] = rng.uniform(0.5, 1.5, shape).astype("f4")
        else:
            values[key] = (rng.normal(size=shape) * (2 / np.prod(shape[1:], initial=1)) ** 0.5).astype("f4")
    values.update(replaced)
    return {"model_state": module_state({key: as_tensor(key, array) for key, array in values.items()})}


@pytest.fixture(scope="module")
def content():
    return torch_zip(state("pytorchvideo"))


@pytest.fixture
def publish(content, tmp_path, monkeypatch):
    """The name of an entry, and the path of a file of its own."""

    def publish(data=content, *, family="pytorchvideo", sha256="", size=None):
        source = Source("https://example.org/X3D_XS.pyth", family, sha256, size)
        entry = Entry(NAME, "a test's", overrides={"first_shortcut_norm": False}, heads=HEADS, source=source)
        rows = {**index(), NAME: entry}
        monkeypatch.setattr(registry, "index", lambda: rows)
        path = tmp_path / "X3D_XS.pyth"
        path.write_bytes(data)
        return path

    return publish


def test_the_right_file(publish, content):
    digest = hashlib.sha256(content).hexdigest()
    found = check_file(NAME, publish(sha256=digest[:8], size=len(content)), logits=3)
    assert (found.sha256, found.published_sha256) == (digest, digest[:8])
    assert (found.family, found.weights, found.classes) == ("pytorchvideo", 480, 400)
    assert len(found.logits) == 3 and np.isfinite(found.logits).all() and len(set(found.logits)) == 3


def test_an_architecture_takes_the_form_of_the_files_family(tmp_path):
    (tmp_path / "x3d.pyth").write_bytes(torch_legacy(state("pyslowfast")))
    found = check_file("x3d_xs_4x12", tmp_path / "x3d.pyth")
    assert (found.family, found.weights, found.published_sha256) == ("pyslowfast", 484, "")


def test_another_file_than_published(publish, content):
    with pytest.raises(CheckpointError, match=r"not the published checkpoint of x3d.*SHA-256 is .* where 00000000 is"):
        check_file(NAME, publish(sha256="00000000"))
    with pytest.raises(
        CheckpointError, match=f"it has {len(content):,} bytes where {len(content) + 1:,} are published"
    ):
        check_file(NAME, publish(size=len(content) + 1))


def test_a_truncated_file(publish, content):
    with pytest.raises(CheckpointError, match=r"X3D_XS\.pyth is not the published .*so the download was cut off"):
        check_file(NAME, publish(content[:-1000]))


def test_another_family(publish):
    with pytest.raises(CheckpointError, match="it has the names of pyslowfast where pytorchvideo is expected"):
        check_file(NAME, publish(torch_zip(state("pyslowfast"))))


def test_another_network(publish):
    arrays = state("pytorchvideo")["model_state"]
    missing = module_state(
        {key: value for key, value in arrays.items() if key != "blocks.4.res_blocks.6.branch2.conv_c.weight"}
    )
    with pytest.raises(ValueError, match=r"does not fit the model: slow/res5/block6/conv_c/kernel \(file: nothing"):
        check_file(NAME, publish(torch_zip({"model_state": missing})))


def test_values_that_are_not_finite(publish):
    bad = {"blocks.5.proj.bias": np.full(400, np.nan, "f4")}
    with pytest.raises(ValueError, match=r"proj\.bias.* not finite"):
        check_file(NAME, publish(torch_zip(state("pytorchvideo", **bad))))
    huge = {"blocks.5.proj.weight": np.full((400, 2048), 1e38, "f4")}
    with pytest.raises(ValueError, match="gives values that are not finite at action_logits"):
        check_file(NAME, publish(torch_zip(state("pytorchvideo", **huge))))


def test_a_file_of_kerasfast(tmp_path):
    path = tmp_path / "nano.weights.h5"
    build("slow_nano").save_weights(path)
    with pytest.raises(CheckpointError, match=r"HDF5 file; load a .weights\.h5 file with kerasfast\.load"):
        check_file("slow_r50_4x16", path)


def test_no_file_and_no_certificate(publish, tmp_path):
    path = publish()
    with pytest.raises(FileNotFoundError, match="There is no file"):
        check_file(NAME, tmp_path / "none.pyth")
    with pytest.raises(ValueError, match="slow_r50_4x16_nl has no parity certificate of the form 'pytorchvideo'"):
        check_file("slow_r50_4x16_nl", path)
