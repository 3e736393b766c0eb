"""What the web role and the media role say to each other over HTTP: the bodies, and where the media role listens.

Owns these types and the places; imports nothing of the relay, so the web role stays without aiortc.
"""

from pathlib import Path

import msgspec

from app.settings import Settings


class NewSession(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /sessions. `owner` names a publisher's hands (publish_rules), `person` the account behind either kind."""

    show: str
    kind: str  # publish or play
    sdp: str
    addresses: tuple[str, ...]
    owner: str = ""
    person: str | None = None
    takeover: bool = False
    caller: str = ""  # the client's address: what one may have is bounded. Empty: not counted


class SessionMade(msgspec.Struct, frozen=True):
    """201: the session's id (its capability), the answer, and the entity tag of its ICE generation."""

    id: str
    sdp: str
    etag: str


class Trickled(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """PATCH /sessions/{id}: a trickle-ice-sdpfrag and the If-Match header it came with."""

    show: str
    kind: str
    fragment: str
    if_match: str | None


class TrickleTaken(msgspec.Struct, frozen=True):
    """200. `fragment` and `etag` are there when ICE was restarted; else the answer outside is 204."""

    fragment: str | None = None
    etag: str | None = None


class SessionSeen(msgspec.Struct, frozen=True):
    """GET /sessions/{id}: whose it is. The web role decides from it who may touch the session."""

    id: str
    show: str
    kind: str
    owner: str
    etag: str
    state: str


class EndSessions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /shows/{show}/end: of one person, of one publisher's hands (publish_rules); all when both are None."""

    person: str | None = None
    owner: str | None = None


class ShowFigures(msgspec.Struct, frozen=True):
    """GET /shows/{show}: one room's present."""

    show: str
    publishing: bool
    owner: str
    viewers: int
    bitrate_kbps: int
    codec: str
    key_frame_age_ms: int | None
    lost: int
    fps: int = 0
    width: int = 0
    height: int = 0
    loss_percent: float = 0.0  # of what the publisher sent in the last second
    key_frame_interval_ms: int | None = None
    viewers_loss_percent: float = 0.0  # of what we sent, before repair: the mean of the viewers' last reports
    round_trip_ms: int | None = None  # to viewers, the median
    viewers_kbps: int = 0  # to all viewers in the last second, with what they were sent again
    viewer_kbps: int | None = None  # to one, the median


class RelayFigures(msgspec.Struct, frozen=True):
    """GET /stats: the whole node."""

    sessions: int
    rooms: tuple[ShowFigures, ...]
    datagrams_in: int
    datagrams_out: int
    dropped: int
    port: int


def control_urls(settings: Settings) -> tuple[str, ...]:
    """Where the media role's processes take requests: MEDIA_CONTROL_URL, several with commas; one socket in the data
    folder when it is empty.
    """
    given = tuple(one.strip() for one in settings.media_control_url.split(",") if one.strip())
    return given or (f"unix:{settings.data_dir / 'media.sock'}",)


def control_socket(url: str) -> Path | None:
    """The unix socket of a `unix:<path>` url; None for an http address."""
    scheme, _, path = url.partition(":")
    return Path(path) if scheme == "unix" else None
