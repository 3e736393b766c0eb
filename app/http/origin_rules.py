"""Where a request comes from: its Origin against our own host, and its address behind trusted proxies.

Pure: values in, answers out. It never reads a request or the settings.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

GROUPS_KNOWN_MAX: Final = 4096

Network: TypeAlias = IPv4Network | IPv6Network

# One serialised origin as browsers send it (RFC 6454): scheme, host, port; no path, no user, no list.
_ORIGIN: Final = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(\d{1,5}))?")
_HOST: Final = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(\d{1,5}))?")
_DEFAULT_PORT: Final = {"http": "80", "https": "443"}


def _triple(origin: str) -> tuple[str, str, str] | None:
    match = _ORIGIN.fullmatch(origin.lower())
    if match is None:
        return None
    scheme, host, port = match.groups()
    return scheme, host, port or _DEFAULT_PORT[scheme]


def origin_allowed(origin: str | None, *, scheme: str, host: str, allowed: Sequence[str] = ()) -> bool:
    """Whether a request with this Origin header may act with a person's cookie.

    True without the header (not a browser, or a navigation that SameSite covers). `scheme` is http or https and
    `host` the Host header, as the client saw them. Whole origins are compared, so neither `null` nor a host that
    merely begins or ends with ours passes.
    """
    if origin is None:
        return True
    theirs = _triple(origin)
    if theirs is None:
        return False
    if any(theirs == _triple(one.rstrip("/")) for one in allowed):
        return True
    ours = _HOST.fullmatch(host.lower())
    if ours is None:
        return False
    return theirs == (scheme, ours.group(1), ours.group(2) or _DEFAULT_PORT[scheme])


def host_believable(host: str, peer: str, trusted: Sequence[Network]) -> bool:
    """Whether the Host header may stand for our own origin.

    Who reaches us over loopback directly calls us by a loopback name. Any other name there is a stranger's, made to
    resolve to this machine, and its page would pass for ours (DNS rebinding). A trusted proxy tells the public name.
    """
    address = _address(peer)
    if address is None or not address.is_loopback or is_trusted(peer, trusted):
        return True
    match = _HOST.fullmatch(host.lower())
    if match is None:
        return False
    name = match.group(1).removesuffix(".")
    own = _address(name)
    return own.is_loopback if own is not None else name == "localhost" or name.endswith(".localhost")


def networks(trusted: Sequence[str]) -> tuple[Network, ...]:
    """The trusted proxies as networks. ValueError names what is neither an address nor a network."""
    return tuple(ip_network(one, strict=False) for one in trusted)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


@lru_cache(maxsize=GROUPS_KNOWN_MAX)
def address_group(text: str) -> str | None:
    """Whom a cap on addresses counts together: an IPv4 address alone, all of an IPv6 /64, which is one household. Asked
    at every message: reading an address costs as much as a filter.

    None for loopback and for what is no address (a unix socket): a proxy or ourselves, and never capped.
    """
    address = _address(text)
    if address is None or address.is_loopback:
        return None
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address) >> 64 << 64, 64)))
    return str(address)


def is_trusted(text: str, trusted: Sequence[Network]) -> bool:
    """Whether the address is a trusted proxy's."""
    address = _address(text)
    return address is not None and any(address in network for network in trusted)


def client_address(peer: str, forwarded_for: str | None, trusted: Sequence[Network]) -> str:
    """The client's address: the first one from the right of X-Forwarded-For that is no trusted proxy.

    A peer that is not trusted is the client whatever it claims; so is the last trusted hop when the header is
    missing or its next entry is no address.
    """
    address = peer
    hops = [hop for hop in (forwarded_for or "").split(",") if hop.strip()]
    while hops and is_trusted(address, trusted):
        hop = _address(hops.pop())
        if hop is None:
            break
        address = str(hop)
    return address


def client_scheme(scheme: str, forwarded_proto: str | None, peer: str, trusted: Sequence[Network]) -> str:
    """The scheme (http or https) as the client used it: X-Forwarded-Proto counts only from a trusted proxy."""
    if forwarded_proto and is_trusted(peer, trusted):
        claimed = forwarded_proto.split(",")[-1].strip().lower()
        return claimed if claimed in _DEFAULT_PORT else "http"
    return "https" if scheme in {"https", "wss"} else "http"
