"""What a shop says of a parcel: carrier, number, an address to look at. Values in, values out."""

import unicodedata
from typing import Annotated, Final
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from app.refusal import Refusal

URL_LENGTH_MAX: Final = 500
NO_URL: Final = Refusal("tracking_invalid", "The tracking address should be a whole one that begins with https://.")
NOT_PRINTABLE: Final = Refusal("tracking_invalid", "Carrier and number should be something that can be printed.")


class Shipment(Struct, frozen=True, forbid_unknown_fields=True):
    """A parcel. Each part may be empty, but not all."""

    carrier: Annotated[str, Meta(max_length=60)] = ""
    number: Annotated[str, Meta(max_length=80)] = ""
    url: Annotated[str, Meta(max_length=URL_LENGTH_MAX)] = ""


def clean_shipment(written: Shipment) -> Shipment | Refusal:
    """The parcel with its spaces in order. Its address is only ever a link that people may follow: https, a host, and
    nothing in it that a page, a mail or a browser could read as something else.
    """
    carrier, number = (" ".join(line.split(" ")).strip() for line in (written.carrier, written.number))
    if not all(_printable(line) for line in (carrier, number)):
        return NOT_PRINTABLE
    url = written.url.strip(" ")
    if url and not _is_link(url):
        return NO_URL
    if not (carrier or number or url):
        return Refusal("tracking_invalid", "Say at least the carrier, the number or the address.")
    return Shipment(carrier, number, url)


def _printable(line: str) -> bool:
    return all(unicodedata.category(sign) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} for sign in line)


def _is_link(url: str) -> bool:
    if not url.isascii() or not all("!" <= sign <= "~" and sign not in '"<>\\^`{|}' for sign in url):
        return False
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    return (
        url.startswith("https://")
        and bool(parts.hostname)
        and "." in (parts.hostname or "")
        and parts.username is None
        and parts.password is None
        and port in {None, 443}
    )
