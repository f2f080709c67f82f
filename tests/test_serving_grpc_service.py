"""PredictionService over real gRPC: what the client says and hears, and what bad requests end in."""

import contextlib
import gc
import socket
from concurrent import futures
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from serving_case import jpeg_clips, largest_difference
from serving_server import NO_API, grpc_server

grpc = pytest.importorskip("grpc", reason=NO_API)
apis = pytest.importorskip("tensorflow_serving.apis.predict_pb2", reason=NO_API)

from tensorflow_serving.apis import prediction_service_pb2_grpc  # noqa: E402

from kerasfast.serving.errors import ServingError  # noqa: E402
from kerasfast.serving.grpc_service import GrpcConnection  # noqa: E402

PIXELS_RULE = "tiny takes uint8 frames of shape (batch, 8, H, W, 3)"
JPEG_RULE = "tiny takes JPEG frames of shape (batch, 8)"


@pytest.fixture(scope="module")
def host(served):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("no_proxy", "127.0.0.1")
        with grpc_server({"tiny": served[1]}) as address:
            yield address


@pytest.fixture(scope="module")
def stub(host):
    with grpc.insecure_channel(host) as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


def request(signature="serving_default", **inputs):
    message = apis.PredictRequest()
    message.model_spec.name, message.model_spec.signature_name = "tiny", signature
    for alias, values in inputs.items():
        message.inputs[alias].CopyFrom(tf.make_tensor_proto(values))
    return message


def clips(batch=1, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (batch, 8, 64, 64, 3), dtype=np.uint8)


def refused(stub, message):
    with pytest.raises(grpc.RpcError) as error:
        stub.Predict(message, timeout=60)
    return error.value.code().name, error.value.details()


def test_the_client_asks_and_hears(served, host):
    connection = GrpcConnection(host, "tiny", 1, 30)
    sizes = {"verb": 4, "action": 7}
    assert connection.signatures()["serving_default"] == connection.signatures()["jpeg_frames"] == sizes
    found = connection.predict("serving_default", clips(2))
    assert all(scores.dtype == np.float32 for scores in found.values())
    assert largest_difference(found, served[0].predict(clips(2), verbose=0)) <= 1e-5
    files = jpeg_clips(2, 8, 64, 64)
    assert connection.predict("jpeg_frames", files)["verb"].shape == (2, 4)
    for views in (clips(2), files):
        name = "serving_default" if views.dtype == np.uint8 else "jpeg_frames"
        size = request(name, frames=views).ByteSize()
        assert size <= sum(connection.message_bytes(view) for view in views) <= size + 3000
    connection.close()


@pytest.mark.parametrize(
    "shape",
    [
        *((), (8,), (8, 64, 64, 3), (1, 8, 64, 64), (1, 1, 8, 64, 64, 3)),  # rank
        *((1, 7, 64, 64, 3), (1, 0, 64, 64, 3), (0, 8, 64, 64, 3), (1, 2000, 64, 64, 3)),  # frames
        *((1, 8, 64, 64, 1), (1, 8, 64, 64, 4), (1, 8, 63, 64, 3), (1, 8, 0, 0, 3)),  # channels and sides
    ],
)
def test_pixels_of_another_shape(stub, shape):
    status, details = refused(stub, request(frames=np.zeros(shape, np.uint8)))
    assert status == "INVALID_ARGUMENT"
    assert PIXELS_RULE in details and f"Received: shape [{' '.join(map(str, shape))}]" in details


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "bool"])
def test_pixels_of_another_dtype(stub, dtype):
    status, details = refused(stub, request(frames=clips().astype(dtype)))
    assert status == "INVALID_ARGUMENT" and "expect uint8" in details


@pytest.mark.parametrize("shape", [(), (8,), (1, 7), (1, 0), (0, 8), (1, 2000), (1, 1, 8)])
def test_jpeg_frames_of_another_shape(stub, shape):
    status, details = refused(stub, request("jpeg_frames", frames=np.full(shape, b"never decoded", object)))
    assert status == "INVALID_ARGUMENT"
    assert JPEG_RULE in details and f"Received: shape [{' '.join(map(str, shape))}]" in details


def test_bytes_that_are_no_jpeg(stub):
    files = jpeg_clips(1, 8, 64, 64)
    for bad in (b"no picture", files[0, 3][:100], files[0, 3][: len(files[0, 3]) // 2], b"\xff\xd8\xff" + bytes(500)):
        damaged = files.copy()
        damaged[0, 3] = bad
        status, details = refused(stub, request("jpeg_frames", frames=damaged))
        assert status == "INVALID_ARGUMENT"
        assert "JPEG" in details
    assert refused(stub, request("jpeg_frames", frames=clips())) == (
        "INVALID_ARGUMENT",
        "Type mismatch: actual uint8 vs. expect string\n\t [[{{node _arg_jpeg_frames_frames_0_0}}]]",
    )


def test_names_that_are_not_there(stub):
    assert refused(stub, request("logits", frames=clips()))[0] == "FAILED_PRECONDITION"
    assert "Inputs expected to be in the set {frames}" in refused(stub, request(video=clips()))[1]
    assert refused(stub, request())[0] == "INVALID_ARGUMENT"
    other = request(frames=clips())
    other.model_spec.name = "other"
    assert refused(stub, other) == ("NOT_FOUND", "Servable not found for request: Latest(other)")


def test_64_requests_at_once_good_and_bad(served, stub):
    expected = served[0].predict(clips(4), verbose=0)
    inputs = [clips(4)[number % 4][np.newaxis, : 5 if number % 8 == 3 else 8] for number in range(64)]
    with futures.ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(lambda frames: outcome(stub, frames), inputs))
    assert [number for number, answer in enumerate(answers) if answer == "INVALID_ARGUMENT"] == [*range(3, 64, 8)]
    for number, answer in enumerate(answers):
        if number % 8 != 3:
            row = number % 4
            assert largest_difference(answer, {head: scores[row][None] for head, scores in expected.items()}) <= 1e-5


def outcome(stub, frames):
    try:
        answer = stub.Predict(request(frames=frames), timeout=120)
    except grpc.RpcError as error:
        return error.code().name
    return {head: tf.make_ndarray(scores) for head, scores in answer.outputs.items()}


def test_a_server_that_is_not_there_or_silent(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        connection = GrpcConnection(address, "m", None, 0.5)
        with pytest.raises(ServingError, match=r"answers (DEADLINE_EXCEEDED|UNAVAILABLE) to model 'm', metadata"):
            connection.signatures()
        connection.close()
    connection = GrpcConnection(address, "m", None, 5, retries=0)
    with pytest.raises(ServingError, match=r"answers UNAVAILABLE to .*Check host and port.*8500 for gRPC"):
        connection.signatures()
    connection.close()


def resident_bytes():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from Linux")
def test_memory_stays_flat_over_2000_requests(stub):
    """Client and server in one process, so a leak of either shows."""
    files = jpeg_clips(1, 8, 64, 64)
    damaged = files.copy()
    damaged[0, 3] = files[0, 3][:100]
    kinds = [
        request(frames=clips()),
        request("jpeg_frames", frames=files),
        request("jpeg_frames", frames=damaged),
        request(frames=clips()[:, :5]),
        request(frames=clips().astype("float32")),
    ]

    def ask(count):
        for number in range(count):
            with contextlib.suppress(grpc.RpcError):
                stub.Predict(kinds[number % len(kinds)], timeout=60)
        gc.collect()
        return resident_bytes()

    before = ask(500)  # until buffers and thread pools have their size
    marks = [ask(500) for _ in range(4)]
    print(f"resident: {before / 1e6:.1f} MB, then {', '.join(f'{mark / 1e6:.1f}' for mark in marks)} MB")
    # What was sent is 220 MB.
    assert marks[-1] - before < 10e6
