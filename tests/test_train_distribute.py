"""Strategies, shares of a batch, and what Keras breaks under them."""

import json
import warnings

import keras
import numpy as np
import prove_distribution
import pytest
import tensorflow as tf
import train_records
from fresh_python import run_python

from kerasfast.data.pipeline.training import training_clips
from kerasfast.models.row import Pathway
from kerasfast.models.variants import variant
from kerasfast.train import distribute

# One stage: quick to trace, and rounding stays small. Batch norm of deeper networks over 4 clips amplifies it: one
# replica of slowfast_nano that starts a rounding off is 3e-2 of the largest change away after four steps under `sync`,
# so a comparison there could not tell an error of that size from float32.
TINY = variant(
    "slow_nano",
    slow=Pathway((1,), 1, (3,), (None,)),
    stage_channels=(64,),
    spatial_strides=(1,),
    spatial_dilations=(1,),
)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return train_records.make(tmp_path_factory.mktemp("distribute"), "train", prove_distribution.VIDEOS)


def test_two_replicas_and_two_workers_train_as_one_does(records):
    """After four steps of two epochs, with a validation after each that ends with a part of a batch.

    float32 has a relative precision of 6e-8, and sums of a batch are made in another order; 1e-5 of the largest change
    leaves room for four steps.
    """
    table = prove_distribution.prove(TINY, records)
    assert set(table) == {"2 replicas", "2 workers"}
    for setup, policies in table.items():
        assert set(policies) == {"sync", "frozen"}
        for bn, found in policies.items():
            assert found["initial_weights"] == 0, (setup, bn)
            assert max(found["first_step"], found["weights"]) < 1e-5, (setup, bn, found)
            assert found["history"] < 1e-5, (setup, bn, found)


def test_the_comparison_sees_a_difference():
    one, other = (
        {
            "sync/before/w": np.full(3, start),
            "sync/first/w": np.array([0, 1, 4.0]),
            "sync/after/w": np.array([0, 2, last]),
            "sync/history/loss": np.array([loss]),
        }
        for start, last, loss in ((0.0, 1.0, 2.0), (1.0, 2.0, 3.0))
    )
    assert prove_distribution.differences(one, other, "sync") == {
        "initial_weights": 1.0,
        "first_step": 0.0,
        "weights": 0.5,
        "history": 0.5,
    }


EPOCHS_UNDER_TWO_REPLICAS = """
    import json, sys
    import keras
    import tensorflow as tf
    import train_records
    from kerasfast.data.pipeline.training import training_clips
    from kerasfast.train import distribute

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = distribute.make_strategy("mirrored")

    def means(worker=None):
        clips = training_clips(
            sys.argv[1], train_records.CLIP, 4, crop_size=64, short_side=(64, 72), seed=1, worker=worker
        )
        mean_of = lambda frames: tf.reduce_mean(tf.cast(frames, tf.float32), axis=(1, 2, 3, 4))[:, None]
        return clips.map(lambda frames, labels: (mean_of(frames), mean_of(frames)))

    clips = means()
    expected = [float(tf.reduce_mean([batch for batch, _ in clips])) for epoch in range(3)]

    def seen(mended):
        with strategy.scope():
            inputs = keras.Input((1,))
            model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
            targets = keras.metrics.MeanMetricWrapper(lambda targets, outputs: targets, name="targets")
            model.compile(loss="mse", optimizer="sgd", metrics=[targets], jit_compile=False)
        clips, steps = distribute.distribute_clips(strategy, means, 4)
        with distribute.no_batch_taken_ahead(model) if mended else distribute.scope(None):
            return model.fit(clips, steps_per_epoch=steps, epochs=3, shuffle=False, verbose=0).history["targets"]

    print(json.dumps([expected, seen(True), seen(False)]))
"""


def test_each_epoch_of_two_replicas_has_the_clips_of_that_epoch(records):
    path = f"{distribute.__file__.rpartition('/kerasfast/')[0]}:{prove_distribution.ROOT / 'tests'}"
    printed = run_python(EPOCHS_UNDER_TWO_REPLICAS, records, PYTHONPATH=path)
    expected, mended, plain = json.loads(printed.splitlines()[-1])
    np.testing.assert_allclose(mended, expected, rtol=1e-6)
    assert len(np.unique(np.round(expected, 4))) == 3
    # What the mend is for: Keras' look at a batch takes up epochs. If this fails, Keras does without by itself.
    assert abs(plain[0] - expected[0]) > 1e-4


@pytest.fixture
def one_replica():
    return tf.distribute.MirroredStrategy(["CPU:0"])


def compiled(strategy):
    with distribute.scope(strategy):
        inputs = keras.Input((2,))
        model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
        model.compile(loss="mse", optimizer="sgd")
    return model


def counted_passes():
    """A dataset, and a list that gets an entry for each pass over it."""
    passes = []

    def rows():
        passes.append(1)
        yield from np.ones((4, 2), "float32")

    rows = tf.data.Dataset.from_generator(rows, output_signature=tf.TensorSpec((2,)))
    return rows.map(lambda row: (row, row[:1])).batch(2).apply(tf.data.experimental.assert_cardinality(2)), passes


def test_no_batch_is_taken_ahead(one_replica):
    model = compiled(one_replica)
    data, passes = counted_passes()
    with distribute.no_batch_taken_ahead(model):
        model.fit(data, epochs=2, shuffle=False, verbose=0)
        model.evaluate(data, verbose=0)
    assert len(passes) == 3
    assert model.optimizer.built and "_maybe_symbolic_build" not in vars(model)
    model.evaluate(data, verbose=0)  # Keras as it is
    assert len(passes) == 5


def test_without_a_strategy_keras_is_left_alone():
    model = compiled(None)
    with distribute.no_batch_taken_ahead(model):
        assert "_maybe_symbolic_build" not in vars(model)


def test_another_keras_is_refused(one_replica, monkeypatch):
    model = compiled(one_replica)
    monkeypatch.setattr(type(model), "_maybe_symbolic_build", lambda self, epoch_iterator=None: None)
    message = r"Keras .* has no Model\._maybe_symbolic_build\(iterator, data_batch\)"
    with pytest.raises(RuntimeError, match=message), distribute.no_batch_taken_ahead(model):
        pass


def test_a_batch_that_replicas_cannot_share_is_refused(monkeypatch, one_replica):
    monkeypatch.setattr(distribute, "replicas_of", lambda strategy: 4)
    with pytest.raises(ValueError, match=r"multiple of the 4 replicas.*Received: batch_size=6\. Give 4\."):
        distribute.distribute_clips(one_replica, lambda worker: None, 6)
    with pytest.raises(ValueError, match=r"Received: batch_size=2\. Give 4\."):
        distribute.distribute_clips(one_replica, lambda worker: None, 2)


def test_without_a_strategy_the_dataset_is_that_of_one_process(records):
    asked = []

    def make(worker):
        asked.append(worker)
        return training_clips(records, TINY.clip, 4, crop_size=64, short_side=(64, 64), worker=worker)

    clips, steps = distribute.distribute_clips(None, make, 4)
    assert steps == int(clips.cardinality()) == 2
    assert asked == [None]


GOOD = {"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 1}}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, r"no TF_CONFIG in the environment"),
        ("", r"no TF_CONFIG in the environment"),
        ("{'cluster': 1}", r"Expecting property name"),
        ("[]", r"no object"),
        ("{}", r"no workers in 'cluster'"),
        (json.dumps({**GOOD, "cluster": {"worker": []}}), r"no workers in 'cluster'"),
        (json.dumps({**GOOD, "cluster": {"worker": "a:1"}}), r"'worker' is no list of host:port"),
        (json.dumps({**GOOD, "cluster": {"worker": ["a"]}}), r"'worker' is no list of host:port"),
        (json.dumps({**GOOD, "cluster": {"worker": ["a:1"], "ps": ["b:2"]}}), r"tasks \['ps'\]"),
        (json.dumps({"cluster": GOOD["cluster"]}), r"no 'type' and 'index' in 'task'"),
        (json.dumps({**GOOD, "task": {"type": "worker"}}), r"no 'type' and 'index' in 'task'"),
        (json.dumps({**GOOD, "task": {"type": "chief", "index": 0}}), r"task type 'chief' is not in the cluster"),
        (json.dumps({**GOOD, "task": {"type": "worker", "index": 2}}), r"task index 2 is not in 0 \.\. 1"),
        (json.dumps({**GOOD, "task": {"type": "worker", "index": "0"}}), r"task index '0' is not in 0 \.\. 1"),
    ],
)
def test_a_wrong_tf_config_is_refused_in_a_sentence(text, problem, monkeypatch):
    if text is None:
        monkeypatch.delenv("TF_CONFIG", raising=False)
    else:
        monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match=rf"TF_CONFIG must be JSON like .*Received: .*{problem}"):
        distribute.make_strategy("multi_worker")


def test_strategies_by_name(one_replica):
    assert distribute.make_strategy("none") is None
    mirrored = distribute.make_strategy("mirrored")
    assert mirrored.num_replicas_in_sync == len(tf.config.list_logical_devices("GPU") or [1])
    with pytest.raises(ValueError, match=r"one of 'none', 'mirrored', 'multi_worker'. Received: 'tpu'"):
        distribute.make_strategy("tpu")
    assert distribute.replicas_of(None) == 1 and distribute.replicas_of(one_replica) == 1


class Cluster:
    """Stands for a strategy of several workers."""

    def __init__(self, jobs, task_type, task_id):
        self.cluster_resolver = self
        self.jobs, self.task_type, self.task_id = jobs, task_type, task_id

    def cluster_spec(self):
        return tf.train.ClusterSpec(self.jobs)


WORKERS = {"worker": ["a:1", "b:2"]}
WITH_CHIEF = {"chief": ["c:3"], **WORKERS}


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (None, True),
        (Cluster(WORKERS, "worker", 0), True),
        (Cluster(WORKERS, "worker", 1), False),
        (Cluster(WITH_CHIEF, "chief", 0), True),
        (Cluster(WITH_CHIEF, "worker", 0), False),
    ],
)
def test_only_the_chief_writes_to_the_folder(strategy, expected, tmp_path):
    assert distribute.is_chief(strategy) == expected
    with distribute.own_folder(strategy, tmp_path) as folder:
        assert (folder == tmp_path) == expected and folder.is_dir()
        (folder / "history.csv").touch()
    assert (tmp_path / "history.csv").exists() == expected
    assert folder.exists() == expected


def test_one_machine_is_its_own_chief(one_replica):
    assert distribute.is_chief(one_replica)


@pytest.mark.parametrize(
    ("bn", "batch_size", "replicas", "message"),
    [
        ("replica", 8, 2, r"\(bn='replica'\) .* over 4 clips, a batch of 8 on 2 replicas.*bn='sync' over all replicas"),
        ("replica", 4, 1, r"over 4 clips, a batch of 4 on 1 replicas; below 8.*larger batch, bn='frozen'.*PreciseBN"),
        ("sync", 4, 2, r"\(bn='sync'\) takes its statistics over 4 clips"),
        ("sync", 8, 4, None),
        ("replica", 16, 2, None),
        ("frozen", 1, 1, None),
    ],
)
def test_small_batches_warn(bn, batch_size, replicas, message):
    if message:
        with pytest.warns(UserWarning, match=message):
            distribute.warn_of_small_batches(bn, batch_size, replicas)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        distribute.warn_of_small_batches(bn, batch_size, replicas)
