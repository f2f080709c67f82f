import contextlib
import re
import ssl

import numpy as np
import pytest
from certificates import self_signed
from serving_server import NO_API, grpc_server, rest_server

from kerasfast.serving.connections import connect
from kerasfast.serving.errors import ServingError
from kerasfast.serving.rest import RestConnection


@pytest.mark.parametrize(
    ("host", "protocol", "address"),
    [
        ("gpu1:8501", None, "http://gpu1:8501"),
        ("gpu1:9000", "rest", "http://gpu1:9000"),
        ("http://gpu1:9000/", None, "http://gpu1:9000"),
        ("https://gpu1:443", "rest", "https://gpu1:443"),
        ("http://[::1]:8500", None, "http://[::1]:8500"),
        ("https://proxy:443/video/serving/", None, "https://proxy:443/video/serving"),
    ],
)
def test_rest_by_port_scheme_or_name(host, protocol, address):
    connection = connect(host, protocol, "m", None, 5)
    assert isinstance(connection, RestConnection) and connection.host == address


@pytest.mark.parametrize(("host", "protocol"), [("gpu1:8500", None), ("gpu1:8501", "grpc"), ("grpc://gpu1:8501", None)])
def test_grpc_otherwise(host, protocol):
    pytest.importorskip("tensorflow_serving", reason="needs tensorflow-serving-api: install kerasfast[client]")
    connection = connect(host, protocol, "m", None, 5)
    assert type(connection).__name__ == "GrpcConnection" and connection.host == host.removeprefix("grpc://")
    connection.close()


@pytest.mark.parametrize(
    ("host", "protocol"),
    [
        ("gpu1", None),
        ("ftp://gpu1:8500", None),
        ("gpu1:port", None),
        ("gpu1:8500", "http"),
        ("", None),
        ("gpu1:99999", None),
        ("a b:1", None),
        ("gpu1:8500 ", None),
        ("gpu\t1:8501", None),
        (":8500", None),
        ("http://me@gpu1:8501", None),
        ("http://gpu1:8501?a=1", None),
    ],
)
def test_an_address_without_sense(host, protocol):
    with pytest.raises(ValueError, match=rf"host must be HOST:PORT.*Received: host={re.escape(repr(host))}"):
        connect(host, protocol, "m", None, 5)


@pytest.mark.parametrize("host", ["grpc://gpu1:8500/x", "gpu1:8500/v1/models", "grpcs://gpu1:8500/x/"])
def test_grpc_has_no_paths(host):
    with pytest.raises(ValueError, match=rf"gRPC has no paths: host must be HOST:PORT\. Received: host='{host}'"):
        connect(host, None, "m", None, 5)


@pytest.mark.parametrize(("host", "protocol"), [("http://gpu1:8501", "grpc"), ("grpc://gpu1:8500", "rest")])
def test_scheme_and_protocol_agree(host, protocol):
    with pytest.raises(ValueError, match=r"host and protocol must agree\. Received"):
        connect(host, protocol, "m", None, 5)


SERVERS = {"grpc": grpc_server, "rest": rest_server}


@pytest.fixture(params=SERVERS)
def encrypted(request, served, tmp_path, monkeypatch):
    """The address of a server with a certificate that signs itself, and that certificate's file."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    if request.param == "grpc":
        pytest.importorskip("tensorflow_serving", reason=NO_API)
    files = self_signed(tmp_path)
    with SERVERS[request.param]({"tiny": served[1]}, certificate=files) as found:
        yield (f"grpcs://{found}" if request.param == "grpc" else found[0]), files[1]


def outputs(host, timeout=20, **options):
    with contextlib.closing(connect(host, None, "tiny", None, timeout, **options)) as connection:
        views = np.full((1, 8, 64, 64, 3), 90, np.uint8)
        return connection.predict("serving_default", views)["verb"].shape


def test_an_encrypted_server_whose_certificate_is_trusted(encrypted):
    host, trusted = encrypted
    assert outputs(host, credentials=trusted) == outputs(host, credentials=str(trusted)) == (1, 4)


def test_credentials_of_the_library_itself(encrypted):
    host, trusted = encrypted
    if host.startswith("grpcs"):
        import grpc

        own, other = grpc.ssl_channel_credentials(trusted.read_bytes()), ssl.create_default_context()
    else:
        own, other = ssl.create_default_context(cafile=trusted), object()
    assert outputs(host, credentials=own) == (1, 4)
    with pytest.raises(ValueError, match=r"credentials must be a PEM file.*Received: (SSLContext|object)"):
        connect(host, None, "tiny", None, 20, credentials=other)


def test_roots_of_the_system(encrypted, monkeypatch):
    host, trusted = encrypted
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))  # where OpenSSL looks for them
    assert outputs(host) == (1, 4)


def test_a_certificate_that_nobody_trusts(encrypted, tmp_path):
    host, _ = encrypted
    (tmp_path / "other").mkdir()
    _, other = self_signed(tmp_path / "other")
    with pytest.raises(ServingError, match=r"answers UNAVAILABLE to .* Give credentials=, the root certif") as error:
        outputs(host, retries=1, credentials=other)
    assert not error.value.transient


def test_a_certificate_of_another_host(served, tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    files = self_signed(tmp_path, names=("elsewhere",), addresses=())
    for protocol, server in SERVERS.items():
        with contextlib.suppress(ModuleNotFoundError), server({"tiny": served[1]}, certificate=files) as found:
            host = f"grpcs://{found}" if protocol == "grpc" else found[0]
            with pytest.raises(ServingError, match="and host as the server's certificate names it"):
                outputs(host, retries=0, credentials=files[1])


def test_in_the_clear_to_an_encrypted_server(encrypted):
    host, _ = encrypted
    with pytest.raises(ServingError, match="UNAVAILABLE"):
        outputs(host.replace("s://", "://"), retries=0)


@pytest.mark.parametrize("scheme", ["grpcs", "https"])
def test_credentials_that_are_none(scheme, tmp_path):
    if scheme == "grpcs":
        pytest.importorskip("tensorflow_serving", reason=NO_API)
    (tmp_path / "key.pem").write_text("no certificate")
    for bad in (tmp_path / "key.pem", tmp_path / "nowhere.pem", str(tmp_path)):
        with pytest.raises(ValueError, match=rf"credentials must be a PEM file .*Received: '{re.escape(str(bad))}'"):
            connect(f"{scheme}://gpu1:8500", None, "m", None, 5, credentials=bad)


@pytest.mark.parametrize("host", ["gpu1:8500", "grpc://gpu1:8500", "http://gpu1:8501"])
def test_credentials_ask_for_an_encrypted_scheme(host):
    with pytest.raises(ValueError, match=r"credentials belong to an encrypted connection, grpcs://HOST:PORT or https"):
        connect(host, None, "m", None, 5, credentials="roots.pem")
