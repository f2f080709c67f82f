"""Servers that are not there yet or not ready are asked again, within the time limit and only where it helps."""

import contextlib
import json
import socket
import threading
import time
from concurrent import futures
from http.server import BaseHTTPRequestHandler

import numpy as np
import pytest
from serving_server import NO_API, serve

from kerasfast.serving import retries
from kerasfast.serving.errors import ServingError
from kerasfast.serving.rest import RestConnection

# More than the 256 kB that gRPC keeps of a request, unless told, to send them again.
VIEWS = np.full((1, 2, 224, 224, 3), 90, np.uint8)
SCORES = np.float32([[0.25, 0.75]])


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Pauses of a tenth of their length."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(retries, "FIRST_SECONDS", 0.05)
    with contextlib.suppress(ModuleNotFoundError):
        monkeypatch.setattr("kerasfast.serving.grpc_service.FIRST_SECONDS", 0.05)


class Rest:
    """Over REST: which answers are "not ready", and which are final."""

    not_ready = (503, 502)
    final = (400, 401, 404, 429, 500, 504)

    @staticmethod
    def connect(port, timeout, again):
        return RestConnection(f"http://127.0.0.1:{port}", "m", None, timeout, retries=again)

    @staticmethod
    @contextlib.contextmanager
    def server(*codes, port=0):
        """Answers with these codes, one after the other, then with scores; the port, and the sizes of the requests."""
        waiting = list(codes)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                self.server.seen.append(len(self.rfile.read(int(self.headers["Content-Length"]))))
                code = waiting.pop(0) if waiting else 200
                answer = json.dumps({"outputs": {"action": SCORES.tolist()}} if code == 200 else {"error": "no"})
                self.send_response(code)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer.encode())

            def log_message(self, *_):
                pass

        with serve(Handler, port=port, seen=[]) as server:
            yield server.server_port, server.seen


class Grpc:
    """The same over gRPC."""

    not_ready = ("UNAVAILABLE", "UNAVAILABLE")
    final = ("INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "RESOURCE_EXHAUSTED", "INTERNAL")

    @staticmethod
    def connect(port, timeout, again):
        from kerasfast.serving.grpc_service import GrpcConnection

        return GrpcConnection(f"127.0.0.1:{port}", "m", None, timeout, retries=again)

    @staticmethod
    @contextlib.contextmanager
    def server(*codes, port=0):
        grpc = pytest.importorskip("grpc", reason=NO_API)
        services = pytest.importorskip("tensorflow_serving.apis.prediction_service_pb2_grpc", reason=NO_API)
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2

        waiting, seen = list(codes), []

        class Service(services.PredictionServiceServicer):
            def Predict(self, request, context):  # noqa: N802
                seen.append(request.ByteSize())
                if waiting:
                    context.abort(grpc.StatusCode[waiting.pop(0)], "no")
                response = predict_pb2.PredictResponse()
                response.outputs["action"].CopyFrom(tf.make_tensor_proto(SCORES))
                return response

        server = grpc.server(futures.ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
        services.add_PredictionServiceServicer_to_server(Service(), server)
        port = server.add_insecure_port(f"127.0.0.1:{port}")
        server.start()
        try:
            yield port, seen
        finally:
            server.stop(None).wait()


@pytest.fixture(params=[Rest, Grpc], ids=["rest", "grpc"])
def protocol(request):
    if request.param is Grpc:
        pytest.importorskip("tensorflow_serving", reason=NO_API)
    return request.param


def asked(protocol, port, timeout=20.0, again=3):
    """The scores of one request, on a connection of its own."""
    with contextlib.closing(protocol.connect(port, timeout, again)) as connection:
        return connection.predict("serving_default", VIEWS)["action"]


def test_a_server_that_is_not_ready_is_asked_again(protocol):
    with protocol.server(*protocol.not_ready) as (port, seen):
        np.testing.assert_array_equal(asked(protocol, port), SCORES)
    assert len(seen) == 3 and min(seen) > VIEWS.nbytes  # whole each time


def test_no_more_often_than_it_may_be(protocol):
    with protocol.server(*4 * protocol.not_ready) as (port, seen):
        for again, attempts in ((0, 1), (2, 1 + 3)):
            with pytest.raises(ServingError) as error:
                asked(protocol, port, again=again)
            assert (error.value.status, error.value.transient) == ("UNAVAILABLE", True)
            assert len(seen) == attempts


def test_what_repeating_cannot_mend_is_asked_once(protocol):
    with protocol.server(*protocol.final) as (port, seen):
        for attempts, code in enumerate(protocol.final, start=1):
            with pytest.raises(ServingError) as error:
                asked(protocol, port)
            assert not error.value.transient
            assert len(seen) == attempts, code


def test_a_server_that_starts_late(protocol):
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    with contextlib.ExitStack() as stack:
        found = []
        late = threading.Timer(0.2, lambda: found.append(stack.enter_context(protocol.server(port=port))))
        late.start()
        try:
            np.testing.assert_array_equal(asked(protocol, port, again=4), SCORES)
        finally:
            late.join()
        assert len(found[0][1]) == 1


def test_attempts_end_with_the_time_limit(protocol):
    with protocol.server(*8 * protocol.not_ready) as (port, seen):
        begin = time.monotonic()
        with pytest.raises(ServingError, match="answers UNAVAILABLE"):
            asked(protocol, port, timeout=0.5, again=4)  # pauses of 0.05, 0.1, 0.2 and, too long, 0.4 s
        assert time.monotonic() - begin < 5
    assert 1 < len(seen) <= 4


def test_no_server_at_all(protocol):
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ServingError, match="UNAVAILABLE") as error:
        asked(protocol, port, again=1)
    assert error.value.transient


def test_pauses(monkeypatch):
    monkeypatch.undo()
    assert retries.pauses(4, 60) == [0.5, 1, 2, 4]
    assert retries.pauses(retries.RETRIES, 60) == [0.5, 1, 2]
    assert retries.pauses(4, 2) == [0.5, 1]
    assert retries.pauses(4, 0.5) == retries.pauses(0, 60) == []
    for number in (-1, 5, 1.5, "3"):
        with pytest.raises(ValueError, match=rf"retries must be a number from 0 to 4\. Received: {number!r}"):
            retries.pauses(number, 60)
