"""Measures a training step against the input that feeds it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerasfast.data.checks.throughput import Throughput, rate_of, repeated
from kerasfast.data.records.read import parse_manifest
from kerasfast.train.evaluate import check_heads
from kerasfast.train.optimizers.compiling import NO_XLA

if TYPE_CHECKING:
    from kerasfast.models.classifier import VideoClassifier


def measure_throughput(
    model: VideoClassifier,
    records: str | Path,
    *,
    batch_size: int = 8,
    split: str = "train",
    crop_size: int | None = None,
    short_side: tuple[int, int] | None = None,
    seconds: float = 10.0,
) -> Throughput:
    """Measures clips a second of `training_clips`, of the model's training step, and of both together.

    Records that fit into memory are read from there after the first pass; measure on the whole data set, or look at
    what its disk gives.

    Args:
        model: The model, trained for the time of the measurement; its weights are put back, its optimizer is not. One
            that is not compiled gets plain SGD.
        records: Folder of `kerasfast records build`, or its address in a store (`s3://`).
        batch_size: Clips a step.
        split: Split to read.
        crop_size: Side of the crops in pixels; by default the architecture's.
        short_side: Smallest and largest shorter side before the crop; by default the architecture's, at another crop in
            its share.
        seconds: Time for each of the three, after a first step that is not counted.

    Raises:
        ValueError: A batch of more clips than videos, or heads that the records do not have.
        DataError: Records that are missing, damaged, or of other clips.
    """
    import tensorflow as tf

    from kerasfast.data.pipeline.reading import named_damage
    from kerasfast.data.pipeline.training import training_clips

    manifest = parse_manifest(records, split)
    check_heads({name: head.classes for name, head in model.heads.items()}, manifest.labels.sizes, str(records))
    crop = crop_size or model.variant.crop_size
    low, high = short_side or (round(side * crop / model.variant.crop_size) for side in model.variant.short_side)
    clips = training_clips(records, model.clip, batch_size, crop_size=crop, short_side=(low, high), split=split)
    heads = list(model.heads)
    batches = clips.map(lambda frames, labels: (frames, {head: labels[head] for head in heads}))
    if not model.compiled:
        _compile(model)
    weights = model.get_weights()
    following = repeated(batches)

    def train(batch: Any) -> int:
        model.train_on_batch(*batch)
        return batch_size

    def read() -> int:
        following()
        return batch_size

    try:
        with named_damage(records, split):
            kept = following()
            rates = [rate_of(step, seconds) for step in (read, lambda: train(kept), lambda: train(following()))]
    finally:
        model.set_weights(weights)
    options = manifest.options
    return Throughput(
        *rates,
        model=model.name,
        batch_size=batch_size,
        seconds=seconds,
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        accelerator=bool(tf.config.list_physical_devices("GPU")),
        crop_size=crop,
        stored_short_side=options.short_side,
        wanted_short_side=high,
        stored_stride=options.stride,
        clip_stride=model.clip.stride,
    )


def _compile(model: VideoClassifier) -> None:
    import keras

    from kerasfast.train.losses import head_losses

    losses = head_losses({name: head.activation for name, head in model.heads.items()})
    model.compile(optimizer=keras.optimizers.SGD(1e-3, momentum=0.9), loss=losses, **NO_XLA)
