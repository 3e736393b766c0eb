"""The bytes of what a room sends: JSON bodies joined from JSON pieces, and WebSocket text frames. Pure.

Events, state values and hints pass through as the bytes they came in; nothing is decoded or encoded twice.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from app.refusal import Refusal

PORTION_BYTES_MAX: Final = 48 * 1024
"""Events given at once to one viewer: what a socket holds for a peer that does not read is bounded by it."""

encode: Final = msgspec.json.Encoder().encode
StateJson = Mapping[str, tuple[int, bytes]]


def text_frame(body: bytes) -> bytes:
    """One unfragmented, unmasked WebSocket text frame (RFC 6455, section 5.2)."""
    length = len(body)
    if length < 126:
        return bytes((0x81, length)) + body
    if length < 65536:
        return struct.pack("!BBH", 0x81, 126, length) + body
    return struct.pack("!BBQ", 0x81, 127, length) + body


def body_of(frame: bytes) -> bytes:
    """The body of a frame that `text_frame` made."""
    return frame[{126: 4, 127: 10}.get(frame[1], 2) :]


def _state_json(state: StateJson) -> bytes:
    entries = (b"%b:[%d,%b]" % (encode(key), version, value) for key, (version, value) in state.items())
    return b"{" + b",".join(entries) + b"}"


def room_body(
    epoch: str, first: int, events: Sequence[bytes], state: StateJson, reactions: Mapping[str, int] | None = None
) -> bytes:
    """What all viewers get: events from offset `first` on, the state keys that changed, sums of reactions."""
    parts = [b'{"e":%b' % encode(epoch)]
    if events:
        parts.append(b'"o":%d,"m":[%b]' % (first, b",".join(events)))
    if state:
        parts.append(b'"k":' + _state_json(state))
    if reactions:
        parts.append(b'"r":' + encode(reactions))
    return b",".join(parts) + b"}"


def joined_body(
    epoch: str,
    first: int,
    events: Sequence[bytes],
    state: StateJson,
    *,
    recovered: bool,
    server_now_ms: int,
    me: Mapping[str, Any] | None,
) -> bytes:
    """The join reply, and without `me` the fresh start of a viewer that cannot be continued."""
    parts = [
        b'{"joined":{"e":%b,"o":%d,"recovered":%b' % (encode(epoch), first + len(events) - 1, encode(recovered)),
        b'"server_now_ms":%d,"first":%d,"m":[%b]' % (server_now_ms, first, b",".join(events)),
        b'"k":' + _state_json(state),
    ]
    if me is not None:
        parts.append(b'"me":' + encode(me))
    return b",".join(parts) + b"}}"


def hint_body(hints: Iterable[bytes]) -> bytes:
    """Hints for one person."""
    return b'{"u":[' + b",".join(hints) + b"]}"


def reply_body(command_id: str, answer: Any) -> bytes:
    """What a command is answered: `re` and the answer's own fields."""
    fields = {} if answer is None else msgspec.to_builtins(answer)
    assert isinstance(fields, dict), fields
    return encode({"re": command_id, **fields})


def error_body(command_id: str | None, refusal: Refusal) -> bytes:
    """What a refused command is answered."""
    error: dict[str, Any] = {
        "code": refusal.code,
        "message": refusal.message,
        "retry_after_ms": refusal.retry_after_ms,
    }
    if refusal.details:
        error["details"] = refusal.details
    return encode({"re": command_id, "error": error})


def portion(events: Sequence[bytes]) -> int:
    """How many of the events, from the first on, fit into one portion; at least one if there are any."""
    size = 0
    for count, event in enumerate(events):
        size += len(event) + 1
        if size > PORTION_BYTES_MAX and count:
            return count
    return len(events)


def last_portion(events: Sequence[bytes]) -> int:
    """How many of the events, up to the last, fit into one portion; at least one if there are any."""
    return portion(events[::-1])
