"""What a recipe may ask of `Model.compile` on the devices at hand."""

from __future__ import annotations

from typing import Any

# Of `Model.compile`, for networks and steps too few for XLA to pay.
NO_XLA: dict[str, Any] = {"jit_compile": False}


def jit_compile() -> bool | str:
    """XLA is four times slower on a CPU (1.65 s instead of 0.36 s a view) and hangs under several replicas
    (keras issue 20763); elsewhere Keras decides.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return "auto"
    import tensorflow as tf

    several = tf.distribute.get_strategy().num_replicas_in_sync > 1
    return False if several or not tf.config.list_physical_devices("GPU") else "auto"


def check_replicas(clip_norm: float | None, dtype: str | None) -> None:
    """Refuse what Keras 3.15 does on each replica before the gradients are added up: it clips there, and it looks for
    overflows of float16 there.

    Raises:
        ValueError: The strategy of the scope has several replicas, and the recipe clips or computes in float16.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    if replicas > 1 and clip_norm is not None:
        raise ValueError(
            "Several replicas would clip each its own gradient, which is not that of the batch. "
            f"Received: optimizer.clip_norm={clip_norm} on {replicas} replicas. Leave it out, or train on one device."
        )
    if replicas > 1 and dtype == "mixed_float16":
        raise ValueError(
            "Several replicas would look for overflows of float16 each by itself. "
            f"Received: model.dtype='mixed_float16' on {replicas} replicas. Take 'mixed_bfloat16'."
        )


def check_accumulation(batches: int) -> None:
    """Refuse accumulation where TensorFlow would: Keras updates within a condition, and replicas that exchange
    gradients by a merge call (all but GPUs through NCCL) cannot do so there.

    Raises:
        ValueError: The strategy of the scope cannot accumulate.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    if not tf.__internal__.distribute.strategy_supports_no_merge_call():
        raise ValueError(
            "Gradients can be accumulated on one device without a strategy, or on GPUs that share them through NCCL. "
            f"Received: optimizer.accumulate={batches} under {type(tf.distribute.get_strategy()).__name__}. "
            "Set it to 1, or train on one device."
        )
