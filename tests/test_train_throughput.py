"""A real training step against real records; rates are only compared where one side is made slow."""

import time

import numpy as np
import pytest
import tensorflow as tf

import kerasfast as kf
from kerasfast.data.errors import DataError
from kerasfast.data.pipeline import training as pipeline
from kerasfast.data.records.read import read_manifest
from kerasfast.train.throughput import measure_throughput


@pytest.fixture
def model(records_folder, tiny_clip):
    sizes = read_manifest(records_folder, "train").labels.sizes
    return kf.load("slow_nano", weights=False, heads=sizes, clip=tiny_clip)


def test_rates_of_a_real_model(model, records_folder):
    before = [value.copy() for value in model.get_weights()]
    found = measure_throughput(model, records_folder, batch_size=2, seconds=0.2)
    assert min(found.input_per_second, found.model_per_second, found.together_per_second) > 0
    assert (found.model, found.batch_size, found.crop_size) == ("slow_nano", 2, 64)
    assert (found.stored_short_side, found.stored_stride, found.clip_stride) == (48, 2, 2)
    assert found.cores >= 1
    for value, kept in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, kept)


@pytest.fixture
def endless(monkeypatch):
    """Training clips without an end, for a pass over a few tiny videos takes most of its time to begin.

    The function that it gives is put between the clips and what reads them.
    """
    clips = pipeline.training_clips
    late = []
    monkeypatch.setattr(
        pipeline,
        "training_clips",
        lambda *args, **options: clips(*args, **options).repeat().map(lambda *x: late[0](*x)),
    )
    return late.append


def test_a_slow_model_does_not_wait(model, records_folder, monkeypatch, endless):
    endless(lambda frames, labels: (frames, labels))
    model.compile("sgd", "binary_crossentropy")
    monkeypatch.setattr(model, "train_on_batch", lambda *batch: time.sleep(2.0))
    found = measure_throughput(model, records_folder, batch_size=1, seconds=0.2)
    assert found.model_per_second <= 0.5
    assert not found.input_bound


def test_a_slow_input_is_found(model, records_folder, monkeypatch, endless):
    def late(frames, labels):
        with tf.control_dependencies([tf.py_function(lambda: time.sleep(1.0), [], [])]):
            return tf.identity(frames), labels

    endless(late)
    model.compile("sgd", "binary_crossentropy")
    monkeypatch.setattr(model, "train_on_batch", lambda *batch: time.sleep(0.001))
    found = measure_throughput(model, records_folder, batch_size=1, seconds=0.2)
    assert found.input_bound
    assert found.verdict().startswith("Input-bound by ")


def test_records_that_do_not_fit(model, records_folder, tiny_clip):
    with pytest.raises(ValueError, match=r"batch_size must be in 1 \.\. 5"):
        measure_throughput(model, records_folder, batch_size=6, seconds=0.1)
    other = kf.load("slow_nano", weights=False, heads={"action": 4}, clip=tiny_clip)
    with pytest.raises(ValueError, match="Head 'action' of the model has 4 classes"):
        measure_throughput(other, records_folder, seconds=0.1)
    with pytest.raises(DataError, match=r"manifest-novel\.json"):
        measure_throughput(model, records_folder, split="novel", seconds=0.1)
