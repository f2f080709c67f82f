"""Videos as arguments of a command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kerasfast.cli.console import err
from kerasfast.data.errors import DataError
from kerasfast.data.words import shown
from kerasfast.explain.sources import Source, each_once, find_sources


def find(videos: Sequence[str]) -> tuple[list[Source], list[str]]:
    """The videos of all arguments, and why some arguments name none."""
    found: list[Source] = []
    failures = []
    for video in videos:
        # A number is a camera, unless there is such a file.
        one = int(video) if video.isascii() and video.isdigit() and not Path(video).exists() else video
        try:
            found += find_sources(one)
        except DataError as error:
            failures.append(str(error))
    return each_once(found), failures


def say_failures(failures: Sequence[str], done: int) -> None:
    """Why some videos failed, if any did, beside those that are done."""
    if failures:
        err.print(f"{len(failures)} of {done + len(failures)} failed:", style="red")
    for failure in failures:
        err.print(shown(failure), style="red", markup=False, soft_wrap=True)
