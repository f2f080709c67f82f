"""A folder that appears whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tensorflow as tf


def refuse_existing(path: Path) -> None:
    """Refuse a path at which there is something, be it a link to nowhere.

    Raises:
        ValueError: There is.
    """
    if os.path.lexists(path):
        raise ValueError(
            f"An export never replaces what is there. Received: path={str(path)!r}, which exists. Give a new path, "
            "such as the next version number, or remove it first."
        )


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to write into, which becomes `path` when the block ends and vanishes when it fails.

    Args:
        path: Nothing is there yet; parents that are missing are made, and vanish again with a failure.

    Raises:
        ValueError: `path` exists or cannot be made.
    """
    made = [parent for parent in path.parents if not parent.exists()]
    scratch = None
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Hidden and not a number, so that a server which watches the parent passes it by.
            scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        except OSError as error:
            raise ValueError(
                f"path must lie in a folder that can be written. Received: path={str(path)!r}; {error}."
            ) from error
        yield scratch / "model"
        refuse_existing(path)
        (scratch / "model").rename(path)
        made = []
    finally:
        if scratch is not None:
            shutil.rmtree(scratch)
        for parent in made:
            if parent.is_dir() and not any(parent.iterdir()):
                parent.rmdir()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Errors of files inside the block, Python's and TensorFlow's, as one `OSError` that says what they mean.

    Args:
        path: What the block is to make.

    Raises:
        OSError: The disk is full, or a file cannot be written.
    """
    try:
        yield
    # TensorFlow's file system has its own errors; those of a full disk come as ResourceExhausted, some as Unknown.
    except (OSError, tf.errors.OpError) as error:
        free = shutil.disk_usage(path.parent).free
        raise OSError(
            f"The export to {path} could not be written, and nothing was left there: {str(error).strip()}. "
            f"The disk has {free / 1e6:.1f} MB free; make room or give another path."
        ) from error
