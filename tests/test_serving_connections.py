import pytest

from kerasfast.serving.connections import connect
from kerasfast.serving.rest import RestConnection


@pytest.mark.parametrize(
    ("host", "protocol", "address"),
    [
        ("gpu1:8501", None, "http://gpu1:8501"),
        ("gpu1:9000", "rest", "http://gpu1:9000"),
        ("http://gpu1:9000/", None, "http://gpu1:9000"),
        ("https://gpu1:443", "rest", "https://gpu1:443"),
        ("http://[::1]:8500", None, "http://[::1]:8500"),
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
    ],
)
def test_an_address_without_sense(host, protocol):
    with pytest.raises(ValueError, match=rf"host must be HOST:PORT.*Received: host='{host}'"):
        connect(host, protocol, "m", None, 5)


@pytest.mark.parametrize(("host", "protocol"), [("http://gpu1:8501", "grpc"), ("grpc://gpu1:8500", "rest")])
def test_scheme_and_protocol_agree(host, protocol):
    with pytest.raises(ValueError, match=r"host and protocol must agree\. Received"):
        connect(host, protocol, "m", None, 5)
