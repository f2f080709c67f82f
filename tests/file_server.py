"""A real HTTP server on loopback that serves files well, or as badly as a test asks for."""

import contextlib
import socket
import struct
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Answer:
    """How one request is answered.

    Args:
        status: Other than 200 and 206: the body is that of an error page.
        cut: The connection ends after so many bytes of the body; `reset` makes that a reset instead of an end.
        hold: Waited for at the cut, with the connection open.
        headers: To add or replace; `None` leaves one out.
        body: In place of the file's.
        ignore_range: Answer with the whole file whatever is asked for.
        ignore_condition: Answer with the range even where the file is another.
    """

    status: int = 200
    cut: int | None = None
    reset: bool = False
    hold: threading.Event | None = None
    headers: dict[str, str | None] = field(default_factory=dict)
    body: bytes | None = None
    ignore_range: bool = False
    ignore_condition: bool = False


class FileServer(ThreadingHTTPServer):
    """Serves `files`; the next requests are answered by `plan`, those after it by `usual`.

    Attributes:
        files: Path -> content.
        validators: Headers that say which version of a file it is.
        plan: Answers to the next requests, in order.
        usual: The answer to all others.
        requests: Path and headers of every request.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.validators = {"ETag": '"one"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
        self.plan: list[Answer] = []
        self.usual = Answer()
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.lock = threading.Lock()

    def url(self, path):
        return f"http://127.0.0.1:{self.server_address[1]}{path}"

    def ranges(self):
        """The `Range` of every request, `None` where it asked for the whole."""
        return [headers.get("Range") for _, headers in self.requests]

    def handle_error(self, request, client_address):
        """Clients that leave early are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        """Nothing on standard error."""

    def do_GET(self):
        with self.server.lock:
            self.server.requests.append((self.path, dict(self.headers)))
            answer = self.server.plan.pop(0) if self.server.plan else self.server.usual
        self.close_connection = True
        body = self.server.files.get(self.path) if answer.body is None else answer.body
        status, headers = answer.status, {"Connection": "close", **self.server.validators}
        if status != 200 or body is None:
            status, body = (404 if status == 200 else status), b"<html>an error page</html>"
        elif "Range" in self.headers and not answer.ignore_range:
            status, body = self.part(body, headers, answer)
        headers = {**headers, "Content-Length": str(len(body)), **answer.headers}
        self.send_response(status)
        for name, value in headers.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body if answer.cut is None else body[: answer.cut])
        self.wfile.flush()
        if answer.hold is not None:
            answer.hold.wait(60)
        if answer.reset:  # closing with a linger time of 0 sends a reset
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def part(self, body, headers, answer):
        condition = self.headers.get("If-Range")
        if condition not in (None, *self.server.validators.values()) and not answer.ignore_condition:
            return 200, body
        start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        if start >= len(body):
            headers["Content-Range"] = f"bytes */{len(body)}"
            return 416, b""
        headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        return 206, body[start:]


@contextlib.contextmanager
def serve(files=()):
    """A running server; `files` maps paths to their content."""
    with FileServer() as server:
        server.files.update(files)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def free_port():
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
