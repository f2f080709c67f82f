"""A certificate for this machine, which nobody trusts unless told."""

import datetime
import ipaddress

import pytest


def self_signed(folder, names=("localhost",), addresses=("127.0.0.1",)):
    """The files of a private key and of its certificate, which signs itself."""
    pytest.importorskip("cryptography", reason="needs the package cryptography to make a certificate")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "kerasfast test")])
    now = datetime.datetime.now(datetime.timezone.utc)
    others = [*map(x509.DNSName, names), *(x509.IPAddress(ipaddress.ip_address(one)) for one in addresses)]
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(others), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / "key.pem", folder / "certificate.pem"
    encoded = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    files[0].write_bytes(encoded)
    files[1].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return files
