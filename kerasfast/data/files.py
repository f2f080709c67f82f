"""Files that appear only once they are whole, and hashes of files. Standard library alone."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Writes JSON so that the file appears only once it is whole."""
    write_text(path, json.dumps(values, indent=1) + "\n")


def write_text(path: Path, text: str, partial_name: str | None = None) -> None:
    """Writes text so that the file appears only once it is whole; until then it has `partial_name` beside it."""
    partial = path.with_name(partial_name or path.name + ".partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Calls `write` with the path of a partial file beside `path`, and moves that there once it is whole."""
    partial = path.with_name(path.name + ".partial")
    try:
        write(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def file_sha256(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return stream_sha256(file)


def stream_sha256(file: IO[bytes]) -> str:
    """The sha256 of what is left of an open file, in hexadecimal."""
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()
