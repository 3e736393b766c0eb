"""Makes a self-signed certificate for this machine's addresses: `self_signed.py FOLDER` writes cert.pem and key.pem.

For trying Hawker from a phone in the same network; the phone's browser will ask whether to trust it. Kept while it
fits the addresses and has a week left.
"""

import datetime as dt
import ipaddress
import socket
import sys
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

VALID: Final = dt.timedelta(days=90)
RENEW_BEFORE: Final = dt.timedelta(days=7)
DOCUMENTATION_ADDRESS: Final = "192.0.2.1"  # RFC 5737


def own_addresses() -> list[str]:
    """The loopback address and the one that others in the network use."""
    addresses = ["127.0.0.1"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((DOCUMENTATION_ADDRESS, 9))  # a datagram socket sends nothing by connecting
        except OSError:
            return addresses
        own = probe.getsockname()[0]
    return addresses if own in addresses else [*addresses, own]


def still_fits(path: Path, addresses: list[str], now: dt.datetime) -> bool:
    """True when the certificate at `path` names all addresses and lasts."""
    if not path.exists():
        return False
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    known = {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    return known.issuperset(addresses) and certificate.not_valid_after_utc - now > RENEW_BEFORE


def make(folder: Path, addresses: list[str], now: dt.datetime) -> None:
    """Writes a fresh key and certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Hawker on this machine")])
    alternatives = [x509.DNSName("localhost"), *(x509.IPAddress(ipaddress.ip_address(one)) for one in addresses)]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))  # a phone's clock may be behind
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key_file = folder / "key.pem"
    key_file.touch(mode=0o600)
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def main(folder: Path) -> None:
    """Makes the certificate when there is none that fits."""
    now = dt.datetime.now(dt.UTC)
    addresses = own_addresses()
    if not still_fits(folder / "cert.pem", addresses, now):
        make(folder, addresses, now)
    print(
        f"hawker: the certificate is our own ({folder / 'cert.pem'}): browsers ask whether to trust it", file=sys.stderr
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
