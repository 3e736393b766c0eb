"""Which addresses an answer offers for media. Pure: what is known of the request in, addresses out.

Without a published address they are those at which the request itself arrived: whoever reached us there by TCP
reaches us there by UDP. A proxy in front hides that, so behind one MEDIA_ADDRESS must be set. IPv6 is offered where the
relay's port speaks it, which it does once HOST or MEDIA_ADDRESS has such an address.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

LOOPBACK: Final = "127.0.0.1"
ADDRESSES_MAX: Final = 4


def speaks_ipv6(published: str, bound: str) -> bool:
    """Whether the relay's port takes IPv6: `published` is MEDIA_ADDRESS, `bound` HOST."""
    return ":" in published + bound


def offered_addresses(published: str, *, client: str, server: str, host: str, ipv6: bool = False) -> tuple[str, ...]:
    """`published` is MEDIA_ADDRESS (several with commas); `client` and `server` the two ends of the request's
    connection; `host` its Host header; `ipv6` whether the port takes it. Never empty, never an unspecified address.
    """
    if published:
        return tuple(one.strip() for one in published.split(",") if one.strip())[:ADDRESSES_MAX]
    arrived = _address(server)
    here = str(arrived) if ipv6 and _is_loopback(arrived) else LOOPBACK
    offered = [here] if _is_loopback(_address(client)) else []
    # The Host header is the asker's own word about where it sees us; it can only mislead its own connection.
    places = (arrived, _address(_without_port(host)))
    offered += [str(one) for one in places if _reachable(one, ipv6=ipv6)]
    return tuple(dict.fromkeys(offered))[:ADDRESSES_MAX] or (here,)


def _reachable(address: IPv4Address | IPv6Address | None, *, ipv6: bool) -> bool:
    """A candidate has no place for the zone that an address of a link needs."""
    if address is None or address.is_unspecified or address.is_loopback:
        return False
    return isinstance(address, IPv4Address) or (ipv6 and not address.is_link_local)


def _is_loopback(address: IPv4Address | IPv6Address | None) -> bool:
    return address is not None and address.is_loopback


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _without_port(host: str) -> str:
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
