"""Stands in for TF Serving, which no package registry has: its two protocols, answered from a SavedModel.

The SavedModel runs in a session of TensorFlow 1, as in the real server, without a check by Python: what a request holds
goes to the graph as it came. Statuses and messages are those of the real server's code (predict_util.cc,
basic_manager.cc, http_rest_api_handler.cc, http_server.cc).
"""

import base64
import contextlib
import functools
import json
import re
import ssl
import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.protobuf import config_pb2

NO_API = "needs tensorflow-serving-api: install kerasfast[client]"
HTTP = {
    **{tf.errors.INVALID_ARGUMENT: 400, tf.errors.FAILED_PRECONDITION: 400, tf.errors.NOT_FOUND: 404},
    **{tf.errors.RESOURCE_EXHAUSTED: 429, tf.errors.UNIMPLEMENTED: 501},
}


class Executor:
    """A SavedModel in a session."""

    def __init__(self, folder):
        with tf.Graph().as_default():
            self.session = tf.compat.v1.Session()
            self.signatures = tf.compat.v1.saved_model.load(self.session, ["serve"], str(folder)).signature_def

    @functools.lru_cache  # noqa: B019  (a server lives as long as its tests)
    def callable_of(self, name):
        signature = self.signatures[name]
        options = config_pb2.CallableOptions(
            feed=[info.name for info in signature.inputs.values()],
            fetch=[info.name for info in signature.outputs.values()],
        )
        return self.session._make_callable_from_options(options)

    def __call__(self, name, inputs):
        name = name or "serving_default"
        if name not in self.signatures:
            raise tf.errors.FailedPreconditionError(None, None, f'Serving signature key "{name}" not found.')
        signature = self.signatures[name]
        for alias in inputs:
            if alias not in signature.inputs:
                raise tf.errors.InvalidArgumentError(
                    None,
                    None,
                    f"input tensor alias not found in signature: {alias}. Inputs expected to be in the set "
                    f"{{{','.join(signature.inputs)}}}.",
                )
        if len(inputs) != len(signature.inputs):
            message = f"input size does not match signature: {len(inputs)}!={len(signature.inputs)}"
            raise tf.errors.InvalidArgumentError(None, None, message)
        outputs = self.callable_of(name)(*(inputs[alias] for alias in signature.inputs))
        return dict(zip(signature.outputs, outputs, strict=True))


class Models:
    """Folders of versions by model name; each version is loaded once."""

    def __init__(self, folders):
        self.folders = {name: Path(folder) for name, folder in folders.items()}

    @functools.lru_cache  # noqa: B019
    def _executor(self, folder):
        return Executor(folder)

    def find(self, name, version=None):
        folder = self.folders.get(name)
        versions = [] if folder is None else sorted(int(entry.name) for entry in folder.iterdir())
        if not versions or (version is not None and version not in versions):
            asked = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            raise tf.errors.NotFoundError(None, None, f"Servable not found for request: {asked}")
        chosen = versions[-1] if version is None else version
        return chosen, self._executor(folder / str(chosen))


@contextlib.contextmanager
def grpc_server(folders, max_bytes=-1, threads=8, certificate=None):
    """The address of a running PredictionService; `max_bytes` of a request are those of TF Serving, any.

    With the files of a key and its certificate it is encrypted.
    """
    import grpc
    from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, prediction_service_pb2_grpc

    codes = {code.value[0]: code for code in grpc.StatusCode}
    models = Models(folders)

    def find(spec):
        return models.find(spec.name, spec.version.value if spec.HasField("version") else None)

    @contextlib.contextmanager
    def statuses(context):
        try:
            yield
        except tf.errors.OpError as error:
            context.abort(codes[error.error_code], error.message)

    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request, context):  # noqa: N802
            with statuses(context):
                version, executor = find(request.model_spec)
                inputs = {alias: tf.make_ndarray(tensor) for alias, tensor in request.inputs.items()}
                response = predict_pb2.PredictResponse()
                for alias, values in executor(request.model_spec.signature_name, inputs).items():
                    response.outputs[alias].CopyFrom(tf.make_tensor_proto(values))
                response.model_spec.CopyFrom(request.model_spec)
                response.model_spec.version.value = version
                return response

        def GetModelMetadata(self, request, context):  # noqa: N802
            with statuses(context):
                version, executor = find(request.model_spec)
                response = get_model_metadata_pb2.GetModelMetadataResponse()
                response.model_spec.CopyFrom(request.model_spec)
                response.model_spec.version.value = version
                definitions = get_model_metadata_pb2.SignatureDefMap(signature_def=dict(executor.signatures))
                response.metadata["signature_def"].Pack(definitions)
                return response

    options = [("grpc.max_receive_message_length", max_bytes), ("grpc.so_reuseport", 0)]
    server = grpc.server(futures.ThreadPoolExecutor(threads), options=options)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), server)
    if certificate is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        pair = tuple(file.read_bytes() for file in certificate)
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


class RestHandler(BaseHTTPRequestHandler):
    """`/v1/models/NAME[/versions/V]/metadata` and `:predict`, in the columnar form; `server.seen` keeps the sizes."""

    def do_GET(self):
        self._answer(self._metadata)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append(len(body))
        self._answer(lambda: self._predict(body))

    def _answer(self, make):
        try:
            code, answer = 200, make()
        except tf.errors.OpError as error:
            code, answer = HTTP[error.error_code], {"error": error.message}
        text = json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _executor(self, ending):
        found = re.fullmatch(r"/v1/models/([^/:]+)(?:/versions/(\d+))?" + ending, self.path)
        if not found:
            message = f"Malformed request: {self.command} {self.path}"
            raise tf.errors.InvalidArgumentError(None, None, message)
        return self.server.models.find(found[1], int(found[2]) if found[2] else None)[1]

    def _metadata(self):
        signatures = self._executor("/metadata").signatures
        as_json = functools.partial(json_format.MessageToDict, preserving_proto_field_name=True)
        return {"metadata": {"signature_def": {"signature_def": {k: as_json(v) for k, v in signatures.items()}}}}

    def _predict(self, body):
        executor, request = self._executor(":predict"), json.loads(body)
        name = request.get("signature_name", "serving_default")
        if name not in executor.signatures:
            message = f'Serving signature name: "{name}" not found in signature def'
            raise tf.errors.InvalidArgumentError(None, None, message)
        inputs = {}
        for alias, values in request["inputs"].items():
            text = executor.signatures[name].inputs[alias].dtype == tf.string.as_datatype_enum
            inputs[alias] = np.array(_bytes(values), object) if text else np.array(values, np.uint8)
        outputs = {alias: values.tolist() for alias, values in executor(name, inputs).items()}
        return {"outputs": outputs if len(outputs) > 1 else next(iter(outputs.values()))}

    def log_message(self, *_):
        pass


def _bytes(values):
    return [_bytes(value) for value in values] if isinstance(values, list) else base64.b64decode(values["b64"])


@contextlib.contextmanager
def serve(handler, port=0, certificate=None, **attributes):
    """A running HTTP server; with the files of a key and its certificate, HTTPS."""
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate[1], certificate[0])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    vars(server).update(attributes)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def rest_server(folders, certificate=None):
    """A running REST interface: its address, and the list of the sizes of its requests."""
    with serve(RestHandler, certificate=certificate, models=Models(folders), seen=[]) as server:
        yield f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}", server.seen
