"""Stream keys: what an encoder shows to publish in a show. Only the hash is kept; the key is shown once.

Owns making and replacing them; WHIP looks the hash of what it is shown up. A new key makes the old one worthless, and
takes off air who published with it.
"""

import hashlib
from typing import Final

from app import clock
from app.http.door import Surroundings
from app.http.endpoint import Call, Reply
from app.refusal import Refusal
from app.streams.parts import Streams
from app.streams.relay.publish_rules import STREAM_KEY
from app.streams.shows import NO_SHOW
from app.streams.views import NewStreamKey, StreamKeyHint

# The show's one key, put in the place of the last. Nothing for an unknown show.
_ROTATE: Final = """
INSERT INTO stream_keys (show_id, key_hash, hint) SELECT id, $2, $3 FROM shows WHERE id = $1
ON CONFLICT (show_id) DO UPDATE SET key_hash = excluded.key_hash, hint = excluded.hint, rotated_at = now()
RETURNING show_id
"""
_HINT: Final = "SELECT k.hint FROM shows w LEFT JOIN stream_keys k ON k.show_id = w.id WHERE w.id = $1"


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _whip_url(streams: Streams, call: Call) -> str:
    scheme = Surroundings(streams.settings).scheme(call.request)
    return f"{scheme}://{call.request.headers.get('host', '')}/whip/{call.path['show']}"


async def rotate_stream_key(streams: Streams, call: Call) -> Reply | Refusal:
    """Makes a new key and shows it this once. Whoever had the old one may be the reason: they go off air."""
    key = clock.new_secret()
    hint = key[-4:]
    if await streams.pg.fetchval(_ROTATE, call.path["show"], _hash(key), hint) is None:
        return NO_SHOW
    if streams.media is not None:
        await streams.media.end_sessions(call.path["show"], owner=STREAM_KEY)
    return Reply(NewStreamKey(_whip_url(streams, call), key, hint), status=201)


async def read_stream_key(streams: Streams, call: Call) -> Reply | Refusal:
    """Where to send the stream, and which key it was."""
    row = await streams.pg.fetchrow(_HINT, call.path["show"])
    return NO_SHOW if row is None else Reply(StreamKeyHint(_whip_url(streams, call), row["hint"]))
