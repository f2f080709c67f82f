"""The cache: published checkpoints, ported once and kept as `.weights.h5`.

A folder holds for each zoo entry the weights, a `.json` that says where they come from and what their SHA-256 is, and a
`.lock`. The checkpoint itself is deleted once it is ported: with the state of its optimizer it is twice as large as the
weights or more, and whoever wants to keep it can fetch it and pass its path to `kerasfast.load`.
"""

from __future__ import annotations

import json
import logging
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import keras

import kerasfast
from kerasfast.checkpoints import CheckpointError
from kerasfast.data.files import file_sha256
from kerasfast.download import DownloadError, download
from kerasfast.porting import Build, check_published, port
from kerasfast.zoo_index import Source

FORMAT = 1  # of what is cached; to be raised when a new version of kerasfast ports a checkpoint differently


class CacheError(OSError):
    """The cache folder cannot be used; the message names it and says how to choose another."""


def cache_folder() -> Path:
    """The folder of ported weights, which need not exist.

    It lies in `KERASFAST_HOME`, or else in `kerasfast` of `XDG_CACHE_HOME` or `~/.cache`.

    Raises:
        CacheError: None of these is set and the home folder is not known.
    """
    try:
        if home := os.environ.get("KERASFAST_HOME"):
            return Path(home).expanduser().absolute() / "weights"
        base = Path(os.environ.get("XDG_CACHE_HOME", ""))
        # The XDG rules say that a relative path counts as none.
        return (base if base.is_absolute() else Path.home() / ".cache") / "kerasfast" / "weights"
    except RuntimeError as error:
        raise CacheError(
            f"There is no place for a cache ({error}). Set the environment variable KERASFAST_HOME to a folder."
        ) from error


def fetched(name: str, source: Source, build: Build) -> Path:
    """The `.weights.h5` of a published checkpoint: from the cache, or fetched, checked and ported into it.

    Processes that ask for one entry at the same time take turns; the later ones find it done. Weights in the cache that
    were damaged are made again, with a warning.

    Args:
        name: Name of the zoo entry.
        source: Its published checkpoint.
        build: Builds the network that the checkpoint fills completely.

    Raises:
        DownloadError: The checkpoint cannot be fetched.
        CheckpointError: What came is not that checkpoint; it is deleted.
        CacheError: The cache folder cannot be written.
    """
    entry = _Entry(cache_folder(), name, source)
    if entry.state() == "ready":
        entry.discard_checkpoint()
        return entry.weights
    with entry.locked():
        state = entry.state()  # another process may have made them meanwhile
        if state == "damaged":
            warnings.warn(f"The weights of {name} in {entry.folder} are damaged and are made again.", stacklevel=5)
        if state != "ready":
            entry.make(build)
        entry.discard_checkpoint()
    return entry.weights


def add(name: str, source: Source, build: Build, checkpoint: Path) -> Path:
    """Put a local copy of a published checkpoint into the cache, as `fetched` does with one from the network.

    Args:
        name: Name of the zoo entry.
        source: Its published checkpoint.
        build: Builds the network that the checkpoint fills completely.
        checkpoint: The copy; it stays.

    Returns:
        Path of the `.weights.h5`.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: The file is not that checkpoint.
        ValueError: It does not fit the network.
        CacheError: The cache folder cannot be written.
    """
    if not checkpoint.is_file():
        raise FileNotFoundError(f"There is no checkpoint {checkpoint}. Give the path of the file that {name} is from.")
    check_published(checkpoint, source, name)
    entry = _Entry(cache_folder(), name, source)
    with entry.locked():
        entry.port(checkpoint, build)
    return entry.weights


class _Entry:
    """The files of one zoo entry in the cache.

    Args:
        folder: The cache folder.
        name: Name of the zoo entry.
        source: Its published checkpoint.
    """

    def __init__(self, folder: Path, name: str, source: Source) -> None:
        self.folder = folder
        self.name = name
        self.source = source
        self.weights = folder / f"{name}.weights.h5"
        self.card = folder / f"{name}.json"
        self.file = source.url.rpartition("/")[2]
        self.checkpoint = folder / f"{name}.{re.sub('[^A-Za-z0-9._-]', '_', self.file)}"

    def state(self) -> str:
        """`ready`; `damaged` where the weights are not those that were written; else `absent`."""
        try:
            card = json.loads(self.card.read_text("utf-8"))
            current = card["format"] == FORMAT and card["source"]["url"] == self.source.url
            current = current and card["source"]["sha256"].startswith(self.source.sha256.lower())
            if not current or not self.weights.exists():
                return "absent"
            return "ready" if file_sha256(self.weights) == card["sha256"] else "damaged"
        except FileNotFoundError:
            return "absent"
        except (ValueError, KeyError, TypeError, AttributeError):  # of the card
            return "damaged"
        except OSError as error:
            raise _unusable(self.folder, error) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes away from this entry; what cannot be written inside is a `CacheError`."""
        from filelock import FileLock, Timeout

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            # The operating system holds the lock, so that it ends with the process, however that ends.
            lock = FileLock(self.folder / f"{self.name}.lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                logging.getLogger(__name__).warning("Waiting for another process that makes %s.", self.weights)
                lock.acquire()
            try:
                yield
            finally:
                lock.release()
        except (DownloadError, CacheError):
            raise
        except OSError as error:
            raise _unusable(self.folder, error) from error

    def make(self, build: Build) -> None:
        """Fetch, check and port; a checkpoint that does not serve is deleted, so that the next call starts anew."""
        advice = f'Fetch it elsewhere and pass it: kerasfast.load("{self.name}", weights="path/to/{self.file}").'
        try:
            if not self._left_over():
                download(
                    self.source.url,
                    self.checkpoint,
                    check=lambda part: check_published(part, self.source, self.name, title=self.file),
                    size=self.source.bytes,
                    title=self.name,
                    progress=bool(keras.config.is_interactive_logging_enabled()),
                    advice=advice,
                )
            self.port(self.checkpoint, build)
        except ValueError as error:
            self.checkpoint.unlink(missing_ok=True)
            raise CheckpointError(f"{error} It came from {self.source.url} and was deleted. {advice}") from error

    def discard_checkpoint(self) -> None:
        """Delete the checkpoint of ported weights, also where the process that ported them was killed before that."""
        with suppress(PermissionError):  # a folder that cannot be written serves all the same
            self.checkpoint.unlink(missing_ok=True)

    def _left_over(self) -> bool:
        """Whether a process that ended while it ported has left the checkpoint."""
        if not self.checkpoint.exists():
            return False
        try:
            check_published(self.checkpoint, self.source, self.name)
        except CheckpointError:
            return False  # a download replaces it
        return True

    def port(self, checkpoint: Path, build: Build) -> None:
        """Write weights and card."""
        self.card.unlink(missing_ok=True)  # weights without it are not ready, whenever the process ends
        port(checkpoint, self.weights, build, source=self.name)
        card = {
            "format": FORMAT,
            "kerasfast": kerasfast.__version__,
            "sha256": file_sha256(self.weights),
            "source": {"url": self.source.url, "sha256": file_sha256(checkpoint), "bytes": checkpoint.stat().st_size},
        }
        partial = self.card.with_name(f"{self.card.name}.partial")
        with partial.open("w", encoding="utf-8") as file:
            file.write(json.dumps(card, indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.card)


def _unusable(folder: Path, error: OSError) -> CacheError:
    # HDF5 gives a number, and a text of three lines in place of the usual one.
    reason = os.strerror(error.errno) if error.errno else error
    return CacheError(
        f"The cache folder {folder} cannot be used ({reason}). Set the environment variable "
        "KERASFAST_HOME to a folder that can be written, on a disk with room."
    )
