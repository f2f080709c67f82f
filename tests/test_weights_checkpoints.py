"""Weights from the files of four libraries through `kerasfast.load`: scores are those of the model that was saved."""

import checkpoint_names
import keras
import numpy as np
import pytest
from checkpoint_files import as_tensor, caffe2_array, python2_pickle, torch_legacy, torch_zip
from model_case import random_clip, wake_up

import kerasfast as kf
from kerasfast.checkpoints import CheckpointError
from kerasfast.weights import canonical_weights

KINETICS = {"action": kf.Head(7, "softmax")}
AXES = {5: (4, 3, 0, 1, 2), 2: (1, 0), 1: (0,)}


def torch_arrays(model, rename):
    """The weights of a model under the names of a library, in torch's layouts."""
    arrays = {name: np.asarray(variable) for name, variable in canonical_weights(model).items()}
    return {rename(name): array.transpose(AXES[array.ndim]) for name, array in arrays.items()}


def torch_state(model, rename):
    return {name: as_tensor(number, array) for number, (name, array) in enumerate(torch_arrays(model, rename).items())}


def mmaction2_state(model):
    arrays = torch_arrays(model, checkpoint_names.mmaction2)
    head = arrays["cls_head.fc_cls.weight"]
    arrays["cls_head.fc_cls.weight"] = np.concatenate([head[:, 256:], head[:, :256]], axis=1)  # [fast, slow]
    return {name: as_tensor(number, array) for number, (name, array) in enumerate(arrays.items())}


def caffe2_blobs(model):
    arrays = torch_arrays(model, lambda name: checkpoint_names.caffe2(name, depths=(1, 1, 1)))
    return {name: caffe2_array(array) for name, array in arrays.items()}


FILES = {
    "pytorchvideo": lambda model: torch_zip({"model_state": torch_state(model, checkpoint_names.pytorchvideo)}),
    "pyslowfast": lambda model: torch_legacy({"model_state": torch_state(model, checkpoint_names.pyslowfast)}),
    "mmaction2": lambda model: torch_zip({"state_dict": mmaction2_state(model)}),
    "caffe2": lambda model: python2_pickle({"blobs": caffe2_blobs(model)}),
}


@pytest.fixture(params=FILES)
def saved(request, tmp_path):
    """A woken model, the fields of its variant, and a file of its weights."""
    fields = {"lateral_norm": False} if request.param == "mmaction2" else {}
    keras.utils.set_random_seed(0)
    model = kf.load("slowfast_nano", heads=KINETICS, **fields)
    wake_up(model)
    path = tmp_path / "checkpoint.pyth"
    path.write_bytes(FILES[request.param](model))
    return model, fields, path


def test_a_checkpoint_gives_the_scores_of_its_model(saved):
    model, fields, path = saved
    loaded = kf.load("slowfast_nano", heads=KINETICS, weights=path, **fields)
    assert loaded.load_report.new == loaded.load_report.skipped == ()
    clip = random_clip(model.variant)
    np.testing.assert_array_equal(loaded(clip)["action"], model(clip)["action"])


def test_other_heads_start_random_when_asked_for(saved):
    _, fields, path = saved
    loaded = kf.load("slowfast_nano", heads={"verb": 3}, weights=path, **fields)
    assert {name.rpartition("/")[0] for name in loaded.load_report.new} == {"head/verb"}
    with pytest.raises(ValueError, match=r"head/action/kernel \(file: \(\d+, 7\), model: \(\d+, 400\)\)"):
        kf.load("slowfast_nano", weights=path, **fields)


def test_another_architecture_is_refused(saved):
    path = saved[2]
    with pytest.raises(ValueError, match="does not fit the model"):
        kf.load("slow_nano", heads=KINETICS, weights=path)


def test_what_is_no_checkpoint_is_refused(tmp_path):
    path = tmp_path / "page.pyth"
    path.write_bytes(b"<html>Not found</html>")
    with pytest.raises(CheckpointError, match=r"page\.pyth cannot be used as a checkpoint: it is a web page"):
        kf.load("slow_nano", weights=path)
