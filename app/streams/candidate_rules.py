"""Which addresses an answer offers for media. Pure: what is known of the request in, addresses out.

Without a published address they are those at which the request itself arrived: whoever reached us there by TCP
reaches us there by UDP. A proxy in front hides that, so behind one MEDIA_ADDRESS must be set.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

LOOPBACK: Final = "127.0.0.1"
ADDRESSES_MAX: Final = 4


def offered_addresses(published: str, *, client: str, server: str, host: str) -> tuple[str, ...]:
    """`published` is MEDIA_ADDRESS (several with commas); `client` and `server` the two ends of the request's
    connection; `host` its Host header. Never empty, never an unspecified address.
    """
    if published:
        return tuple(one.strip() for one in published.split(",") if one.strip())[:ADDRESSES_MAX]
    arrived = _address(server)
    from_here = _is_loopback(_address(client))
    offered = [LOOPBACK] if from_here else []
    # The Host header is the asker's own word about where it sees us; it can only mislead its own connection.
    places = (arrived, _address(_without_port(host)))
    offered += [str(one) for one in places if _reachable(one)]
    return tuple(dict.fromkeys(offered))[:ADDRESSES_MAX] or (LOOPBACK,)


def _reachable(address: IPv4Address | IPv6Address | None) -> bool:
    return isinstance(address, IPv4Address) and not address.is_unspecified and not address.is_loopback


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
