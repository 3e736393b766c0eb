"""The codes that a room's socket is closed with, and the exception that carries one to where the socket is.

4000-4099 say "do not come back", 4100-4199 "resume"; 1012 and 1013 carry the delay in milliseconds as their reason.
"""

from typing import Final

import msgspec

from app.rooms.crowd import delay_ms

BAD_REQUEST: Final = 4000
SIGN_IN: Final = 4001
FORBIDDEN: Final = 4003
UNKNOWN_SHOW: Final = 4004
TOO_LARGE: Final = 4009
SLOW: Final = 4108
RESTART: Final = 1012
OVERLOADED: Final = 1013
DEFECT: Final = 1011
REASON_BYTES_MAX: Final = 120
"""A close frame's reason has 123 (RFC 6455, section 5.5)."""


class Close(msgspec.Struct, frozen=True):
    """What a socket is closed with. To be kept in place of the exception, whose traceback would hold its keeper."""

    code: int
    reason: str


class Refused(Exception):  # noqa: N818 - an expected end of a socket, not an error
    """The socket is to be closed."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.close = Close(code, reason[:REASON_BYTES_MAX].encode("ascii", "replace").decode())


def overloaded() -> Close:
    """Come back later, each after a delay of its own."""
    return Close(OVERLOADED, str(delay_ms()))
