"""Requests that come whole, in one piece of what a connection sends, written as browsers and proxies write them.

Owns the reading of such a piece, at once and by one pattern, and the words between who reads it (the protocol) and who
answers it. It is strict: of whatever is unusual it knows nothing, and the parser is asked, which knows all of HTTP.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, TypeAlias

import msgspec

WHOLE_BYTES_MAX: Final = 16 * 1024

# Each line begins and ends with something that is seen. Nothing in it is ever tried twice.
_HEAD: Final = re.compile(rb"POST (/[A-Za-z0-9/_-]*+) HTTP/1\.1\r\n((?>[A-Za-z0-9-]++: [!-~][ -~]*+(?<! )\r\n)++)\r\n")
_LINE: Final = re.compile(rb"([A-Za-z0-9-]+): ([ -~]+)\r\n")
_LENGTH: Final = re.compile(rb"0|[1-9][0-9]{0,5}")
_SPECIAL: Final = frozenset({b"transfer-encoding", b"expect", b"upgrade", b"trailer", b"te"})


class WholeRequest(msgspec.Struct, frozen=True, gc=False):
    """A POST without a query. Names in `head` are lower case and there once; its content-length is the body's. `lacks`:
    so many bytes of the body are still to come, and it is none yet.
    """

    path: str
    head: dict[bytes, bytes]
    body: bytes
    lacks: int = 0


class WholeAnswer(msgspec.Struct, frozen=True, gc=False):
    """An answer as it goes over the wire: `lines` are those of its head but for status, date, length and connection."""

    status: int
    lines: bytes
    body: bytes


Tell: TypeAlias = Callable[[WholeAnswer | Awaitable[WholeAnswer | None]], None]


class ShortWay(Protocol):
    """Answers whole requests, past ASGI."""

    def takes(self, asked: WholeRequest) -> bool:
        """Whether it is of the kind that goes this way."""
        ...

    def begin(
        self,
        asked: WholeRequest,
        peer: str,
        scope_of: Callable[[], dict[str, Any]],
        tell: Tell,
    ) -> bool:
        """Whether it has begun at once; `tell` is then called with the answer, or what is to be awaited for it, once
        and in a later turn of the loop; awaited it may be None, as of `answer`. Else nothing has happened: `answer`.
        `peer` is the client's address.
        """
        ...

    def answer(self, asked: WholeRequest, scope: dict[str, Any]) -> Awaitable[WholeAnswer | None]:
        """The answer; None when it has to go the long way after all, and nothing has happened. Raises nothing that is
        the request's fault or ours. `scope` is ASGI's.
        """
        ...


def read_whole(data: bytes) -> WholeRequest | None:
    """The request that `data` is, when it is just one, and usual; or that it begins to be, its head being whole."""
    found = None if len(data) > WHOLE_BYTES_MAX else _HEAD.match(data)
    if found is None:
        return None
    path, block = found.groups()
    lines = _LINE.findall(block)
    head = {name.lower(): value for name, value in lines}
    if len(head) < len(lines) or b"host" not in head:
        return None
    if not _SPECIAL.isdisjoint(head) or head.get(b"connection", b"keep-alive").lower() != b"keep-alive":
        return None
    length = _LENGTH.fullmatch(head.get(b"content-length", b""))
    body = data[found.end() :]
    lacks = -1 if length is None else int(length.group()) - len(body)
    if lacks < 0 or len(data) + lacks > WHOLE_BYTES_MAX:
        return None
    return WholeRequest(path.decode("ascii"), head, body, lacks)
