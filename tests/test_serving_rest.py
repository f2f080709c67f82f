"""REST alone: what goes over the wire, and every way in which there is no answer."""

import contextlib
import json
import socket
from http.server import BaseHTTPRequestHandler

import numpy as np
import pytest
from serving_case import jpeg_clips, largest_difference
from serving_server import rest_server, serve

from kerasfast.serving.errors import ServingError
from kerasfast.serving.rest import RestConnection


@pytest.fixture(autouse=True)
def direct(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def test_both_signatures(served):
    model, folder = served
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 64, 64, 3), dtype=np.uint8)
    with rest_server({"tiny": folder}) as (host, seen):
        connection = RestConnection(host, "tiny", 1, 30)
        sizes = {"verb": 4, "action": 7}
        assert connection.signatures()["serving_default"] == connection.signatures()["jpeg_frames"] == sizes
        found = connection.predict("serving_default", pixels)
        assert all(scores.dtype == np.float32 for scores in found.values())
        assert largest_difference(found, model.predict(pixels, verbose=0)) <= 1e-5
        files = jpeg_clips(2, 8, 64, 64)
        assert connection.predict("jpeg_frames", files)["verb"].shape == (2, 4)
        for views, size in zip((pixels, files), seen, strict=True):
            assert size - 200 <= sum(connection.message_bytes(view) for view in views) <= 1.25 * size
    assert len(seen) == 2


def answering(code, body):
    """A handler that answers everything with a code and a body."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return Handler


@pytest.mark.parametrize(
    ("code", "body", "status", "message"),
    [
        (404, b'{"error": "Servable not found"}', "NOT_FOUND", "Servable not found. Give model="),
        (400, b'{"error": "assertion failed: [four legs]\\n\\t [[{{node a}}]]"}', "INVALID_ARGUMENT", ": four legs. "),
        (429, b'{"error": "busy"}', "RESOURCE_EXHAUSTED", "busy. Send less at once"),
        (503, b"<html>", "UNAVAILABLE", "HTTP 503 Service Unavailable. Check host and port"),
        (502, b"", "UNAVAILABLE", "HTTP 502 Bad Gateway. Check host and port"),
        (504, b"", "DEADLINE_EXCEEDED", "HTTP 504"),
        (500, b'{"error": "boom"}', "INTERNAL", "boom. The log of the server says more."),
        (418, b'["teapot"]', "UNKNOWN", "HTTP 418"),
        (200, b"<html>", "UNIMPLEMENTED", "the answer is no JSON"),
    ],
)
def test_errors_of_a_server(code, body, status, message):
    with serve(answering(code, body)) as server, pytest.raises(ServingError) as error:
        RestConnection(f"http://127.0.0.1:{server.server_port}", "m", None, 5, retries=0).signatures()
    assert error.value.status == status
    assert str(error.value).startswith(f"http://127.0.0.1:{server.server_port} answers {status} to model 'm', metadata")
    assert message in str(error.value) and "[[" not in str(error.value)


def test_a_server_that_is_not_there():
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ServingError, match=r"UNAVAILABLE .*[Rr]efused.* Check host and port") as error:
        RestConnection(f"http://127.0.0.1:{port}", "m", None, 5, retries=0).signatures()
    assert error.value.status == "UNAVAILABLE"


def test_a_server_that_does_not_answer():
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as silent:
        host = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ServingError, match=r"DEADLINE_EXCEEDED .* no answer in 0\.2 s\..*raise it"):
            RestConnection(host, "m", None, 0.2).signatures()


def test_the_name_of_a_single_output_is_left_out_by_the_server():
    outputs = {"action": {"tensor_shape": {"dim": [{"size": "-1"}, {"size": "2"}]}}}
    metadata = {"metadata": {"signature_def": {"signature_def": {"serving_default": {"outputs": outputs}}}}}

    class Handler(answering(200, json.dumps(metadata).encode())):
        def do_POST(self):  # noqa: N802
            answer = b'{"outputs": [[0.25, 0.75]]}'
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    with serve(Handler) as server:
        connection = RestConnection(f"http://127.0.0.1:{server.server_port}", "m", None, 5)
        found = connection.predict("serving_default", np.zeros((1, 2, 2, 2, 3), np.uint8))
    np.testing.assert_array_equal(found["action"], np.float32([[0.25, 0.75]]))
