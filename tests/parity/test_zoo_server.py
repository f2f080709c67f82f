"""Checkpoints of the real `torch.save` under their published names, from a real server through `kerasfast.load`."""

import dataclasses
import hashlib
import io
from urllib.parse import urlsplit

import keras
import numpy as np
import pytest

pytest.importorskip("torch", reason="parity needs torch: make parity")
pytest.importorskip("pytorchvideo", reason="parity needs pytorchvideo: make parity")

import torch
from file_server import Answer

import kerasfast as kf
from kerasfast import registry
from kerasfast.checkpoints import CheckpointError
from kerasfast.models.heads import KINETICS400
from kerasfast.registry import index
from kerasfast.weights import canonical_weights
from parity import reference

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*TypedStorage is deprecated:UserWarning"),
]

TOLERANCE = 1e-5  # times the largest logit
SMALL, LARGE = "x3d_xs_4x12.k400", "slowfast_r50_8x8.k400"


def network(name):
    """PyTorchVideo's network with seeded random weights, and its row of our table."""
    row = index()[name].variant
    torch.manual_seed(0)
    module = reference.build(row, KINETICS400["action"].classes)
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm3d):  # fresh ones hide much: a gamma of 0 mutes a residual branch
            for values in (part.weight, part.running_var):
                torch.nn.init.uniform_(values, 0.5, 1.5)
            for values in (part.bias, part.running_mean):
                torch.nn.init.normal_(values, std=0.1)
    return module, row


def training_file(module, container):
    """What a training run of PyTorchVideo saves: the weights, and as many numbers of momentum."""
    optimizer = torch.optim.SGD(module.parameters(), 0.1, momentum=0.9)
    for parameter in module.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()  # with no gradient the weights stay
    state = {"epoch": 195, "model_state": module.state_dict(), "optimizer_state": optimizer.state_dict(), "cfg": "A: 1"}
    file = io.BytesIO()
    torch.save(state, file, _use_new_zipfile_serialization=container == "zip")
    return file.getvalue()


@pytest.fixture(scope="module")
def small():
    module, row = network(SMALL)
    return module, row, {container: training_file(module, container) for container in ("zip", "legacy")}


@pytest.fixture
def server(file_server, cache_home):
    return file_server


def publish(server, monkeypatch, name, body, **published):
    """Serve a file under the path where the zoo's row of that name says that it is."""
    row = index()[name]
    path = urlsplit(row.source.url).path
    server.files[path] = body
    source = dataclasses.replace(row.source, url=server.url(path), **published)
    rows = {**index(), name: dataclasses.replace(row, source=source)}
    monkeypatch.setattr(registry, "index", lambda: rows)
    return source.url


def load(name):
    """The weights by name, all from the file."""
    model = kf.load(name)
    assert model.load_report.new == model.load_report.skipped == ()
    return model, {key: np.asarray(weight.value) for key, weight in canonical_weights(model).items()}


def expect_logits(model, module, row):
    """Those of PyTorchVideo for a clip of noise."""
    side = row.crop_size
    frames = np.random.default_rng(0).integers(0, 256, (1, row.clip.frames, side, side, 3), dtype=np.uint8)
    want = reference.run(module, frames, row)["action_logits"]
    got = keras.Model(model.input, model.endpoints["action_logits"])(frames)
    np.testing.assert_allclose(got, want, rtol=0, atol=TOLERANCE * np.abs(want).max())


@pytest.mark.parametrize("container", ["zip", "legacy"])
@pytest.mark.parametrize("name", [SMALL, pytest.param(LARGE, marks=pytest.mark.slow)])
def test_downloaded_ported_and_cached(name, container, small, server, monkeypatch, cache_home):
    module, row, files = small
    body = files[container]
    if name != SMALL:
        module, row = network(name)
        body = training_file(module, container)
    publish(server, monkeypatch, name, body, bytes=len(body))
    model, first = load(name)
    expect_logits(model, module, row)
    weights = cache_home / f"{name}.weights.h5"
    assert weights.stat().st_size < 0.6 * len(body), "the momentum is left out"
    server.files.clear()
    second = load(name)[1]
    assert len(server.requests) == 1
    assert set(second) == set(first) and all(np.array_equal(second[key], first[key]) for key in first)
    assert {path.suffix for path in weights.parent.iterdir()} == {".h5", ".json", ".lock"}


@pytest.mark.parametrize("container", ["zip", "legacy"])
def test_a_cut_transfer_is_resumed(container, small, server, monkeypatch):
    body = small[2][container]
    publish(server, monkeypatch, SMALL, body, sha256=hashlib.sha256(body).hexdigest())
    server.plan = [Answer(cut=len(body) // 3), Answer(cut=len(body) // 3)]
    load(SMALL)
    assert server.ranges() == [None, f"bytes={len(body) // 3}-", f"bytes={len(body) // 3 * 2}-"]


REFUSED = {
    "truncated": (lambda body: body[: len(body) // 2], "cut off"),
    "one byte less": (lambda body: body[:-1], "cut off|ends in the middle|where .* are left"),
    "HTML page": (lambda body: b"<html><head><title>404</title>", "it is a web page"),
    "git-lfs": (lambda body: b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "it is a git-lfs pointer"),
}


@pytest.mark.parametrize("container", ["zip", "legacy"])
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_the_checkpoint_is_refused(case, container, small, server, monkeypatch, cache_home):
    change, reason = REFUSED[case]
    url = publish(server, monkeypatch, SMALL, change(small[2][container]))
    with pytest.raises(CheckpointError, match=rf"X3D_XS\.pyth is not the published .*({reason}).*from {url}"):
        kf.load(SMALL)
    assert [path.suffix for path in cache_home.iterdir()] == [".lock"]


def test_a_wrong_hash_is_refused_and_the_next_call_heals(small, server, monkeypatch):
    body = small[2]["zip"]
    publish(server, monkeypatch, SMALL, body, sha256="701b0f6f")
    with pytest.raises(CheckpointError, match=r"its SHA-256 is \w{64} where 701b0f6f is published"):
        kf.load(SMALL)
    publish(server, monkeypatch, SMALL, body, sha256=hashlib.sha256(body).hexdigest()[:8])
    load(SMALL)
