"""Files in stores, such as `gs://` and `s3://`, through the file systems of Apache Beam: records and videos."""

from __future__ import annotations

import glob
import posixpath
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems

from kerasfast.data.errors import DataError
from kerasfast.data.records.output import OutputFolder
from kerasfast.data.records.plan import Source

# By default Beam unpacks what is named like an archive.
_AS_IT_IS = {"compression_type": CompressionTypes.UNCOMPRESSED}


class StoreFolder(OutputFolder):
    """A folder in a store that Beam has a file system for: `gs://`, `s3://`, `hdfs://` and others.

    Args:
        root: Its address.

    Raises:
        ValueError: Beam has no such file system, as it is installed, or the address holds a wildcard.
    """

    def __init__(self, root: str) -> None:
        if glob.has_magic(root):
            raise ValueError(f"An address of records must be without '*', '?' and '['. Received: {root!r}.")
        self.root, self._shared = root.rstrip("/"), True
        FileSystems.get_filesystem(root)

    @property
    def is_remote(self) -> bool:
        """Whether each look costs a request."""
        return True

    def inner(self, name: str) -> StoreFolder:
        """A folder in this one."""
        return StoreFolder(self.path(name))

    def path(self, name: str) -> str:
        """Address of a file."""
        return f"{self.root}/{name}"

    def exists(self) -> bool:
        """Whether there is such a folder; most stores have no folders, but names that begin so."""
        return FileSystems.exists(self.root) or (not self._has_folders() and bool(self.names("*")))

    def make(self) -> None:
        """Makes the folder if it is missing, where there are such."""
        if self._has_folders() and not FileSystems.exists(self.root):
            FileSystems.mkdirs(self.root)

    def size(self, name: str) -> int | None:
        """Bytes of a file; None if there is none."""
        path = self.path(name)
        return FileSystems.match([path])[0].metadata_list[0].size_in_bytes if FileSystems.exists(path) else None

    def sizes(self, pattern: str) -> dict[str, int]:
        """Bytes of the files whose names fit a pattern."""
        if self._has_folders() and not FileSystems.exists(self.root):
            return {}
        (found,) = FileSystems.match([self.path(pattern)])
        return {posixpath.basename(file.path): file.size_in_bytes for file in found.metadata_list}

    def names(self, pattern: str) -> list[str]:
        """Names of the files that fit a pattern, sorted."""
        return sorted(self.sizes(pattern))

    def open(self, name: str) -> IO[bytes]:
        """A file to read bytes from."""
        return FileSystems.open(self.path(name), **_AS_IT_IS)

    def read(self, name: str) -> str | None:
        """The text of a file; None if there is none."""
        if not FileSystems.exists(self.path(name)):
            return None
        with self.open(name) as file:
            return file.read().decode("utf-8")

    def write(self, name: str, text: str) -> None:
        """Writes a text file."""
        self._put(name, lambda target: target.write(text.encode("utf-8")))

    def take(self, file: Path, name: str) -> None:
        """Moves a whole file of this machine here."""
        with file.open("rb") as source:
            self._put(name, lambda target: shutil.copyfileobj(source, target, 1 << 20))
        file.unlink()

    def remove(self, names: Iterable[str]) -> None:
        """Deletes files."""
        if paths := [self.path(name) for name in names]:
            FileSystems.delete(paths)

    def delete(self) -> None:
        """Deletes the folder with what is in it, if it is there."""
        if not self._has_folders():
            self.remove(self.names("*"))
        elif FileSystems.exists(self.root):
            FileSystems.delete([self.root])

    def _has_folders(self) -> bool:
        return FileSystems.get_filesystem(self.root).has_dirs()

    def _put(self, name: str, fill: Callable[[IO[bytes]], object]) -> None:
        # A store shows a file whose writer failed, because closing ends it: hence the other name.
        path, partial = self.path(name), self.path(self.partial(name))
        try:
            with FileSystems.create(partial, **_AS_IT_IS) as target:
                fill(target)
            try:
                FileSystems.rename([partial], [path])
            except BeamIOError:
                if not FileSystems.exists(path):
                    raise
                FileSystems.delete([path])  # HDFS does not rename onto a file that is there
                FileSystems.rename([partial], [path])
        except BaseException:
            if FileSystems.exists(partial):
                FileSystems.delete([partial])
            raise


@contextmanager
def fetch(source: Source, work: Path, base: Path) -> Iterator[Source]:
    """A video with its file on this machine for a while; errors name it as it was given.

    Args:
        source: The video.
        work: Folder for a file that lies in a store.
        base: Folder that a path is relative to.

    Raises:
        DataError: The store has no such file.
        OSError: The store cannot be reached.
    """
    with tempfile.TemporaryDirectory(dir=work) as folder:
        if isinstance(source.path, str):
            path = Path(folder) / posixpath.basename(source.path)
            if not FileSystems.exists(source.path):
                raise DataError(f"{source.path}: no such file. Upload the video, or leave it out.")
            with FileSystems.open(source.path, **_AS_IT_IS) as stored, path.open("wb") as file:
                shutil.copyfileobj(stored, file, 1 << 20)
        else:
            path = base / source.path
        try:
            yield replace(source, path=path)
        except DataError as error:
            raise type(error)(str(error).replace(str(path), str(source.path))) from error


def stored_bytes(addresses: Sequence[str]) -> Mapping[str, int | None]:
    """Sizes of files, None for one that is missing, by a listing of each folder that they lie in."""
    folders = sorted({posixpath.dirname(address) for address in addresses})
    # A pattern cannot quote a wildcard; '?' fits it too, and what else fits is not asked for.
    patterns = [re.sub(r"[*?[]", "?", folder) + "/*" for folder in folders]
    listed = (file for found in FileSystems.match(patterns) for file in found.metadata_list)
    sizes: dict[str, int] = {file.path: file.size_in_bytes for file in listed}
    return {address: sizes.get(address) for address in addresses}
