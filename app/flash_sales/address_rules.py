"""Which network an address stands for when units are counted per network. Values in, values out."""

from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

PREFIX_V4: Final = 24
PREFIX_V6: Final = 64


def network_of(address: str) -> str:
    """The /24 or /64 that the address is in; "" for one that says nothing of who asks: loopback, or none at all."""
    try:
        found = ip_address(address)
    except ValueError:
        return ""
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    if found.is_loopback:
        return ""
    bits = PREFIX_V6 if isinstance(found, IPv6Address) else PREFIX_V4
    return str(ip_network(f"{found}/{bits}".replace(f"%{getattr(found, 'scope_id', None)}", ""), strict=False))


def default_limit(*, allotment: int, per_buyer_limit: int) -> int:
    """Units for one network when the host says nothing: what an office of buyers may have, or a tenth of a large sale;
    0, none, where that is all there is.
    """
    limit = max(20 * per_buyer_limit, allotment // 10)
    return limit if limit < allotment else 0
