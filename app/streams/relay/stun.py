"""STUN binding as an ICE-lite agent needs it (RFC 8489, RFC 8445): reads a request, proves it, writes the answer.

Pure: bytes in, values and bytes out. It never decides what an authenticated request means for a session.
"""

import hashlib
import hmac
import socket
import struct
import zlib
from typing import Final

import msgspec

from app.streams.relay.udp import Address

MAGIC: Final = 0x2112A442
HEADER_BYTES: Final = 20
MESSAGE_BYTES_MAX: Final = 1_500
ATTRIBUTES_MAX: Final = 32

BINDING_REQUEST: Final = 0x0001
BINDING_SUCCESS: Final = 0x0101
BINDING_ERROR: Final = 0x0111

_USERNAME: Final = 0x0006
_MESSAGE_INTEGRITY: Final = 0x0008
_ERROR_CODE: Final = 0x0009
_UNKNOWN_ATTRIBUTES: Final = 0x000A
_XOR_MAPPED_ADDRESS: Final = 0x0020
_PRIORITY: Final = 0x0024
_USE_CANDIDATE: Final = 0x0025
_FINGERPRINT: Final = 0x8028
_ICE_CONTROLLED: Final = 0x8029
_UNDERSTOOD: Final = frozenset({_USERNAME, _MESSAGE_INTEGRITY, _PRIORITY, _USE_CANDIDATE})
_OPTIONAL_FROM: Final = 0x8000  # attributes from here on may be passed over
_FINGERPRINT_XOR: Final = 0x5354554E

_HEADER: Final = struct.Struct("!HHI12s")
_TLV: Final = struct.Struct("!HH")
_MAPPED: Final = "::ffff:"


class BindingRequest(msgspec.Struct, frozen=True):
    """A well-formed request whose fingerprint holds. Nothing in it is proven until `is_from` says so."""

    transaction: bytes
    ufrag: str  # ours: the part of the username before the colon
    use_candidate: bool
    claims_controlled: bool
    unknown: tuple[int, ...]
    signed: bytes  # what the integrity covers, its length field already set
    integrity: bytes

    def is_from(self, password: bytes) -> bool:
        """True when the sender knows `password`, which only the answer to its offer told."""
        return hmac.compare_digest(hmac.digest(password, self.signed, "sha1"), self.integrity)


def is_stun(data: bytes) -> bool:
    """True for what RFC 7983 sends to STUN: a first byte of 0..3 and the magic cookie."""
    return len(data) >= HEADER_BYTES and data[0] < 4 and data[4:8] == b"\x21\x12\xa4\x42"


def read_request(data: bytes) -> BindingRequest | None:
    """The binding request in `data`, or None for anything that deserves no answer.

    Username, integrity and fingerprint are demanded, as RFC 8445 section 7.3 has every check carry them.
    """
    if not is_stun(data) or len(data) > MESSAGE_BYTES_MAX:
        return None
    kind, length, _, transaction = _HEADER.unpack_from(data)
    if kind != BINDING_REQUEST or length != len(data) - HEADER_BYTES or length % 4:
        return None
    attributes = _walk(data)
    if attributes is None or not _fingerprint_holds(data, attributes[-1]):
        return None
    found = {kind: (at, size) for kind, at, size in reversed(attributes)}  # of duplicates the first counts
    at, size = found.get(_MESSAGE_INTEGRITY, (0, 0))
    if size != hashlib.sha1(usedforsecurity=False).digest_size:
        return None
    username_at, username_size = found.get(_USERNAME, (0, 0))
    ufrag, colon, _ = data[username_at + 4 : username_at + 4 + username_size].partition(b":")
    if not colon or not ufrag.isascii() or username_at > at:
        return None
    before = [kind for kind, where, _ in attributes if where < at]
    return BindingRequest(
        transaction=transaction,
        ufrag=ufrag.decode("ascii"),
        use_candidate=_USE_CANDIDATE in before,
        claims_controlled=_ICE_CONTROLLED in before,
        unknown=tuple(sorted({kind for kind in before if kind < _OPTIONAL_FROM and kind not in _UNDERSTOOD})),
        # The length counts up to and with the integrity attribute (RFC 8489, 14.5).
        signed=data[:2] + struct.pack("!H", at + 24 - HEADER_BYTES) + data[4:at],
        integrity=data[at + 4 : at + 24],
    )


def _fingerprint_holds(data: bytes, last: tuple[int, int, int]) -> bool:
    expected = struct.pack("!I", zlib.crc32(data[:-8]) ^ _FINGERPRINT_XOR)
    return last == (_FINGERPRINT, len(data) - 8, 4) and data[-4:] == expected


def _walk(data: bytes) -> list[tuple[int, int, int]] | None:
    """(type, offset, value length) of each attribute, or None when they are none or do not fill the message."""
    attributes: list[tuple[int, int, int]] = []
    at = HEADER_BYTES
    while at < len(data):
        if at + 4 > len(data) or len(attributes) == ATTRIBUTES_MAX:
            return None
        kind, size = _TLV.unpack_from(data, at)
        attributes.append((kind, at, size))
        at += 4 + size + (-size % 4)
    return attributes if attributes and at == len(data) else None


def write_success(request: BindingRequest, password: bytes, address: Address) -> bytes:
    """The answer that tells the sender the address it was seen at."""
    return _sealed(BINDING_SUCCESS, request.transaction, _xor_mapped(request.transaction, address), password)


def write_error(request: BindingRequest, password: bytes, code: int) -> bytes:
    """An error answer: 487 for a claim to our own role, 420 for attributes that must be understood and are not."""
    body = _attribute(_ERROR_CODE, struct.pack("!HBB", 0, code // 100, code % 100))
    if code == 420:
        body += _attribute(_UNKNOWN_ATTRIBUTES, struct.pack(f"!{len(request.unknown)}H", *request.unknown))
    return _sealed(BINDING_ERROR, request.transaction, body, password)


def _xor_mapped(transaction: bytes, address: Address) -> bytes:
    host, port = address[:2]
    if host.startswith(_MAPPED) and "." in host:  # IPv4 as a socket for both has it
        host = host.removeprefix(_MAPPED)
    family, packed = (2, socket.inet_pton(socket.AF_INET6, host)) if ":" in host else (1, socket.inet_aton(host))
    mask = (struct.pack("!I", MAGIC) + transaction)[: len(packed)]
    masked = bytes(a ^ b for a, b in zip(packed, mask, strict=True))
    return _attribute(_XOR_MAPPED_ADDRESS, struct.pack("!BBH", 0, family, port ^ (MAGIC >> 16)) + masked)


def _attribute(kind: int, value: bytes) -> bytes:
    return _TLV.pack(kind, len(value)) + value + bytes(-len(value) % 4)


def _sealed(kind: int, transaction: bytes, body: bytes, password: bytes) -> bytes:
    """The message with integrity and fingerprint. Each covers a header whose length counts it already."""
    message = _HEADER.pack(kind, len(body) + 24, MAGIC, transaction) + body
    body += _attribute(_MESSAGE_INTEGRITY, hmac.digest(password, message, "sha1"))
    message = _HEADER.pack(kind, len(body) + 8, MAGIC, transaction) + body
    return message + _attribute(_FINGERPRINT, struct.pack("!I", zlib.crc32(message) ^ _FINGERPRINT_XOR))
