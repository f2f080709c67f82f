"""Training of heads that see all clips of a video, on the features of a network that sees one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kerasfast.data.pipeline.reading import named_damage
from kerasfast.data.pipeline.testing import testing_views
from kerasfast.data.records.read import read_manifest
from kerasfast.models.clip_attention import ClipAttention
from kerasfast.train import losses
from kerasfast.train.optimizers import optim
from kerasfast.train.optimizers.compiling import NO_XLA

if TYPE_CHECKING:
    from kerasfast.models.classifier import VideoClassifier


def clip_features(
    model: VideoClassifier,
    records: str | Path,
    split: str,
    *,
    clips: int = 10,
    batch_size: int = 16,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Features of the clips of each video, from the centre of the frame.

    Args:
        model: The network; its endpoint `embedding` is taken where it has one, else `pooled`.
        records: Folder of `kerasfast records build`, or its address in a store (`s3://`).
        split: A split in the test layout. To train on it, build the training videos so too, under a name of its own.
        clips: Clips of a video, spread evenly over it.
        batch_size: Clips of a step.
        progress: Called after each step with the clips done and the clips in all.

    Returns:
        float32 `(videos, clips, channels)`, videos as in `kerasfast.data.video_labels`, clips in the order of time.

    Raises:
        DataError: The records are missing, damaged or do not fit the clip; names the file.
    """
    network = keras.Model(model.input, {"features": model.endpoints.get("embedding", model.endpoints["pooled"])})
    options = {"clips": clips, "batch_size": batch_size, "progress": progress}
    return clip_outputs(network, model, records, split, **options)["features"]


def clip_outputs(
    network: Any,
    model: VideoClassifier,
    records: str | Path,
    split: str,
    *,
    clips: int = 10,
    batch_size: int = 16,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, np.ndarray]:
    """What a network gives for each clip of each video; arguments and errors as in `clip_features`.

    Args:
        network: A model with a dict of outputs `(batch, channels)`: `model` itself, or one on its endpoints.
        model: The model that says which clips it sees.
        records: The records.
        split: A split in the test layout.
        clips: Clips of a video.
        batch_size: Clips of a step.
        progress: Called after each step.

    Returns:
        By output float32 `(videos, clips, channels)`.
    """
    videos, side = len(read_manifest(records, split).videos), model.variant.test_crop_size
    found = {name: np.zeros((videos, clips, output.shape[-1]), np.float32) for name, output in network.output.items()}
    views = testing_views(
        records, model.clip, clips, 1, crop_size=side, short_side=side, split=split, batch_size=batch_size
    )
    done = 0
    with named_damage(records, split):
        for frames, video, clip in views:
            for name, values in network.predict_on_batch(frames).items():
                found[name][np.asarray(video), np.asarray(clip)] = values
            done += len(video)
            if progress is not None:
                progress(done, videos * clips)
    return found


def fit_clip_attention(
    model: VideoClassifier,
    features: np.ndarray,
    labels: Mapping[str, np.ndarray],
    *,
    width: int = 256,
    attention_heads: int = 4,
    dropout: float = 0.2,
    epochs: int = 30,
    batch_size: int = 32,
    learning_rate: float = 1e-3,
    weight_decay: float = 1e-4,
    seed: int = 0,
    verbose: int = 0,
) -> ClipAttention:
    """Train attention over clips; the network itself stays as it is.

    Its own classifiers start as those of the network, so that training begins at the scores of many views.

    Args:
        model: The network that the features are of.
        features: What `clip_features` gave for the training videos, `(videos, clips, channels)`.
        labels: Targets by head, `(videos, classes)`, in the same order (`kerasfast.data.video_labels`).
        width: As for `ClipAttention`, as are `attention_heads` and `dropout`.
        attention_heads: Number of attention heads.
        dropout: Rate of dropout.
        epochs: Passes over the videos.
        batch_size: Videos of a step.
        learning_rate: Highest rate of AdamW, along half a period of a cosine.
        weight_decay: Of AdamW.
        seed: Of weights, dropout and order.
        verbose: As for `Model.fit`.

    Returns:
        The trained model: `predict(features)` gives scores for `kerasfast.evaluate(scores=...)`, `save("a.keras")` and
        `keras.saving.load_model` keep it.

    Raises:
        ValueError: Features or labels that do not fit the network or each other.
    """
    channels = model.endpoints.get("embedding", model.endpoints["pooled"]).shape[-1]
    if features.ndim != 3 or features.shape[-1] != channels or not len(features):
        raise ValueError(
            f"features must be (videos, clips, {channels}), as clip_features of this network gives them. "
            f"Received: shape {features.shape}."
        )
    for head, row in model.heads.items():
        shape = labels[head].shape if head in labels else None
        if shape != (len(features), row.classes):
            raise ValueError(
                f"labels[{head!r}] must be ({len(features)}, {row.classes}): a row for each video of the features. "
                f"Received: {'no such head' if shape is None else f'shape {shape}'}."
            )
    keras.utils.set_random_seed(seed)
    made = ClipAttention(
        features.shape[1], channels, model.heads, width=width, attention_heads=attention_heads, dropout=dropout
    )
    for layer in made.layers:
        if layer.name.startswith("head_"):
            layer.set_weights(model.get_layer(layer.name).get_weights())
    steps = -(-len(features) // batch_size) * epochs
    rate = optim.schedule("cosine", learning_rate, steps)
    made.compile(
        optimizer=optim.optimizer("adamw", rate, weight_decay=weight_decay),
        loss=losses.head_losses({head: row.activation for head, row in model.heads.items()}),
        **NO_XLA,
    )
    targets = {head: np.asarray(labels[head], np.float32) for head in model.heads}
    options: dict[str, Any] = {"batch_size": batch_size, "epochs": epochs, "verbose": verbose}
    made.fit(features, targets, **options)
    return made
