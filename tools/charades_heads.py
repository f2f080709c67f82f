"""Heads trained on the frozen features of a network, for the claims of tools/bench_charades.py about losses and heads.

Seven losses and two kinds of heads on three seeds are more trainings of whole networks than two cores do in an hour.
What a loss does to the balance of rare and frequent classes happens in the classifier above all (Kang et al. 2020,
arXiv:1910.09217), so the classifiers alone are trained here, from their random start, on the features of one network:
the transferred one of the same seed. Every one of them sees the same clips.
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
from charades_data import Miniature

from kerasfast.data.pipeline.training import training_clips
from kerasfast.models.classifier import VideoClassifier
from kerasfast.models.heads import Head, head_logits
from kerasfast.train.long_range import clip_outputs
from kerasfast.train.losses import class_counts, head_losses, loss_callbacks

CLIPS, BATCH = 10, 32
PASSES = 6  # random clips of each training video whose features are kept
EPOCHS, LEARNING_RATE, DROPOUT = 20, 0.003, 0.2
LOSSES = (
    "bce",
    "weighted_bce",
    "focal",
    "asymmetric",
    "class_balanced",
    "distribution_balanced",
    "partial_label_masking",
)


def features(model: VideoClassifier, data: Miniature, path: Path) -> dict[str, np.ndarray]:
    """Pooled features of random training clips with their targets, and of the test clips of `test` and `novel`.

    Args:
        model: The network.
        data: The records.
        path: `.npz` file that keeps them.

    Returns:
        `train` `(clips, channels)`, `target_<head>` `(clips, classes)`, `test` and `novel` `(videos, 10, channels)`.
    """
    if not path.is_file():
        pooled = keras.Model(model.input, {"pooled": model.endpoints["pooled"]})
        clips = training_clips(
            data.charades, model.clip, BATCH, crop_size=model.variant.crop_size, short_side=model.variant.short_side
        )
        rows = [(pooled.predict_on_batch(frames), targets) for _ in range(PASSES) for frames, targets in clips]
        arrays = {"train": np.concatenate([given["pooled"] for given, _ in rows])}
        for head in data.labels.heads:
            arrays[f"target_{head}"] = np.concatenate([targets[head] for _, targets in rows])
        for records, split in ((data.charades, "test"), (data.novel, "novel")):
            arrays[split] = clip_outputs(pooled, model, records, split, clips=CLIPS, batch_size=BATCH)["pooled"]
        save_arrays(path, arrays)
    return dict(np.load(path))


def save_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write an `.npz` file that is there whole or not at all."""
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, **arrays)
    partial.replace(path)


def train_heads(found: dict[str, np.ndarray], data: Miniature, loss: str, composed: bool, seed: int) -> keras.Model:
    """Heads on features, trained with a loss.

    Args:
        found: What `features` gave.
        data: The records.
        loss: A name of `LOSSES`.
        composed: Whether actions are composed of verbs and objects.
        seed: Of weights, dropout and order.
    """
    keras.utils.set_random_seed(seed)
    parts = data.labels.parts("action", ("verb", "object")) if composed else None
    heads = {head: Head(size, parts=parts if head == "action" else None) for head, size in data.labels.sizes.items()}
    inputs = keras.Input((found["train"].shape[-1],))
    logits = head_logits(keras.layers.Dropout(DROPOUT)(inputs), heads)
    outputs = {head: keras.layers.Activation("sigmoid", name=head)(logits[head]) for head in heads}
    model = keras.Model(inputs, outputs)
    steps = -(-len(found["train"]) // BATCH) * EPOCHS
    counts = class_counts(data.charades, "train")
    model.compile(
        optimizer=keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)),
        loss=head_losses(dict.fromkeys(heads, "sigmoid"), loss, counts=counts),
        jit_compile=False,
    )
    targets = {head: found[f"target_{head}"] for head in heads}
    model.fit(found["train"], targets, batch_size=BATCH, epochs=EPOCHS, callbacks=loss_callbacks(loss), verbose=0)
    return model


def scores_of(model: keras.Model, clips: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of clips `(videos, 10, channels)`: `(videos, 10, classes)` by head."""
    flat = model.predict(clips.reshape(-1, clips.shape[-1]), batch_size=1024, verbose=0)
    return {head: values.reshape(*clips.shape[:2], -1) for head, values in flat.items()}
