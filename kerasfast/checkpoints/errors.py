"""The error of a checkpoint, and the way a cause travels to the place that knows the file's name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

FETCH_AGAIN = "fetch it again from where it was published"
DISTRUST = "do not use it, and fetch it again from where it was published"


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message is one sentence with the file, the cause and what to do."""


class Malformed(Exception):  # noqa: N818 - a cause on its way to becoming a CheckpointError
    """A cause without its file, raised inside this package only.

    Args:
        cause: What is wrong, as a clause.
        fix: What to do, as a clause.
    """

    def __init__(self, cause: str, fix: str = FETCH_AGAIN) -> None:
        super().__init__(cause, fix)
        self.cause = cause
        self.fix = fix


@contextmanager
def naming(source: Any) -> Iterator[None]:
    """Turn a cause raised inside into the `CheckpointError` of `source`, a path or a description."""
    try:
        yield
    except Malformed as error:
        raise CheckpointError(f"{source} cannot be used as a checkpoint: {error.cause}; {error.fix}.") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise CheckpointError(
            f"{source} cannot be used as a checkpoint: reading it failed ({reason}); check the disk and the path."
        ) from error


def quoted(value: Any) -> str:
    """A value from a file for a message: ASCII, on one line, and short whatever the file says."""
    text = value if isinstance(value, str) else type(value).__name__
    return ascii(text if len(text) <= 80 else text[:77] + "...")
