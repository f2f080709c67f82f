"""From an address to a connection, over gRPC or REST, in the clear or encrypted."""

from __future__ import annotations

import os
import re
import ssl
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerasfast.serving.rest import RestConnection
from kerasfast.serving.retries import RETRIES

if TYPE_CHECKING:
    from kerasfast.serving.grpc_service import GrpcConnection

REST_PORT = 8501
# Scheme -> protocol, and whether it is encrypted.
_SCHEMES = {"grpc": ("grpc", False), "grpcs": ("grpc", True), "http": ("rest", False), "https": ("rest", True)}


def connect(
    host: str,
    protocol: str | None,
    model: str,
    version: int | None,
    timeout: float,
    *,
    retries: int = RETRIES,
    credentials: Any = None,
) -> RestConnection | GrpcConnection:
    """The connection that scheme, port and `protocol` ask for.

    Args:
        host: `host:port`, or the same after `grpc://`, `grpcs://`, `http://` or `https://`; over REST a path may
            follow, as behind a proxy.
        protocol: `grpc` or `rest`; none: by the scheme, without one REST on port 8501 and gRPC on others.
        model: The model's name on the server.
        version: Its version; none: the server's choice.
        timeout: Seconds to wait for an answer, all attempts together.
        retries: How often to ask again, as in `kerasfast.serving.client.Client`.
        credentials: Whom an encrypted connection trusts, as in `kerasfast.serving.client.Client`.

    Raises:
        ValueError: An address without a port, with blanks or over gRPC with a path, an unknown scheme or protocol, or
            both that disagree; too many retries; credentials of another kind or for a connection in the clear.
        ImportError: gRPC without `kerasfast[client]`.
    """
    scheme, separator, rest = host.rpartition("://")
    address = _address(rest)
    if address is None or (separator and scheme not in _SCHEMES) or protocol not in (None, "grpc", "rest"):
        raise ValueError(
            "host must be HOST:PORT, alone or after grpc://, grpcs://, http:// or https://, and protocol 'grpc' or "
            f"'rest'. Received: host={host!r}, protocol={protocol!r}. TF Serving has gRPC on 8500 and REST on 8501."
        )
    usual = protocol or ("rest" if address.port == REST_PORT else "grpc")
    implied, encrypted = _SCHEMES.get(scheme, (usual, False))
    if protocol not in (None, implied):
        raise ValueError(
            f"host and protocol must agree. Received: host={host!r}, protocol={protocol!r}. Leave one out."
        )
    if credentials is not None and not encrypted:
        raise ValueError(
            "credentials belong to an encrypted connection, grpcs://HOST:PORT or https://HOST:PORT. Received: "
            f"host={host!r}. Write the scheme, or leave credentials out."
        )
    if implied == "rest":
        context = _context(credentials) if encrypted else None
        url = f"{scheme or 'http'}://{address.netloc}{address.path.rstrip('/')}"
        return RestConnection(url, model, version, timeout, retries=retries, context=context)
    if address.path.strip("/"):
        raise ValueError(f"gRPC has no paths: host must be HOST:PORT. Received: host={host!r}. Leave the path out.")
    from kerasfast.serving.grpc_service import GrpcConnection

    trusted = _roots(credentials) if encrypted else None
    return GrpcConnection(
        address.netloc, model, version, timeout, retries=retries, encrypted=encrypted, credentials=trusted
    )


def _address(text: str) -> urllib.parse.SplitResult | None:
    """Name, port and path; none where it is no such thing."""
    try:
        parts = urllib.parse.urlsplit(f"//{text}")
        whole = bool(parts.hostname) and parts.port is not None
    except ValueError:
        return None
    # urlsplit takes blanks as they are, or drops them without a word.
    return parts if whole and not re.search(r"[\s@?#]", text) else None


def _context(credentials: Any) -> ssl.SSLContext:
    """Trusts the root certificates of a PEM file, without one those of the system."""
    if isinstance(credentials, ssl.SSLContext):
        return credentials
    if credentials is None or isinstance(credentials, (str, os.PathLike)):
        try:
            return ssl.create_default_context(cafile=credentials)
        except OSError as error:
            raise ValueError(
                f"credentials must be a PEM file of root certificates. Received: {str(credentials)!r} ({error})."
            ) from error
    raise ValueError(
        "credentials must be a PEM file of root certificates or, over REST, an ssl.SSLContext. Received: "
        f"{type(credentials).__name__}."
    )


def _roots(credentials: Any) -> Any:
    """What `GrpcConnection` takes: the certificates of a file, of the system as far as it has them in one, or as is."""
    if credentials is None:
        # Those that REST trusts too. Without such a file gRPC has its own.
        file = ssl.get_default_verify_paths().cafile
        return None if file is None else Path(file).read_bytes()
    if isinstance(credentials, (str, os.PathLike)):
        _context(credentials)  # gRPC takes bytes of any kind, and says only that it cannot connect
        return Path(credentials).read_bytes()
    return credentials
