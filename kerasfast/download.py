"""A published file to a local path: resumed after a cut, tried again a few times, checked before it gets its name."""

from __future__ import annotations

import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from email.message import Message
from pathlib import Path
from typing import Any, BinaryIO

import kerasfast

SCHEMES = ("https", "http", "file")
TIMEOUT_SECONDS = 30.0  # to connect, and between two portions of the file
WAIT_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0)  # before each repetition
MAX_BYTES = 4 << 30  # of a file whose size is not known; the largest that the zoo names has about an eighth of it
_PORTION = 1 << 20
_PASSING = (408, 425, 429)  # answers that may be others in a moment, as those from 500 up
_CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,15})-\d{1,15}|\*)/(?:(\d{1,15})|\*)")

# Bytes that are there, and all of them where their number is known.
Report = Callable[[int, "int | None"], None]


class DownloadError(OSError):
    """A file that could not be fetched; the message has its URL and what to do instead."""


class _Failure(Exception):  # noqa: N818 - a reason on its way to another attempt, or to becoming a DownloadError
    """An attempt that did not succeed.

    Args:
        reason: Why, as a clause.
        passing: Whether another attempt may succeed.
        connected: Whether the server was reached.
    """

    def __init__(self, reason: str, *, passing: bool = True, connected: bool = True) -> None:
        super().__init__(" ".join(reason.split()))
        self.passing = passing
        self.connected = connected


def download(
    url: str,
    path: Path,
    *,
    check: Callable[[Path], Any] | None = None,
    size: int | None = None,
    title: str = "",
    progress: bool = True,
    advice: str = "",
) -> None:
    """Fetch a file.

    It grows as `path` with `.part` behind its name. A part that a broken connection or a killed process left is
    resumed where the server can tell that the file is still the same (`Range` with `If-Range`), else fetched anew.
    Two processes must not fetch to one path at the same time.

    Args:
        url: An address with `https`, `http` or `file`. Redirections are followed, but not from https to another.
        path: Where the file will be, in a folder that exists.
        check: Called with the path of the whole part before it is renamed. The part is deleted if it raises
            `ValueError`.
        size: Bytes that the file should have, if they are known; no more are taken.
        title: What the progress bar says.
        progress: Whether to show a progress bar on standard error, if that is a terminal.
        advice: What else the user can do, as the last sentence of an error.

    Raises:
        DownloadError: It cannot be fetched: no connection, not there, or cut too often.
        OSError: It cannot be written, as on a full disk.
    """
    part = path.with_name(f"{path.name}.part")
    with _progress_bar(title or path.name, shown=progress) as report:
        try:
            _fetch(url, part, MAX_BYTES if size is None else size, report)
        except _Failure as failure:
            raise DownloadError(f"{url} could not be fetched: {failure}. {advice}".strip()) from failure.__cause__
    if check is not None:
        try:
            check(part)
        except ValueError:
            _discard(part)
            raise
    part.replace(path)
    _discard(part)


def _fetch(url: str, part: Path, limit: int, report: Report) -> None:
    """Complete the part, in as many attempts as there are."""
    if url.partition(":")[0].lower() not in SCHEMES:
        raise _Failure(f"its scheme is none of {', '.join(SCHEMES)}")
    connected = False
    for wait in (*WAIT_SECONDS, None):
        try:
            return _attempt(url, part, limit, report)
        except _Failure as failure:
            # Who is offline learns it at once; a connection that was there may come back.
            connected = connected or failure.connected
            if wait is None or not (failure.passing and connected):
                raise
        time.sleep(wait)


def _attempt(url: str, part: Path, limit: int, report: Report) -> None:
    """Ask for the file, or for the rest of it, and write what comes."""
    state = _State.read(part, url)
    have = part.stat().st_size if state else 0
    headers = {"User-Agent": f"kerasfast/{kerasfast.__version__}", "Accept-Encoding": "identity"}
    if state and have:
        headers |= {"Range": f"bytes={have}-", "If-Range": state.validator}
    try:
        response = _opener().open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        with closing(error):
            if error.code == 416 and have:  # there is no rest
                if _content_range(error.headers)[1] == have:
                    return
                _discard(part)
            raise _refusal(error.code, resumed=have > 0) from error
    except urllib.error.URLError as error:
        raise _Failure(f"the server cannot be reached ({error.reason})", connected=False) from error
    except (OSError, http.client.HTTPException) as error:
        raise _Failure(_describe(error), passing=not isinstance(error, http.client.InvalidURL)) from error
    except ValueError as error:
        raise _Failure(f"the address is not valid ({error})", passing=False) from error
    with response:
        new = _State.of(url, response.headers)
        start, total = 0, new.total
        if getattr(response, "status", None) == 206:
            offered, total = _content_range(response.headers)
            if not state or offered != have or not state.agrees(new.validator, total):
                _discard(part)
                raise _Failure("the server sent another part than the one asked for")
            start, total = have, state.total if total is None else total
        with part.open("ab" if start else "wb") as file:
            if not start:
                new.write(part)
            done = _copy(response, file, start, total, limit, report)
    if total is not None and done < total:
        raise _Failure(f"the connection ended after {done:,} of {total:,} bytes")


def _copy(response: Any, file: BinaryIO, done: int, total: int | None, limit: int, report: Report) -> int:
    """Bytes of the file after all that came was written."""
    report(done, total)
    while True:
        try:
            portion = response.read1(_PORTION)  # what is there, so that a cut loses nothing
        except (OSError, http.client.HTTPException) as error:
            raise _Failure(_describe(error)) from error
        if not portion:
            return done
        done += len(portion)
        if done > limit:
            file.close()
            _discard(Path(file.name))
            raise _Failure(f"it has more than the {limit:,} bytes that it should have", passing=False)
        file.write(portion)
        report(done, total)


def _refusal(code: int, *, resumed: bool) -> _Failure:
    if 300 <= code < 400:
        return _Failure("it is redirected in a circle, or to an address that is not allowed", passing=False)
    # 416 without a range, or a range that the server offered, makes no sense a second time.
    passing = code in _PASSING or code >= 500 or (code == 416 and resumed)
    return _Failure(f"the server answered {code} {http.client.responses.get(code, '')}", passing=passing)


def _describe(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"nothing came for {TIMEOUT_SECONDS:g} seconds"
    return f"the connection broke ({error or type(error).__name__})"


# --- what makes a part resumable -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _State:
    """Which file a part belongs to; it lies beside the part.

    Args:
        url: Its address.
        validator: The strong ETag of the file, or the time of its last change; empty where the server gives neither.
        total: Its bytes, if known.
    """

    url: str
    validator: str
    total: int | None

    @classmethod
    def of(cls, url: str, headers: Message) -> _State:
        etag = headers.get("ETag", "")
        strong = etag if etag.startswith('"') else ""
        length = headers.get("Content-Length", "")
        total = int(length) if re.fullmatch(r"\d{1,15}", length) else None
        return cls(url, strong or headers.get("Last-Modified", ""), total)

    @classmethod
    def read(cls, part: Path, url: str) -> _State | None:
        """That of a part which can be resumed, else `None`."""
        try:
            state = cls(**json.loads(_state_file(part).read_text("utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        typed = isinstance(state.validator, str) and isinstance(state.total, (int, type(None)))
        return state if typed and state.validator and state.url == url and part.is_file() else None

    def agrees(self, validator: str, total: int | None) -> bool:
        """Whether what a server says with the rest of a file does not speak against this."""
        return validator in ("", self.validator) and (total is None or self.total in (None, total))

    def write(self, part: Path) -> None:
        """Leave it beside a part that begins."""
        _state_file(part).write_text(json.dumps(asdict(self)), "utf-8")


def _state_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _discard(part: Path) -> None:
    for path in (part, _state_file(part)):
        path.unlink(missing_ok=True)


def _content_range(headers: Message) -> tuple[int | None, int | None]:
    """First byte and size of the whole, as far as the server says."""
    match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
    start, total = match.groups() if match else (None, None)
    return int(start) if start else None, int(total) if total else None


# --- connection and progress -----------------------------------------------------------------------------------------


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirections, except from https to what is not encrypted."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        fp.close()  # its body is of no use, and urllib would read all of it
        if req.type == "https" and not newurl.lower().startswith("https:"):
            raise urllib.error.HTTPError(newurl, code, msg, headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """What `urllib.request.urlopen` uses, without ftp and data addresses."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.UnknownHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.FileHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        _Redirects,
    ):
        opener.add_handler(handler())
    return opener


@contextmanager
def _progress_bar(title: str, *, shown: bool) -> Iterator[Report]:
    """A bar with bytes, rate and time left on standard error, where that is a terminal or a notebook."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    console = Console(stderr=True)
    if not shown or not (console.is_terminal or console.is_jupyter):
        yield lambda done, total: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
