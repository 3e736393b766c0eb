"""The room's state key `stream`: whether there is something to watch. Owns its name and shape."""

from typing import Final

import msgspec

STREAM_KEY: Final = "stream"


class StreamState(msgspec.Struct, frozen=True):
    """`publishing` is true from a publisher's finished handshake to the end of its session."""

    publishing: bool
