"""Stores that TensorFlow reads: `s3://` through tensorflow-io, `gs://` by itself. The latter is untested: TensorFlow
looks for it at Google alone, and no test of this package leaves the machine.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from kerasfast.data.errors import DataError

# Where nobody has said otherwise: 3 attempts at a request and 10 seconds for a connection. Amazon's library would go on
# for 50 seconds at each of several requests before it says that nobody listens, and wait 5 minutes for one who is
# silent. What is read of a file, tensorflow-io tries four times that often.
_PATIENCE = {"AWS_RETRY_MODE": "standard", "S3_CONNECT_TIMEOUT_MSEC": "10000"}
_SETTINGS = {
    "s3": "the settings are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_PROFILE), AWS_REGION and, for a store "
    "other than Amazon's, S3_ENDPOINT=https://HOST:PORT",
    "gs": "the credentials are those of `gcloud auth application-default login`, or of the file that "
    "GOOGLE_APPLICATION_CREDENTIALS names",
}


class Store:
    """Files by their addresses.

    Args:
        root: The folder that they are in, such as `s3://bucket/records`.

    Raises:
        DataError: TensorFlow as it is installed does not read such addresses, or this one names no bucket.
    """

    def __init__(self, root: str) -> None:
        self._scheme, _, rest = root.partition("://")
        self._root, self._bucket = root, rest.partition("/")[0]
        if not self._bucket:
            raise DataError(f"{root}: names no bucket. Give an address such as {self._scheme}://BUCKET/FOLDER.")
        self._tf = _tensorflow_with(self._scheme, root)

    def size(self, address: str) -> int | None:
        """Bytes of a file; None if there is none.

        Raises:
            DataError: The bucket cannot be read.
        """
        found = self._stat(address)
        return None if found is None or found.is_directory else found.length

    def exists(self) -> bool:
        """Whether there is a file in the folder.

        Raises:
            DataError: The bucket cannot be read.
        """
        return self._stat(f"{self._root}/") is not None

    def names(self) -> list[str]:
        """Names of the files and folders in the folder.

        Raises:
            DataError: The bucket cannot be read.
        """
        if not self.exists():
            return []
        with self._named(self._root):
            return [name.strip("/") for name in self._tf.io.gfile.listdir(f"{self._root}/")]

    @contextmanager
    def open(self, address: str) -> Iterator[IO[bytes]]:
        """A file to read bytes from.

        Raises:
            DataError: The file cannot be read, at its opening or later.
        """
        with self._named(address), self._tf.io.gfile.GFile(address, "rb") as file:
            yield file

    def _stat(self, address: str) -> Any:
        with self._named(address):
            try:
                return self._tf.io.gfile.stat(address)
            except self._tf.errors.NotFoundError:
                self._check_bucket()
        return None

    def _check_bucket(self) -> None:
        """Says why nothing is found: to whatever goes wrong, tensorflow-io answers "does not exist", except where it is
        asked for a bucket.
        """
        if self._scheme not in _SETTINGS:
            return
        with self._named(self._root):
            try:
                self._tf.io.gfile.stat(f"{self._scheme}://{self._bucket}/")
            except self._tf.errors.NotFoundError as error:
                raise DataError(
                    f"{self._root}: there is no bucket {self._bucket!r}{self._endpoint()}. Correct the address; "
                    f"{_SETTINGS[self._scheme]}."
                ) from error

    @contextmanager
    def _named(self, address: str) -> Iterator[None]:
        errors = self._tf.errors
        try:
            yield
        except errors.OpError as error:
            denied = isinstance(error, (errors.PermissionDeniedError, errors.UnauthenticatedError))
            what = "access is denied" if denied else "cannot be read"
            settings = _SETTINGS.get(self._scheme, "it must be an address that TensorFlow reads")
            said = " ".join(error.message.split())
            raise DataError(
                f"{address}: {what}{self._endpoint()} ({type(error).__name__}: {said}). "
                f"Check the network and the settings: {settings}."
            ) from error

    def _endpoint(self) -> str:
        endpoint = os.environ.get("S3_ENDPOINT") if self._scheme == "s3" else None
        return f" at S3_ENDPOINT={endpoint}" if endpoint else ""


def _tensorflow_with(scheme: str, root: str) -> Any:
    """TensorFlow, with the file system of these addresses in it."""
    import tensorflow as tf

    why = f"no file system for {scheme}://"
    if scheme == "s3":  # even where the caller has it already: what it lacks is set right
        why = _load_tensorflow_io() or why
    if scheme in tf.io.gfile.get_registered_schemes():
        return tf
    here = f"TensorFlow {tf.__version__} on Python {sys.version_info.major}.{sys.version_info.minor}"
    if scheme == "s3":
        raise DataError(
            f"{root}: {here} cannot read s3:// ({why}). It takes tensorflow-io, whose last release, 0.37.1, loads on "
            "TensorFlow 2.17 alone. In an environment of Python 3.10, 3.11 or 3.12, pip install 'kerasfast[io]' brings "
            f"both; or copy the records to this machine: aws s3 sync {root} FOLDER."
        )
    raise DataError(f"{root}: {here} cannot read {scheme}:// ({why}). Give a folder, or an address s3:// or gs://.")


def _load_tensorflow_io() -> str:
    """Loads what reads s3://; returns why it could not, if there was an error.

    On another TensorFlow than it was built for (undefined symbols), it warns and goes on without its file systems.
    """
    for name, value in _PATIENCE.items():
        os.environ.setdefault(name, value)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            importlib.import_module("tensorflow_io")
    except (ImportError, NotImplementedError) as error:
        return str(error)
    _skip_native_destructors()
    return " ".join(str(caught[0].message).split()) if caught else ""


@functools.cache
def _skip_native_destructors() -> None:
    """Lets the process end well after s3:// was read.

    tensorflow-io 0.37.1 aborts in the destructors of its global variables (https://github.com/tensorflow/io/issues/2039,
    mended but never released), so that a training that has ended well has the exit code 134. What C calls at the end,
    after Python's own end, begins with the last that was registered: from here on that is to write out what is
    buffered, then to leave with the exit code as it is.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "on_exit"):  # glibc; elsewhere the abort stays
        libc.on_exit(ctypes.cast(libc._exit, ctypes.c_void_p), None)
        libc.__cxa_atexit(ctypes.cast(libc.fflush, ctypes.c_void_p), None, None)
