"""The folder that records are read from: on this machine, or in a store that TensorFlow reads, such as `s3://`."""

from __future__ import annotations

import fnmatch
import importlib
from pathlib import Path
from typing import IO, Any

from kerasfast.data.errors import DataError

_S3_ADVICE = (
    "TensorFlow reads s3:// through tensorflow-io, whose last release (0.37.1) loads on TensorFlow 2.17 alone: install "
    "'kerasfast[io]' in an environment of Python 3.10 or 3.11, or copy the folder here (aws s3 sync)"
)


class RecordFolder:
    """Looks up and reads files by name.

    Args:
        root: A path, or an address such as `s3://bucket/records`, for which TensorFlow is loaded.

    Raises:
        DataError: The address is of a kind that TensorFlow does not read as it is installed; says what to install.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = str(root).rstrip("/") if is_address(root) else str(Path(root))
        self._store = _store_of(self.root) if is_address(root) else None

    def __str__(self) -> str:
        return self.root

    @property
    def is_remote(self) -> bool:
        """Whether each look costs a request."""
        return self._store is not None

    def path(self, name: str) -> str:
        """Path or address of a file."""
        return f"{self.root}/{name}" if self._store else str(Path(self.root) / name)

    def exists(self) -> bool:
        """Whether there is such a folder; a store has no folders, but names that begin so."""
        return self._store.isdir(self.root) if self._store else Path(self.root).is_dir()

    def size(self, name: str) -> int | None:
        """Bytes of a file; None if there is none."""
        if self._store:
            return self._store.stat(self.path(name)).length if self._store.exists(self.path(name)) else None
        path = Path(self.root) / name
        return path.stat().st_size if path.exists() else None

    def open(self, name: str) -> IO[bytes]:
        """A file to read bytes from."""
        return self._store.GFile(self.path(name), "rb") if self._store else Path(self.path(name)).open("rb")

    def names(self, pattern: str) -> list[str]:
        """Names of the files that fit a pattern such as `manifest-*.json`, sorted."""
        if not self.exists():
            return []
        found = self._store.listdir(self.root) if self._store else [path.name for path in Path(self.root).iterdir()]
        return sorted(fnmatch.filter((name.strip("/") for name in found), pattern))


def is_address(root: str | Path) -> bool:
    """Whether this is the address of a store, such as `s3://bucket/records`, and no path."""
    return isinstance(root, str) and "://" in root


def _store_of(root: str) -> Any:
    """`tf.io.gfile`, with the file system of this address in it."""
    import tensorflow as tf

    scheme = root.partition("://")[0]
    if scheme == "s3":
        try:
            importlib.import_module("tensorflow_io")
        # It ends with NotImplementedError where its libraries do not fit TensorFlow.
        except (ImportError, NotImplementedError) as error:
            raise DataError(f"{root}: cannot be read ({error}). {_S3_ADVICE}.") from error
    try:
        tf.io.gfile.exists(root)
    except (tf.errors.UnimplementedError, NotImplementedError) as error:
        advice = _S3_ADVICE if scheme == "s3" else "Give a folder, s3:// or gs://"
        raise DataError(
            f"{root}: TensorFlow {tf.__version__} has no file system for {scheme}:// ({error}). {advice}."
        ) from error
    return tf.io.gfile
