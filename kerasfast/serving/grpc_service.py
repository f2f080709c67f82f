"""TF Serving's PredictionService over gRPC. Needs `kerasfast[client]`, which brings TensorFlow's message types."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from kerasfast.serving.errors import ServingError
from kerasfast.serving.retries import FIRST_SECONDS, GROWTH, RETRIES, pauses

# Of field numbers and lengths, for each frame and for each message.
_FRAME_BYTES, _MESSAGE_BYTES = 6, 1024
_SERVICE = "tensorflow.serving.PredictionService"
_ANY_BYTES = 2**31 - 1


class GrpcConnection:
    """A served model over gRPC, on one channel.

    Args:
        host: `host:port`.
        model: Its name on the server.
        version: Its version; none: the server's choice, the highest.
        timeout: Seconds to wait for an answer, all attempts together.
        retries: How often to ask again where no server is there, or none that is ready.
        encrypted: Whether the channel is.
        credentials: Of an encrypted channel: the root certificates to trust (PEM), `grpc.ChannelCredentials`, or none
            for those that come with gRPC.

    Raises:
        ValueError: Too many retries, or credentials of another kind.
        ImportError: The packages of `kerasfast[client]` are not there.
    """

    def __init__(
        self,
        host: str,
        model: str,
        version: int | None,
        timeout: float,
        *,
        retries: int = RETRIES,
        encrypted: bool = False,
        credentials: Any = None,
    ) -> None:
        options = _options(len(pauses(retries, timeout)))
        self._grpc, services, self._predict, self._metadata = _packages()
        self.host, self.model, self.timeout = host, model, timeout
        self._version = version
        if encrypted:
            self._channel = self._grpc.secure_channel(host, self._trusted(credentials), options)
        else:
            self._channel = self._grpc.insecure_channel(host, options)
        self._stub = services.PredictionServiceStub(self._channel)
        self._outputs: dict[str, dict[str, int | None]] = {}

    def signatures(self) -> dict[str, dict[str, int | None]]:
        """The last size of each output by signature; none: unknown.

        Raises:
            ServingError: The server does not say.
        """
        if not self._outputs:
            request = self._metadata.GetModelMetadataRequest(metadata_field=["signature_def"])
            self._name_model(request.model_spec)
            answer = self._ask(self._stub.GetModelMetadata, request, "metadata")
            definitions = self._metadata.SignatureDefMap()
            answer.metadata["signature_def"].Unpack(definitions)
            for name, signature in definitions.signature_def.items():
                sizes = {key: output.tensor_shape.dim for key, output in signature.outputs.items()}
                self._outputs[name] = {key: _last(dims) for key, dims in sizes.items()}
        return self._outputs

    def message_bytes(self, view: np.ndarray) -> int:
        """Bytes that a view adds to a request, at most."""
        frames = sum(len(file) + _FRAME_BYTES for file in view) if view.dtype == object else view.nbytes
        return frames + _MESSAGE_BYTES

    def predict(self, signature: str, views: np.ndarray) -> dict[str, np.ndarray]:
        """What a signature answers to `frames`.

        Args:
            signature: Its name.
            views: uint8, or object of bytes, with the views along the first axis.

        Returns:
            float32 by name of the output.

        Raises:
            ServingError: No answer, or an error.
        """
        import tensorflow as tf

        request = self._predict.PredictRequest()
        self._name_model(request.model_spec)
        request.model_spec.signature_name = signature
        request.inputs["frames"].CopyFrom(tf.make_tensor_proto(views))
        answer = self._ask(self._stub.Predict, request, f"signature {signature!r}")
        return {name: tf.make_ndarray(scores).astype(np.float32) for name, scores in answer.outputs.items()}

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def _trusted(self, credentials: Any) -> Any:
        if credentials is None or isinstance(credentials, bytes):
            return self._grpc.ssl_channel_credentials(credentials)
        if isinstance(credentials, self._grpc.ChannelCredentials):
            return credentials
        raise ValueError(
            "credentials must be a PEM file of root certificates or, over gRPC, grpc.ChannelCredentials. Received: "
            f"{type(credentials).__name__}."
        )

    def _name_model(self, spec: Any) -> None:
        spec.name = self.model
        if self._version is not None:
            spec.version.value = self._version

    def _ask(self, method: Any, request: Any, what: str) -> Any:
        try:
            return method(request, timeout=self.timeout)
        except self._grpc.RpcError as error:
            asked = f"model {self.model!r}, {what}"
            raise ServingError(self.host, error.code().name, error.details() or "no message", asked) from error


def _options(retries: int) -> list[tuple[str, Any]]:
    """Of a channel: answers of any size (requests have no limit on this side), and further attempts by gRPC itself."""
    options: list[tuple[str, Any]] = [
        ("grpc.max_receive_message_length", -1),
        ("grpc.enable_retries", int(retries > 0)),
    ]
    if retries:
        policy = {
            "maxAttempts": 1 + retries,
            "initialBackoff": f"{FIRST_SECONDS}s",
            "backoffMultiplier": GROWTH,
            "maxBackoff": f"{FIRST_SECONDS * GROWTH**retries}s",
            "retryableStatusCodes": ["UNAVAILABLE"],
        }
        config = {"methodConfig": [{"name": [{"service": _SERVICE}], "retryPolicy": policy}]}
        options += [
            ("grpc.service_config", json.dumps(config)),
            # What does not fit here is sent once only: 256 kB by default, less than a view.
            ("grpc.per_rpc_retry_buffer_size", _ANY_BYTES),
            # An attempt between two of the channel's own, at first a second apart, would find it as it was.
            ("grpc.initial_reconnect_backoff_ms", int(1000 * FIRST_SECONDS / 2)),
        ]
    return options


def _packages() -> tuple[Any, Any, Any, Any]:
    try:
        import grpc
        from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, prediction_service_pb2_grpc
    except ImportError as error:
        raise ImportError(
            f"gRPC needs grpcio and tensorflow-serving-api in the release of TensorFlow ({error}). Install "
            "kerasfast[client], or use REST: host='http://HOST:8501'."
        ) from error
    return grpc, prediction_service_pb2_grpc, predict_pb2, get_model_metadata_pb2


def _last(dims: Any) -> int | None:
    return dims[-1].size if dims and dims[-1].size >= 0 else None
