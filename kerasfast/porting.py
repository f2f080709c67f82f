"""Checkpoints of other libraries, compared with what is published of them and written as `.weights.h5`."""

from __future__ import annotations

import gc
import os
import random
from collections.abc import Callable
from pathlib import Path

import keras

from kerasfast.checkpoints import CheckpointError, read, to_canonical
from kerasfast.data.files import file_sha256
from kerasfast.weights import LoadReport, build_filled
from kerasfast.zoo_index import Source, same_networks

Build = Callable[[], keras.Model]


def port(checkpoint: Path, out: Path, build: Build, *, source: str = "") -> LoadReport:
    """Turn a checkpoint of another library into a `.weights.h5` file.

    Args:
        checkpoint: A file of PyTorchVideo, PySlowFast, caffe2 or MMAction2. Of the state of its optimizer nothing is
            read.
        out: The file to write; it appears when it is complete.
        build: Builds the network that the checkpoint fills completely.
        source: Where the checkpoint comes from, for messages; its path by default.

    Raises:
        CheckpointError: It is no checkpoint, or damaged.
        ValueError: It does not fit the network.
        OSError: `out` cannot be written.
    """
    arrays = to_canonical(read(checkpoint))
    drawn = random.getstate()
    model, report = build_filled(build, arrays, source=source or str(checkpoint), new_heads=False)
    random.setstate(drawn)  # a seeded program draws the same numbers whether the cache had the weights or not
    partial = out.with_name(f"{out.name.removesuffix('.weights.h5')}.partial.weights.h5")
    try:
        model.save_weights(partial)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
        del model
        gc.collect()  # a functional model is full of cycles, and its memory is wanted for the next one
    return report


def check_published(checkpoint: Path, source: Source, name: str, *, title: str = "") -> None:
    """Compare a file with what is published about it.

    Args:
        checkpoint: The file.
        source: What is published.
        name: Name of the zoo entry, for messages.
        title: What messages call the file; its path by default.

    Raises:
        CheckpointError: It has another length or SHA-256, is no checkpoint, or of another library.
    """
    found = []
    size = checkpoint.stat().st_size
    if source.bytes is not None and size != source.bytes:
        found.append(f"it has {size:,} bytes where {source.bytes:,} are published")
    elif source.sha256 and not (digest := file_sha256(checkpoint)).startswith(source.sha256.lower()):
        found.append(f"its SHA-256 is {digest} where {source.sha256} is published")
    try:
        family = to_canonical(read(checkpoint)).family
        if not same_networks(family, source.family):
            found.append(f"it has the names of {family} where {source.family} is expected")
    except CheckpointError as error:
        found.append(str(error).removeprefix(f"{checkpoint} cannot be used as a checkpoint: ").removesuffix("."))
    if found:
        raise CheckpointError(f"{title or checkpoint} is not the published checkpoint of {name}: {'; '.join(found)}.")
