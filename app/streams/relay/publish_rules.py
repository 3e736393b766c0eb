"""Who may publish in a show that has a publisher already. Pure: one decision, as a table of branches."""

from typing import Final

import msgspec

from app.refusal import Refusal
from app.streams.relay.limits import PUBLISHER_SILENT_S, SYNTHETIC_WAITS_S

SYNTHETIC: Final = "synthetic"  # the demo's generated host: it gives way to anyone
STREAM_KEY: Final = "key"  # whoever has the show's stream key: the hosts gave it to their own encoder
ACCOUNT: Final = "account:"  # a host in the studio page, by account


class Present(msgspec.Struct, frozen=True):
    """The session that publishes, or is about to. `silent_s`: since its last RTP packet, or since it began."""

    owner: str
    silent_s: float


def refuse_publisher(
    owner: str, present: Present | None, *, takeover: bool, vacant_s: float | None = None
) -> Refusal | None:
    """None when `owner` may publish now, which ends the present session; else why not.

    `vacant_s`: how long nobody has published after a person did, None when no person has.
    """
    if present is None:
        if owner == SYNTHETIC and vacant_s is not None and vacant_s < SYNTHETIC_WAITS_S:
            wait_ms = round((SYNTHETIC_WAITS_S - vacant_s) * 1000)
            return Refusal("publisher_present", "A host was here a moment ago and may come back.", wait_ms)
        return None
    if present.owner == SYNTHETIC:
        return None
    if owner != SYNTHETIC and _same_hands(owner, present.owner):
        if takeover or present.silent_s >= PUBLISHER_SILENT_S:
            return None
        message = "You are publishing already. Take over from that session, or end it first."
        return Refusal("publisher_present", message, round((PUBLISHER_SILENT_S - present.silent_s) * 1000) + 1)
    return Refusal("publisher_present", "Somebody else is publishing in this show.", round(SYNTHETIC_WAITS_S * 1000))


def _same_hands(one: str, other: str) -> bool:
    """The same account, or the show's own encoder on either side."""
    return one == other or STREAM_KEY in {one, other}
