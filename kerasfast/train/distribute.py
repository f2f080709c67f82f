"""Training on several devices and in several processes with `tf.distribute`: strategies, shares of a batch, and mends.

Everything that a strategy is to share is built under `scope`, fed by `distribute_clips` and fitted within
`no_batch_taken_ahead`:

    strategy = make_strategy("mirrored")
    with scope(strategy):
        model = kerasfast.load("slowfast_r50_8x8", heads=kerasfast.CHARADES)
    clips, steps = distribute_clips(strategy, make_dataset, batch_size)
    with scope(strategy):
        model.compile(**recipe.compile_args(steps_per_epoch=steps))
    with no_batch_taken_ahead(model):
        model.fit(clips, steps_per_epoch=steps, epochs=epochs)

`Model.fit` divides the loss by the number of replicas and adds up their gradients. As every replica has as many clips
as the others, that is the gradient of the mean over the whole batch, so a step is that of one process.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

STRATEGIES = ("none", "mirrored", "multi_worker")
# Clips that batch norm takes its statistics over in the published recipes (Feichtenhofer et al. 2019, section 4); of
# fewer they are too noisy (Wu and He 2018, arXiv:1803.08494, figure 1).
BATCH_NORM_CLIPS = 8

_TF_CONFIG = (
    'TF_CONFIG must be JSON like {"cluster": {"worker": ["host0:port", "host1:port"]}, "task": {"type": "worker", '
    '"index": 0}}, the same cluster for every worker and its own index for each'
)


class Workers(tf.distribute.MultiWorkerMirroredStrategy):
    """`tf.distribute.MultiWorkerMirroredStrategy` that `Model.fit` works under.

    Keras asks it for the mean of every scalar metric along its first axis, which a scalar has not:
    `strategy.reduce("MEAN", v, axis=0)` in `reduce_per_replica` of keras/src/backend/tensorflow/trainer.py, Keras 3.8
    to 3.15. TensorFlow refuses that. Here it is the mean over the replicas; all other values are reduced as ever, and
    the day that Keras asks for `axis=None` nothing is changed any more.
    """

    def reduce(self, reduce_op: Any, value: Any, axis: int | None) -> Any:
        """As of `tf.distribute.Strategy`, and a scalar has no axes to reduce."""
        if axis is not None and self.experimental_local_results(value)[0].shape.rank == 0:
            axis = None
        return super().reduce(reduce_op, value, axis)


def make_strategy(name: str) -> tf.distribute.Strategy | None:
    """A strategy, to be made before TensorFlow computes anything.

    Args:
        name: "none" for one device; "mirrored" for all GPUs of this machine, or all logical CPU devices where there is
            no GPU; "multi_worker" for the processes that the variable TF_CONFIG of the environment lists, each with
            the devices of its machine. That waits until all of them have started.

    Returns:
        The strategy; None for "none".

    Raises:
        ValueError: An unknown name, or a TF_CONFIG that does not say who the workers are.
    """
    if name == "none":
        return None
    if name == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    if name == "multi_worker":
        _check_tf_config(os.environ.get("TF_CONFIG"))
        return Workers()
    raise ValueError(f"strategy must be one of {', '.join(map(repr, STRATEGIES))}. Received: {name!r}.")


def scope(strategy: tf.distribute.Strategy | None) -> contextlib.AbstractContextManager:
    """Where a model that a strategy trains is built and compiled."""
    return contextlib.nullcontext() if strategy is None else strategy.scope()


def replicas_of(strategy: tf.distribute.Strategy | None) -> int:
    """Copies of the model that train together, over all processes."""
    return 1 if strategy is None else strategy.num_replicas_in_sync


def is_chief(strategy: tf.distribute.Strategy | None) -> bool:
    """Whether this process is the one that writes files: the task "chief", or else the first worker."""
    resolver = getattr(strategy, "cluster_resolver", None)
    if resolver is None or resolver.task_type is None:
        return True
    jobs = resolver.cluster_spec().as_dict()
    return resolver.task_type == "chief" or ("chief" not in jobs and resolver.task_id == 0)


@contextlib.contextmanager
def own_folder(strategy: tf.distribute.Strategy | None, folder: str | Path) -> Iterator[Path]:
    """The folder that this process writes its run to: `folder` for the chief, a temporary one for other workers.

    They write the same files there, so that all of them take the same way, and lose them in the end.
    """
    if is_chief(strategy):
        yield Path(folder)
        return
    with tempfile.TemporaryDirectory(prefix="kerasfast-worker-", ignore_cleanup_errors=True) as temporary:
        yield Path(temporary)


def distribute_clips(
    strategy: tf.distribute.Strategy | None,
    make_dataset: Callable[[tuple[int, int] | None], tf.data.Dataset],
    batch_size: int,
) -> tuple[Any, int]:
    """Training clips of which each process reads and decodes its share only.

    A batch of all replicas together holds the very clips that it has in a single process.

    Args:
        strategy: A strategy, or None.
        make_dataset: Given `worker` of `kerasfast.data.training_clips`, the dataset of that worker's share of each
            batch; a pass is an epoch of whole batches, the next pass the next epoch. It knows its cardinality.
        batch_size: Clips of a batch of all replicas together.

    Returns:
        The clips, and the steps of an epoch. Without a strategy the clips are the dataset. With one they have no end,
        an epoch comes after the other: give both to one `Model.fit(steps_per_epoch=...)` within `no_batch_taken_ahead`.

    Raises:
        ValueError: The replicas cannot share a batch equally.
    """
    if strategy is None:
        clips = make_dataset(None)
        return clips, int(clips.cardinality())
    replicas = replicas_of(strategy)
    if batch_size % replicas:
        raise ValueError(
            f"batch_size must be a multiple of the {replicas} replicas, which share it equally. "
            f"Received: batch_size={batch_size}. Give {batch_size // replicas * replicas or replicas}."
        )

    steps: list[int] = []

    def share(context: tf.distribute.InputContext) -> tf.data.Dataset:
        workers = context.num_input_pipelines
        clips = make_dataset((context.input_pipeline_id, workers))
        steps.append(int(clips.cardinality()))
        if replicas > workers:
            clips = clips.rebatch(batch_size // replicas, drop_remainder=True)  # each replica takes a batch
        # Keras would take an epoch of R replicas in a process for R times as many steps as it has, and make an iterator
        # at the end of each that it does not use; one pass through all epochs leaves it nothing to count.
        return clips.repeat()

    distributed = strategy.distribute_datasets_from_function(share)
    return distributed, steps[0]


@contextlib.contextmanager
def no_batch_taken_ahead(model: Any) -> Iterator[None]:
    """Within it, `fit` and `evaluate` of a model under a strategy begin with the first batch of their data.

    Keras takes one batch to see shapes (`_maybe_symbolic_build` of keras/src/backend/tensorflow/trainer.py, Keras 3.8
    to 3.15), of several replicas it averages even the frames, and starts the data again. `training_clips` counts its
    passes, so that the first epoch would be its second. The shapes are known without: those of the model's inputs and
    outputs.

    Args:
        model: A compiled functional model whose targets have the structure and shapes of its outputs.

    Raises:
        RuntimeError: Keras looks at its data in another way than it did.
    """
    if not getattr(model, "_distribute_strategy", None):
        yield
        return
    build = getattr(model, "_maybe_symbolic_build", None)
    if build is None or not {"iterator", "data_batch"} <= set(inspect.signature(build).parameters):
        raise RuntimeError(
            f"Keras {keras.__version__} has no Model._maybe_symbolic_build(iterator, data_batch), so that the first "
            "epoch under a strategy may not be the first of the data. Train without a strategy, or with Keras 3.15."
        )
    batch = (model.input, model.output)
    model._maybe_symbolic_build = lambda iterator=None, data_batch=None: build(
        data_batch=batch if data_batch is None else data_batch
    )
    try:
        yield
    finally:
        del model._maybe_symbolic_build


def warn_of_small_batches(bn: str, batch_size: int, replicas: int = 1) -> None:
    """Warn where batch norm takes its statistics over fewer than 8 clips.

    Args:
        bn: Batch-norm policy: `replica` sees the clips of a replica, `sync` those of all, `frozen` none.
        batch_size: Clips of a batch of all replicas together.
        replicas: Copies of the model that train together.
    """
    clips = {"replica": batch_size // replicas, "sync": batch_size}.get(bn, BATCH_NORM_CLIPS)
    if clips >= BATCH_NORM_CLIPS:
        return
    sync = " bn='sync' over all replicas," if bn == "replica" and batch_size >= BATCH_NORM_CLIPS else ""
    warnings.warn(
        f"Batch norm (bn={bn!r}) takes its statistics over {clips} clips, a batch of {batch_size} on {replicas} "
        f"replicas; below {BATCH_NORM_CLIPS} they are noisy and moving statistics fit badly. Use a larger batch,{sync} "
        "bn='frozen' on pretrained weights, or PreciseBN (training.precise_bn_batches) before each validation.",
        stacklevel=2,
    )


def _check_tf_config(text: str | None) -> None:
    """TensorFlow itself takes what is missing for a cluster of one, and trains several models side by side."""
    if not text:
        raise ValueError(f"{_TF_CONFIG}. Received: no TF_CONFIG in the environment.")
    try:
        config = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{_TF_CONFIG}. Received: {text!r} ({error}).") from None
    problem = _problem_of(config)
    if problem:
        raise ValueError(f"{_TF_CONFIG}. Received: {text!r} ({problem}).")


def _problem_of(config: Any) -> str | None:
    """What is wrong with a cluster and a task, None if nothing is."""
    if not isinstance(config, dict):
        return "no object"
    cluster, task = config.get("cluster"), config.get("task")
    if not isinstance(cluster, dict) or not cluster.get("worker"):
        return "no workers in 'cluster'"
    if unknown := set(cluster) - {"chief", "worker"}:
        return f"tasks {sorted(unknown)}; this strategy has a chief and workers"
    for kind, hosts in cluster.items():
        if not isinstance(hosts, list) or not all(isinstance(host, str) and ":" in host for host in hosts):
            return f"{kind!r} is no list of host:port"
    if not isinstance(task, dict) or not {"type", "index"} <= set(task):
        return "no 'type' and 'index' in 'task'"
    kind, index = task["type"], task["index"]
    if kind not in cluster:
        return f"task type {kind!r} is not in the cluster"
    if not isinstance(index, int) or not 0 <= index < len(cluster[kind]):
        return f"task index {index!r} is not in 0 .. {len(cluster[kind]) - 1}"
    return None
