"""Heads trained on the frozen features of a network, for the claims of tools/bench_charades.py about losses and heads.

Seven losses and two kinds of heads on three seeds are more trainings of whole networks than two cores do in an hour.
What a loss does to the balance of rare and frequent classes happens in the classifier above all (Kang et al. 2020,
arXiv:1910.09217), so the classifiers alone are trained here, from their random start, on the features of one network:
the transferred one of the same seed. Every one of them sees the same clips.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from charades_data import Miniature

from kerasfast.data.pipeline.testing import testing_views
from kerasfast.data.pipeline.training import training_clips
from kerasfast.models.classifier import VideoClassifier
from kerasfast.models.heads import Head, build_heads
from kerasfast.train.losses import head_losses
from kerasfast.train.run import load_model

CLIPS = 10
PASSES = 8  # random clips of each training video whose features are kept
EPOCHS, BATCH, LEARNING_RATE = 30, 32, 0.003


def features(network: Path, data: Miniature, path: Path) -> dict[str, np.ndarray]:
    """Pooled features of random training clips with their targets, and of the test clips of `test` and `novel`.

    Args:
        network: Folder of the run.
        data: The records.
        path: `.npz` file that keeps them.

    Returns:
        `train` `(clips, channels)`, `target_<head>` `(clips, classes)`, `test` and `novel` `(videos, 10, channels)`.
    """
    if not path.is_file():
        model = load_model(network)
        pooled = keras.Model(model.inputs, model.endpoints["pooled"])
        clips = training_clips(
            data.charades, model.clip, BATCH, crop_size=model.variant.crop_size, short_side=model.variant.short_side
        )
        found, targets = [], []
        for _ in range(PASSES):
            for frames, target in clips:
                found.append(pooled.predict_on_batch(frames))
                targets.append(target)
        arrays = {"train": np.concatenate(found)}
        for head in targets[0]:
            arrays[f"target_{head}"] = np.concatenate([target[head] for target in targets])
        for records, split in ((data.charades, "test"), (data.novel, "novel")):
            arrays[split] = of_views(pooled, model, records, split)["pooled"]
        np.savez(path, **arrays)
    return dict(np.load(path))


def of_views(network: Any, model: VideoClassifier, records: Path, split: str) -> dict[str, np.ndarray]:
    """What a network gives for each of the ten test clips of each video: `(videos, 10, channels)` by output."""
    side = model.variant.test_crop_size
    batches: Iterable[Any] = testing_views(
        records, model.clip, CLIPS, 1, crop_size=side, short_side=side, split=split, batch_size=BATCH
    )
    rows = []
    for frames, _, _ in batches:  # videos in turn, clips in turn
        given = network.predict_on_batch(frames)
        rows.append(given if isinstance(given, dict) else {"pooled": given})
    joined = {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}
    return {key: values.reshape(-1, CLIPS, values.shape[-1]) for key, values in joined.items()}


def train_heads(
    found: dict[str, np.ndarray], heads: dict[str, Head], loss: str | None, counts: Any, seed: int
) -> keras.Model:
    """Heads on features, trained with a loss."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((found["train"].shape[-1],))
    x = keras.layers.Dropout(0.2)(inputs)
    model = keras.Model(inputs, build_heads(x, heads))
    steps = len(found["train"]) // BATCH * EPOCHS
    model.compile(
        optimizer=keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)),
        loss=head_losses(dict.fromkeys(heads, "sigmoid"), loss, counts=counts),
        jit_compile=False,
    )
    targets = {head: found[f"target_{head}"] for head in heads}
    model.fit(found["train"], targets, batch_size=BATCH, epochs=EPOCHS, verbose=0)
    return model
