"""TF Serving's PredictionService over gRPC. Needs `kerasfast[client]`, which brings TensorFlow's message types."""

from __future__ import annotations

from typing import Any

import numpy as np

from kerasfast.serving.errors import ServingError

# Of field numbers and lengths, for each frame and for each message.
_FRAME_BYTES, _MESSAGE_BYTES = 6, 1024


class GrpcConnection:
    """A served model over gRPC, on one channel.

    Args:
        host: `host:port`.
        model: Its name on the server.
        version: Its version; none: the server's choice, the highest.
        timeout: Seconds to wait for an answer.

    Raises:
        ImportError: The packages of `kerasfast[client]` are not there.
    """

    def __init__(self, host: str, model: str, version: int | None, timeout: float) -> None:
        self._grpc, services, self._predict, self._metadata = _packages()
        self.host, self.model, self.timeout = host, model, timeout
        self._version = version
        # Answers of any size; requests have no limit on this side.
        self._channel = self._grpc.insecure_channel(host, [("grpc.max_receive_message_length", -1)])
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
