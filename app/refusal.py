"""An expected refusal: a value that an action returns instead of its answer. An exception on the command line alone.

The edges turn it into words on their wire: HTTP into an RFC 9457 problem document (its status comes from one
table, app/http/problems.py), the room's socket into `{"re": id, "error": {...}}`.
"""

import msgspec


class Refusal(msgspec.Struct, frozen=True):
    """`code` is stable and machine-readable, `message` one human sentence, `retry_after_ms` None when never."""

    code: str
    message: str
    retry_after_ms: int | None = None
    details: dict[str, str | int] | None = None


class CommandRefusedError(RuntimeError):
    """A command of the command line cannot be done, which is its end; the message says why."""
