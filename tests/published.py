"""Checkpoint files of slowfast_nano as four libraries would have saved them, and zoo rows that publish them."""

import functools

import checkpoint_names
import keras
import numpy as np
from checkpoint_files import as_tensor, caffe2_array, python2_pickle, torch_legacy, torch_zip
from model_case import wake_up

import kerasfast as kf
from kerasfast._data_folders import zoo_dir
from kerasfast.registry import Entry, Source, index
from kerasfast.weights import canonical_weights
from kerasfast.zoo_index import family_overrides

NAME = "slowfast_nano.k400"
PATH = "/zoo/NANO.pyth"
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


def overrides(family):
    """Fields of the variant that a family's files need."""
    return family_overrides(zoo_dir(), family)


@functools.cache
def content():
    """The file of PyTorchVideo that `trained()` saves."""
    return FILES["pytorchvideo"](trained())


def expect_weights(loaded, model):
    """The loaded model has the weights of the other one, every one of them from the file."""
    assert loaded.load_report.new == loaded.load_report.skipped == ()
    expected = canonical_weights(model)
    for name, weight in canonical_weights(loaded).items():
        np.testing.assert_array_equal(np.asarray(weight.value), np.asarray(expected[name].value), err_msg=name)


@functools.cache
def trained(family="pytorchvideo"):
    """Stands for a trained slowfast_nano."""
    keras.utils.set_random_seed(0)
    return wake_up(kf.load("slowfast_nano", heads=KINETICS, **overrides(family)))


def index_with(url, family="pytorchvideo", **source):
    """The zoo's index, with a row whose weights are published at an address."""
    row = Entry(
        NAME,
        "slowfast_nano, published",
        overrides=overrides(family),
        heads={"action": {"classes": 7, "activation": "softmax"}},
        dataset="Kinetics-400",
        source=Source(url, family, **source),
    )
    return {**index(), NAME: row}


def names_in(folder):
    return {path.name for path in folder.iterdir()}


READY = {f"{NAME}.weights.h5", f"{NAME}.json", f"{NAME}.lock"}
