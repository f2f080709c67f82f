"""Files that a command is going to write, looked at before hours of work go into them."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable
from pathlib import Path


def check_outputs(paths: Iterable[Path], force: bool) -> None:
    """Refuses files that cannot be written later, or that exist; leaves nothing behind.

    Args:
        paths: The files.
        force: Whether to write over files that exist.

    Raises:
        ValueError: A file exists, unless forced; a folder stands in its place; or its folder takes no files.
    """
    paths = list(paths)
    for path in paths:
        if path.is_dir():
            raise ValueError(f"{path} is a folder, and a file of that name is to be written. Give another --out DIR.")
        if not force and (path.exists() or path.is_symlink()):
            raise ValueError(f"{path} exists. Give another folder with --out DIR, or --force to write over it.")
    for folder in dict.fromkeys(path.parent for path in paths):
        _try(folder)


def _try(folder: Path) -> None:
    """Makes a folder and a file in it, for a moment: permissions and full disks show only so."""
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
    except OSError as error:
        raise ValueError(f"{folder} takes no files ({error.strerror}). Give another folder: --out DIR.") from error
    finally:
        for parent in made:
            with contextlib.suppress(OSError):
                parent.rmdir()
