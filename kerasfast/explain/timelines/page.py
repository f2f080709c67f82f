"""A timeline as a page to watch: the player, a lane for each class with its score over time, and what adds up."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePath
from urllib.parse import SplitResult, quote, urlsplit

from kerasfast.data.files import write_text
from kerasfast.explain.pages.template import plain_text, render
from kerasfast.explain.timelines.page_data import page_data
from kerasfast.explain.timelines.timeline import Timeline

_STYLES = ("timeline.css",)
_SCRIPTS = ("timeline_data.js", "timeline_player.js", "timeline_view.js", "timeline_lane.js", "timeline_table.js")
_MAIN = "timeline.js"
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_HOST = re.compile(r"[A-Za-z0-9.-]+(:\d+)?|\[[0-9A-Fa-f:]+\](:\d+)?")


def write_page(timeline: Timeline, path: Path, *, video: Path | str | None = None, title: str | None = None) -> Path:
    """Writes the page of a timeline: one HTML file that needs no network and no other file but the video.

    Two hours of windows and 157 actions make a page of 1.9 MB, and none takes 3 MiB: lanes of classes that never
    score are left out, and so are lanes and segments of the lowest scores where not all fit; the page says so. The
    video is not copied into it: the page plays it from where it lies, seen from the page's folder, and asks for the
    file where it is not there.

    Args:
        timeline: What to show.
        path: File to write.
        video: The file that the player plays, or its `http` address, the one thing that the page then fetches and
            only when it is played; None for lanes alone.
        title: Heading of the page; the name of the source by default.

    Returns:
        `path`.

    Raises:
        ValueError: Scores, thresholds, decisions or times that do not fit together, or scores that are not finite.
    """
    path = Path(path)
    name = source_name(timeline.source)
    address, origins = _address(video, path.parent)
    data = page_data(timeline)
    page = render(
        "timeline.html",
        title=plain_text(title) if title else name or "Timeline",
        styles=_STYLES,
        scripts=(*_SCRIPTS, _MAIN),
        data=data,
        # `blob:` is a file that the reader of the page opens in it.
        media=("'self'", "file:", "blob:", *origins),
        timeline=timeline,
        has_thresholds=any(lane["threshold"] is not None for lane in data["lanes"]),
        source=name,
        address=address,
        remote=bool(origins),
        video_name=source_name(str(video)) if video is not None else None,
    )
    write_text(path, page)
    return path


def source_name(source: str) -> str:
    """The last part of a path or address, without what may be secret in it; "camera 0" for a camera's number."""
    if source.isdecimal():
        return f"camera {source}"
    if not _ADDRESS.match(source):
        return plain_text(PurePath(source).name or source)
    parts = _split(source)
    return plain_text(PurePath(parts.path).name or parts.hostname or parts.scheme)


def _split(address: str) -> SplitResult:
    try:
        return urlsplit(address)
    except ValueError:  # brackets that hold no address
        return urlsplit(address.translate({ord("["): None, ord("]"): None}))


def _address(video: Path | str | None, folder: Path) -> tuple[str | None, tuple[str, ...]]:
    """What the player's `src` says, and the origins that the policy has to let in for it."""
    if video is None:
        return None, ()
    if isinstance(video, str) and _ADDRESS.match(video):
        parts = _split(video)
        host = parts.netloc.rpartition("@")[2]  # a password has no place in a page
        if parts.scheme not in ("http", "https") or not _HOST.fullmatch(host):
            return None, ()  # a camera or a store: browsers play no such address
        address = quote(parts._replace(netloc=host).geturl(), safe=":/?#[]@!$&'()*+,;=%~")
        return address, (f"{parts.scheme}://{host}",)
    try:
        relative = os.path.relpath(Path(video).resolve(), folder.resolve())
    except ValueError:  # on another drive of Windows
        return Path(video).resolve().as_uri(), ()
    return quote(os.fsencode(relative.replace(os.sep, "/"))), ()
