"""The Keras metric gives what the evaluation gives, on one replica and on several."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from fresh_python import run_python

from kerasfast.train.metrics import mean_average_precision
from kerasfast.train.scoring.keras_metric import MeanAveragePrecision


def problem(rows=37, classes=5, seed=0):
    """Labels, some rows without any, and scores with many ties."""
    generator = np.random.default_rng(seed)
    labels = (generator.random((rows, classes)) < 0.2).astype("float32")
    labels[::7] = 0
    scores = np.round(generator.random((rows, classes)) + 0.2 * labels, 1).astype("float32")
    return labels, scores


@pytest.mark.parametrize("rule", ["sklearn", "charades"])
def test_batches_of_any_size_give_the_value_of_all_rows(rule):
    labels, scores = problem()
    metric = MeanAveragePrecision(5, capacity=37, rule=rule)
    for rows in np.split(np.arange(37), [10, 11, 30]):
        metric.update_state(labels[rows], scores[rows])
    assert float(metric.result()) == np.float32(mean_average_precision(labels, scores, rule).map)
    metric.reset_state()
    metric.update_state(labels[:20], scores[:20])
    assert float(metric.result()) == np.float32(mean_average_precision(labels[:20], scores[:20], rule).map)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_inside_a_graph_rows_are_kept_and_the_value_waits(jit_compile):
    labels, scores = problem()
    metric = MeanAveragePrecision(5, capacity=40)

    @tf.function(jit_compile=jit_compile)
    def step(labels, scores):
        metric.update_state(labels, scores)
        return metric.result()

    assert np.isnan(step(labels[:20], scores[:20])) and np.isnan(step(labels[20:], scores[20:]))
    assert float(metric.result()) == np.float32(mean_average_precision(labels, scores).map)


def test_scores_that_say_nothing_do_not_stop_a_training():
    labels, scores = problem()
    for rule in ("sklearn", "charades"):
        metric = MeanAveragePrecision(5, capacity=37, rule=rule)
        assert np.isnan(metric.result())
        metric.update_state(labels, np.full_like(scores, 0.3))
        assert float(metric.result()) == pytest.approx(labels.mean(axis=0).mean())
    for bad_labels, bad_scores in ((labels, scores * np.nan), (labels * 0, scores)):
        metric.reset_state()
        metric.update_state(bad_labels, bad_scores)
        assert np.isnan(metric.result())


def test_more_rows_than_places_are_refused_and_not_dropped():
    labels, scores = problem()
    metric = MeanAveragePrecision(5, capacity=36, name="action_map")
    metric.update_state(labels, scores)
    with pytest.raises(ValueError, match=r"action_map has capacity=36 .* Received: 37 rows"):
        metric.result()


def test_unusable_arguments_are_refused():
    with pytest.raises(ValueError, match="rule one of"):
        MeanAveragePrecision(5, capacity=3, rule="official")
    with pytest.raises(ValueError, match=r"takes \(batch, 5\)\. Received: shape \(3, 4\)"):
        MeanAveragePrecision(5, capacity=3).update_state(np.zeros((3, 5)), np.zeros((3, 4)))
    with pytest.raises(ValueError, match="every row once"):
        MeanAveragePrecision(5, capacity=3).update_state(np.zeros((3, 5)), np.zeros((3, 5)), np.ones(3))


def test_the_config_makes_it_again():
    metric = MeanAveragePrecision(5, capacity=36, rule="charades", name="action_map")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert type(again) is MeanAveragePrecision and again.get_config() == metric.get_config()
    assert metric.get_config() == {
        "name": "action_map",
        "dtype": "float32",
        "classes": 5,
        "capacity": 36,
        "rule": "charades",
    }


REPLICAS = """
import json
import sys
import keras
import numpy as np
import tensorflow as tf
from kerasfast.train.scoring.keras_metric import MeanAveragePrecision

cpus = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpus[0], [tf.config.LogicalDeviceConfiguration()] * 2)
given = np.load(sys.argv[1])
labels, scores = given["labels"], given["scores"]

for strategy in (tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])):
    # The scores are the input, so that nothing but the metric can differ. The last batch has 5 rows: 3 and 2.
    with strategy.scope():
        model = keras.Sequential([keras.Input((5,)), keras.layers.Activation("linear")])
        metrics = [MeanAveragePrecision(5, 40, rule, name=rule) for rule in ("sklearn", "charades")]
        model.compile(loss="mse", metrics=metrics)
    data = tf.data.Dataset.from_tensor_slices((scores, labels)).batch(8)
    for _ in range(2):
        print(json.dumps([strategy.num_replicas_in_sync, model.evaluate(data, verbose=0, return_dict=True)]))
"""


def test_two_replicas_give_exactly_the_value_of_one(tmp_path):
    labels, scores = problem()
    np.savez(tmp_path / "given.npz", labels=labels, scores=scores)
    lines = run_python(REPLICAS, tmp_path / "given.npz", CUDA_VISIBLE_DEVICES="").splitlines()
    found = [json.loads(line) for line in lines if line.startswith("[")]
    assert [replicas for replicas, _ in found] == [1, 1, 2, 2]
    for rule in ("sklearn", "charades"):
        value = float(np.float32(mean_average_precision(labels, scores, rule).map))
        assert [values[rule] for _, values in found] == [value] * 4
