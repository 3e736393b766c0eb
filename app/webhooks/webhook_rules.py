"""The rules of webhooks: which events there are, which addresses may be called, when to try again and when to stop.

Pure: values in, values out. Signing is the library's (Standard Webhooks 1.0, https://www.standardwebhooks.com).
"""

from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import urlsplit

from app.refusal import Refusal

EVENT_TYPES: Final = frozenset(
    [
        *(f"order.{state}" for state in ("authorised", "paid", "cancelled", "refunded")),
        *(f"dispute.{state}" for state in ("inquiry", "open", "won", "lost", "closed")),
        *(f"show.{state}" for state in ("scheduled", "rehearsal", "live", "paused", "ended")),
        *(f"flash_sale.{state}" for state in ("scheduled", "countdown", "running", "sold_out", "ended", "cancelled")),
    ]
)
"""`<thing>.<the state that it came into>`; the migration's triggers write the same words."""
PING: Final = "webhook.ping"
URL_LENGTH_MAX: Final = 2048
PAUSES_S: Final = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Between the tries of one delivery, as Standard Webhooks advises: three days in all."""
TRIES_MAX: Final = len(PAUSES_S) + 1
JITTER: Final = 0.2
SUSPENDED_AFTER: Final = timedelta(days=5)
GONE: Final = 410

_NAT64: Final = IPv6Network("64:ff9b::/96")


def check_url(url: str, *, private: bool) -> Refusal | None:
    """Why a delivery must not go there, as far as the text tells. `private` allows http and private addresses."""
    wrong = _fault(url, private=private)
    return None if wrong is None else Refusal("url_invalid", f"The URL {wrong}.")


def _fault(url: str, *, private: bool) -> str | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "is not an address"
    faults = (
        (
            len(url) > URL_LENGTH_MAX or not url.isascii() or any(sign <= " " or sign == "\\" for sign in url),
            f"should be plain ASCII of at most {URL_LENGTH_MAX} characters",
        ),
        (parts.scheme != "https" and not (private and parts.scheme == "http"), "should begin with https://"),
        (not parts.hostname or port == 0, "should name a host"),
        (parts.username is not None or parts.password is not None, "should name nobody who signs in there"),
        (bool(parts.fragment), "should have no fragment"),
        (not private and _is_private_literal(parts.hostname or ""), "is a private address"),
    )
    return next((words for wrong, words in faults if wrong), None)


def _is_private_literal(host: str) -> bool:
    """A name is none: it is judged by what it resolves to, at the moment of the call."""
    try:
        return not is_public(ip_address(host))
    except ValueError:
        return False


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether this address is one of the whole internet's, also for an IPv4 address in an IPv6 one's clothes."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if address.teredo is not None:
            return False
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast


def is_received(status: int) -> bool:
    """2xx; a redirection is not followed, so it is a failure."""
    return 200 <= status < 300


def pause_s(tries: int, dice: float) -> float | None:
    """Seconds until the next try after so many; `dice` in [0, 1) spreads them. None: that was the last."""
    return None if tries >= TRIES_MAX else PAUSES_S[tries - 1] * (1 + JITTER * dice)


def is_to_suspend(status: int | None, failing_since: datetime, now: datetime) -> bool:
    """Whether an endpoint that just failed is given up: it says that it is gone, or has failed for days."""
    return status == GONE or now - failing_since >= SUSPENDED_AFTER
