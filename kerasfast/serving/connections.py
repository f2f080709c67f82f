"""From an address to a connection, over gRPC or REST."""

from __future__ import annotations

import urllib.parse
from typing import TYPE_CHECKING

from kerasfast.serving.rest import RestConnection

if TYPE_CHECKING:
    from kerasfast.serving.grpc_service import GrpcConnection

REST_PORT = 8501


def connect(
    host: str, protocol: str | None, model: str, version: int | None, timeout: float
) -> RestConnection | GrpcConnection:
    """The connection that scheme, port and `protocol` ask for.

    Args:
        host: `host:port`, or the same after `grpc://`, `http://` or `https://`.
        protocol: `grpc` or `rest`; none: by the scheme, without one REST on port 8501 and gRPC on others.
        model: The model's name on the server.
        version: Its version; none: the server's choice.
        timeout: Seconds to wait for an answer.

    Raises:
        ValueError: An address without a port, an unknown scheme or protocol, or both that disagree.
        ImportError: gRPC without `kerasfast[client]`.
    """
    scheme, separator, address = host.rpartition("://")
    address = address.rstrip("/")
    schemes = {"grpc": "grpc", "http": "rest", "https": "rest"}
    try:
        port = urllib.parse.urlsplit(f"//{address}").port
    except ValueError:
        port = None
    if port is None or (separator and scheme not in schemes) or protocol not in (None, "grpc", "rest"):
        raise ValueError(
            "host must be HOST:PORT, grpc://HOST:PORT, http://HOST:PORT or https://HOST:PORT, and protocol 'grpc' or "
            f"'rest'. Received: host={host!r}, protocol={protocol!r}. TF Serving has gRPC on 8500 and REST on 8501."
        )
    implied = schemes.get(scheme) or (protocol or ("rest" if port == REST_PORT else "grpc"))
    if protocol not in (None, implied):
        raise ValueError(
            f"host and protocol must agree. Received: host={host!r}, protocol={protocol!r}. Leave one out."
        )
    if implied == "rest":
        return RestConnection(f"{scheme or 'http'}://{address}", model, version, timeout)
    from kerasfast.serving.grpc_service import GrpcConnection

    return GrpcConnection(address, model, version, timeout)
