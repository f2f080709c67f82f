"""The folder that records are read from: on this machine, or in a store that TensorFlow reads, such as `s3://`."""

from __future__ import annotations

import fnmatch
import re
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

from kerasfast.data.errors import DataError
from kerasfast.data.records.store import Store

# What is left of s3:// once it was made a Path.
_SHORTENED = re.compile(r"(s3|gs):/(?!/)")


class RecordFolder:
    """Looks up and reads files by name.

    Args:
        root: A path, or an address such as `s3://bucket/records`, for which TensorFlow is loaded. `s3://` takes
            TensorFlow 2.17 with `kerasfast[io]`; `gs://` is in TensorFlow, but has never been tried here.

    Raises:
        DataError: The address is of a kind that TensorFlow does not read as it is installed; says what to install. Of
            an address, every method: its bucket is missing, denied or cannot be reached.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = _without_end(str(root)) if is_address(root) else str(Path(root))
        if _SHORTENED.match(self.root):
            raise DataError(
                f"{self.root}: an address was made a Path, which takes away a slash. Give it as text: "
                f"{self.root.replace(':/', '://', 1)!r}."
            )
        self._store = Store(self.root) if is_address(self.root) else None

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
        return self._store.exists() if self._store else Path(self.root).is_dir()

    def size(self, name: str) -> int | None:
        """Bytes of a file; None if there is none."""
        if self._store:
            return self._store.size(self.path(name))
        path = Path(self.root) / name
        return path.stat().st_size if path.exists() else None

    def open(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """A file to read bytes from."""
        return self._store.open(self.path(name)) if self._store else Path(self.path(name)).open("rb")

    def names(self, pattern: str) -> list[str]:
        """Names of the files that fit a pattern such as `manifest-*.json`, sorted; none if there is no such folder."""
        if self._store:
            found = self._store.names()
        else:
            found = [path.name for path in Path(self.root).iterdir()] if self.exists() else []
        return sorted(fnmatch.filter(found, pattern))


def is_address(root: str | Path) -> bool:
    """Whether this is the address of a store, such as `s3://bucket/records`, and no path."""
    return isinstance(root, str) and "://" in root


def _without_end(address: str) -> str:
    scheme, _, rest = address.partition("://")
    return f"{scheme}://{rest.rstrip('/')}"


def local_folder(root: str | Path) -> Path:
    """A folder that records are written to.

    Raises:
        DataError: It is an address.
    """
    if is_address(root) or _SHORTENED.match(str(root)):
        address = str(root) if is_address(root) else str(root).replace(":/", "://", 1)
        copy = "gcloud storage rsync -r" if address.startswith("gs://") else "aws s3 sync"
        raise DataError(
            f"{address}: records are built in a folder of this machine, but for `kerasfast records build --beam` and "
            f"kerasfast.data.build_records_on_beam. Build with these, or here and copy the folder: {copy} FOLDER "
            f"{address}."
        )
    return Path(root)
