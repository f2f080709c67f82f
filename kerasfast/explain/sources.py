"""Which videos are meant: files, folders, patterns, addresses and cameras."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from kerasfast.data.annotations import VIDEO_SUFFIXES
from kerasfast.data.errors import DataError
from kerasfast.data.live_video import is_camera
from kerasfast.data.words import shown

Source = str | Path | int
OVERLAY_ENDING = ".overlay.mp4"  # of a video that predict or explain has drawn on
_WILD = re.compile(r"[*?\[]")


def find_sources(videos: Source | Iterable[Source]) -> list[Source]:
    """Every video that is meant, each once, in the order of the arguments.

    Args:
        videos: One or several of: a file of any name; a folder, of which all videos at any depth are taken by their
            path (hidden ones, and overlays that predict or explain has written, are left out); a pattern with `*`, `?`,
            `[...]` or `**`, of which videos and folders are taken, or whatever matches if the pattern has an ending of
            its own, as `*.h264`; an address with `://`; a camera, by number or as "/dev/video0".

    Returns:
        Paths, addresses as they were, and numbers of cameras.

    Raises:
        DataError: A file that is missing, a folder without videos, or a pattern that matches none.
        ValueError: Nothing was given, or something that is none of these.
    """
    given = [videos] if isinstance(videos, (str, Path, int)) else list(videos)
    if not given:
        raise ValueError("At least one video is needed: a file, folder, pattern, address or camera. Received: none.")
    return each_once(source for one in given for source in _sources_of(one))


def each_once(sources: Iterable[Source]) -> list[Source]:
    """Sources without those that came before, also under another name of the same folder."""
    found: dict[object, Source] = {}
    for source in sources:
        found.setdefault(source.absolute() if isinstance(source, Path) else source, source)
    return list(found.values())


def is_file(source: Source) -> bool:
    """Whether this can be read more than once: a plain file, and no pipe, address or camera."""
    return isinstance(source, Path) and source.is_file()


def title(source: Source) -> str:
    """The last part of a source: the name of a file, also of an address; of a camera `video0`."""
    if isinstance(source, str) and "://" in source:
        address = urlsplit(source)
        host = address.netloc.rpartition("@")[2]
        return shown(unquote(address.path).rstrip("/").rpartition("/")[2] or host or source)
    return shown(Path(shown(source)).name or str(source))


def _sources_of(one: Source) -> list[Source]:
    if isinstance(one, bool) or not isinstance(one, (str, Path, int)) or (isinstance(one, int) and one < 0):
        raise ValueError(
            "A video is a file, folder, pattern or address as text or Path, or the number of a camera from 0. "
            f"Received: {one!r}."
        )
    if isinstance(one, int):
        return [one]
    name = str(one)
    if not name or "\0" in name:
        raise ValueError(f"A video needs the name of a file. Received: {name!r}.")
    if isinstance(one, str) and "://" in one:
        return [one]
    path = Path(one)
    if path.is_dir():
        return _videos_in(path)
    if path.exists():
        return [name if is_camera(name) else path]
    if is_camera(name):
        return [name]  # FFmpeg says what is wrong with it
    if _WILD.search(name):
        return _matches(name)
    raise DataError(f"{shown(path)}: no such file. Check the path of the video.")


def _videos_in(folder: Path) -> list[Source]:
    found = _walk(folder)
    if not found:
        raise DataError(
            f"{shown(folder)}: holds no video. Expected files that end in {', '.join(VIDEO_SUFFIXES)}, at any depth."
        )
    return found


def _walk(folder: Path) -> list[Source]:
    found: list[Path] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(parent, name) for name in files if _is_video(name) and not name.endswith(OVERLAY_ENDING)]
    return [*sorted(found)]


def _matches(pattern: str) -> list[Source]:
    suffix = Path(pattern).suffix
    own = bool(suffix) and not _WILD.search(suffix)
    found: list[Source] = []
    for path in map(Path, sorted(glob.glob(pattern, recursive=True))):  # noqa: PTH207  (Path.glob takes no absolute one)
        if path.is_dir():
            found += _walk(path)
        elif path.name.endswith(OVERLAY_ENDING) and not pattern.endswith(OVERLAY_ENDING):
            continue
        elif own or _is_video(path.name):
            found.append(path)
    if not found:
        raise DataError(f"{shown(pattern)}: matches no video. Check the pattern, and the folder that it names.")
    return found


def _is_video(name: str) -> bool:
    return Path(name).suffix.lower() in VIDEO_SUFFIXES and not name.startswith(".")
