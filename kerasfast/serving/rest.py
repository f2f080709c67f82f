"""TF Serving's REST interface, with the standard library alone."""

from __future__ import annotations

import base64
import http.client
import json
import random
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import numpy as np

from kerasfast.serving.errors import ServingError
from kerasfast.serving.retries import JITTER, RETRIES, pauses

# The gRPC status that TF Serving translates to an HTTP code (http_server.cc, ToHTTPStatusCode), the likeliest where
# there are several.
_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    413: "RESOURCE_EXHAUSTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",  # a proxy, before a server that is not there yet
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class RestConnection:
    """A served model over REST.

    Args:
        host: `http://host:port` or `https://host:port`.
        model: Its name on the server.
        version: Its version; none: the server's choice, the highest.
        timeout: Seconds to wait for an answer, all attempts together.
        retries: How often to ask again where no server is there, or none that is ready.
        context: Whom `https` trusts; none: the root certificates of the system.

    Raises:
        ValueError: Too many retries.
    """

    def __init__(
        self,
        host: str,
        model: str,
        version: int | None,
        timeout: float,
        *,
        retries: int = RETRIES,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.host, self.model, self.timeout = host, model, timeout
        self._pauses, self._context = pauses(retries, timeout), context
        self._url = f"{host}/v1/models/{urllib.parse.quote(model, safe='')}"
        if version is not None:
            self._url += f"/versions/{version}"
        self._outputs: dict[str, dict[str, int | None]] = {}

    def signatures(self) -> dict[str, dict[str, int | None]]:
        """The last size of each output by signature; none: unknown.

        Raises:
            ServingError: The server does not say.
        """
        if not self._outputs:
            definitions = self._ask("/metadata", None, "metadata")["metadata"]["signature_def"]["signature_def"]
            for name, signature in definitions.items():
                shapes = {key: output["tensor_shape"].get("dim", []) for key, output in signature["outputs"].items()}
                sizes = {key: int(shape[-1]["size"]) if shape else -1 for key, shape in shapes.items()}
                self._outputs[name] = {key: size if size >= 0 else None for key, size in sizes.items()}
        return self._outputs

    def message_bytes(self, view: np.ndarray) -> int:
        """Bytes that a view adds to a request, at most."""
        if view.dtype != object:
            return 5 * view.size  # a third of "[255,255,255]," is 4.7; the rest is for the brackets of rows and frames
        return sum(4 * (len(file) + 2) // 3 + len('{"b64":""},') for file in view)

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
        if views.dtype == object:
            values = [[{"b64": base64.b64encode(file).decode("ascii")} for file in view] for view in views]
        else:
            values = views.tolist()
        question = {"signature_name": signature, "inputs": {"frames": values}}
        # Without the blanks: 4.2 bytes a value of pixels in place of 5.2.
        body = json.dumps(question, separators=(",", ":")).encode("ascii")
        outputs = self._ask(":predict", body, f"signature {signature!r}")["outputs"]
        if not isinstance(outputs, dict):  # TF Serving leaves out the name of a single output
            outputs = dict.fromkeys(self.signatures()[signature], outputs)
        return {name: np.asarray(scores, np.float32) for name, scores in outputs.items()}

    def close(self) -> None:
        """Nothing is kept open."""

    def _ask(self, path: str, body: bytes | None, what: str) -> Any:
        """The answer, after as many attempts as there may be; nothing that is asked here changes the server."""
        asked = f"model {self.model!r}, {what}"
        deadline = time.monotonic() + self.timeout
        for pause in self._pauses:
            try:
                return self._ask_once(path, body, asked, deadline - time.monotonic())
            except ServingError as error:
                seconds = pause * random.uniform(*JITTER)
                if not error.transient or time.monotonic() + seconds >= deadline:
                    raise
            time.sleep(seconds)
        return self._ask_once(path, body, asked, deadline - time.monotonic())

    def _ask_once(self, path: str, body: bytes | None, asked: str, seconds: float) -> Any:
        request = urllib.request.Request(self._url + path, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=seconds, context=self._context) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            status = _STATUS.get(error.code, "UNKNOWN")
            raise ServingError(self.host, status, _message(error), asked) from error
        except TimeoutError as error:
            raise self._late(asked) from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, TimeoutError):
                raise self._late(asked) from error
            raise ServingError(self.host, "UNAVAILABLE", f"{reason or type(error).__name__}", asked) from error
        except ValueError as error:
            raise ServingError(self.host, "UNIMPLEMENTED", "the answer is no JSON", asked) from error

    def _late(self, asked: str) -> ServingError:
        return ServingError(self.host, "DEADLINE_EXCEEDED", f"no answer in {self.timeout:g} s", asked)


def _message(error: urllib.error.HTTPError) -> str:
    """What TF Serving says in the JSON of an error, or what another server says."""
    text = error.read().decode("utf-8", "replace")
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {error.code} {error.reason}"
