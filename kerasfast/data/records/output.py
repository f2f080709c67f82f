"""The folder that a build writes, in which a file appears only once it is whole."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path

from kerasfast.data.files import write_text
from kerasfast.data.records.folder import RecordFolder, local_folder


class OutputFolder(RecordFolder):
    """A folder of this machine, or of a disk that several machines share.

    Args:
        root: Its path.
        shared: Whether several machines may write a file of the same name at the same time. The bytes that they write
            are equal then, the unfinished files must not be.

    Raises:
        DataError: An address in place of a path.
    """

    def __init__(self, root: str | Path, shared: bool = False) -> None:
        super().__init__(local_folder(root))
        self._shared = shared

    def inner(self, name: str) -> OutputFolder:
        """A folder in this one."""
        return OutputFolder(self.path(name), self._shared)

    def make(self) -> None:
        """Makes the folder if it is missing."""
        Path(self.root).mkdir(parents=True, exist_ok=True)

    def sizes(self, pattern: str) -> dict[str, int]:
        """Bytes of the files whose names fit a pattern."""
        return {name: size for name in self.names(pattern) if (size := self.size(name)) is not None}

    def read(self, name: str) -> str | None:
        """The text of a file; None if there is none."""
        path = Path(self.path(name))
        return path.read_text(encoding="utf-8") if path.exists() else None

    def write(self, name: str, text: str) -> None:
        """Writes a text file."""
        write_text(Path(self.path(name)), text, self.partial(name))

    def take(self, file: Path, name: str) -> None:
        """Moves a whole file here; it may lie on another disk."""
        partial = Path(self.path(self.partial(name)))
        try:
            if file != partial:
                shutil.move(file, partial)
            partial.replace(self.path(name))
        finally:
            partial.unlink(missing_ok=True)

    def remove(self, names: Iterable[str]) -> None:
        """Deletes files."""
        for name in names:
            Path(self.path(name)).unlink(missing_ok=True)

    def delete(self) -> None:
        """Deletes the folder with what is in it, if it is there."""
        if self.exists():
            shutil.rmtree(self.root)

    def partial(self, name: str) -> str:
        """Name that a file has until it is whole."""
        return f"{name}.{uuid.uuid4().hex}.partial" if self._shared else f"{name}.partial"
