"""WHIP (RFC 9725) and WHEP: what a publisher and a viewer may ask of a show's stream, and how it is answered.

Owns who may publish and watch, and the headers of both protocols. Sessions themselves live in the media role.
"""

import hashlib
import hmac
from typing import Final

from app.http.credentials import bearer, by_cookie, csrf_holds
from app.http.endpoint import Call, Reply
from app.person import Right
from app.refusal import Refusal
from app.streams.candidate_rules import offered_addresses, speaks_ipv6
from app.streams.media_parts import Media
from app.streams.relay.publish_rules import ACCOUNT, STREAM_KEY, SYNTHETIC
from app.streams.relay.wire import NewSession, SessionSeen, Trickled, TrickleTaken
from app.streams.synthetic_key import DEMO_SHOW, synthetic_key
from app.streams.turn_rules import ice_server_links

SDP_TYPE: Final = "application/sdp"
FRAGMENT_TYPE: Final = "application/trickle-ice-sdpfrag"
NOT_LIVE_RETRY_MS: Final = 2_000
_WATCHABLE: Final = frozenset({"live", "paused"})
_NOT_FOUND: Final = Refusal("not_found", "There is nothing at this address.")
_BANNED: Final = Refusal("banned", "You may not watch this show.")
_BEARER: Final = Refusal("sign_in", "Send the show's stream key as a bearer, or sign in as its host.")

# Purpose: the state that decides whether a show may be watched or published in.
_SHOW_STATE: Final = "SELECT state FROM shows WHERE id = $1"
# Purpose: the show that a stream key opens.
_KEY_SHOW: Final = "SELECT show_id FROM stream_keys WHERE key_hash = $1"


async def publish(media: Media, call: Call) -> Reply | Refusal:
    """POST /whip/{show}: a publisher's offer. Takes the show's stage once connected; `?takeover=1` asks for it."""
    show = call.path["show"]
    owner = await _publisher(media, call, show)
    if isinstance(owner, Refusal):
        return owner
    state = await media.pg.fetchval(_SHOW_STATE, show)
    if state is None:
        return _NOT_FOUND
    if state == "ended":
        return Refusal("show_ended", "This show has ended.")
    opened = await _open(media, call, "publish", owner)
    if isinstance(opened, Reply) and await _publisher(media, call, show) != owner:
        # The key was made anew meanwhile: whoever ended the sessions of the old one did not see this one yet.
        await media.control.end(opened.headers["Location"].rpartition("/")[2])
        return _BEARER
    return opened


async def watch(media: Media, call: Call) -> Reply | Refusal:
    """POST /whep/{show}: a viewer's offer. A public show needs no proof of who watches; who is banned and says so
    themselves does not get in.
    """
    state = await media.pg.fetchval(_SHOW_STATE, call.path["show"])
    if state is None:
        return _NOT_FOUND
    if state not in _WATCHABLE:
        return Refusal("not_live", "This show is not live.", NOT_LIVE_RETRY_MS)
    if call.person is not None and await media.bans.bars(call.person.id, call.path["show"]):
        return _BANNED
    return await _open(media, call, "play", "")


async def trickle_published(media: Media, call: Call) -> Reply | Refusal:
    """PATCH /whip/{show}/{session}: candidates, or an ICE restart."""
    refused = await _publisher_session(media, call)
    return refused if isinstance(refused, Refusal) else await _trickle(media, call, "publish")


async def trickle_watched(media: Media, call: Call) -> Reply | Refusal:
    """PATCH /whep/{show}/{session}: likewise; the URL itself is the viewer's proof."""
    seen = await _session(media, call, "play")
    return seen if isinstance(seen, Refusal) else await _trickle(media, call, "play")


async def end_published(media: Media, call: Call) -> Reply | Refusal:
    """DELETE /whip/{show}/{session}: off air."""
    refused = await _publisher_session(media, call)
    return refused if isinstance(refused, Refusal) else await _end(media, call)


async def end_watched(media: Media, call: Call) -> Reply | Refusal:
    """DELETE /whep/{show}/{session}: the viewer leaves."""
    seen = await _session(media, call, "play")
    return seen if isinstance(seen, Refusal) else await _end(media, call)


async def see_published(media: Media, call: Call) -> Reply | Refusal:
    """GET /whip/{show}/{session}: empty while the session lives, 404 after. A publisher learns so that it was ended."""
    seen = await _session(media, call, "publish")
    return seen if isinstance(seen, Refusal) else Reply()


async def see_watched(media: Media, call: Call) -> Reply | Refusal:
    """GET /whep/{show}/{session}: likewise."""
    seen = await _session(media, call, "play")
    return seen if isinstance(seen, Refusal) else Reply()


async def _open(media: Media, call: Call, kind: str, owner: str) -> Reply | Refusal:
    show = call.path["show"]
    try:
        sdp = call.body.decode()
    except UnicodeDecodeError:
        return Refusal("sdp_malformed", "The offer is not UTF-8.")
    made = await media.control.create(
        NewSession(
            show=show,
            kind=kind,
            sdp=sdp,
            addresses=_addresses(media, call),
            owner=owner,
            person=call.person.id if call.person is not None else None,
            takeover=call.request.query_params.get("takeover") == "1",
            caller=call.address,
        )
    )
    if isinstance(made, Refusal):
        return made
    place = "whip" if kind == "publish" else "whep"
    headers = {"Location": f"/{place}/{show}/{made.id}", "ETag": made.etag}
    settings = media.settings
    links = ice_server_links(settings.turn_urls, settings.turn_secret, name=made.id[:6], now_ms=call.now_ms)
    return Reply(made.sdp.encode(), 201, {**headers, **({"Link": links} if links else {})}, SDP_TYPE)


def _addresses(media: Media, call: Call) -> tuple[str, ...]:
    scope = call.request.scope
    return offered_addresses(
        media.settings.media_address,
        client=(scope.get("client") or ("",))[0],
        server=(scope.get("server") or ("",))[0],
        host=call.request.headers.get("host", ""),
        ipv6=speaks_ipv6(media.settings.media_address, media.settings.host),
    )


async def _publisher(media: Media, call: Call, show: str) -> str | Refusal:
    """Whose hands publish: by stream key, by the demo's own secret, or by a host's sign-in."""
    token = bearer(call.request)
    if token is not None and (token_show := await _show_of(media, token)) is not None:
        opens, owner = token_show
        return owner if opens == show else Refusal("forbidden", "This key belongs to another show.")
    if call.person is None:
        return _BEARER
    if by_cookie(call.request) and not csrf_holds(call.request):
        return Refusal("csrf", "Send the session's token in the X-CSRF-Token header.")
    refused = await media.gatekeeper.refuse(Right.SHOW_HOST, call.person, {"show": show})
    return ACCOUNT + call.person.id if refused is None else refused


async def _show_of(media: Media, token: str) -> tuple[str, str] | None:
    """The show that a bearer opens and in whose name, None for one that we never gave."""
    if media.settings.demo and hmac.compare_digest(token.encode(), synthetic_key(media.settings).encode()):
        return DEMO_SHOW, SYNTHETIC
    show = await media.pg.fetchval(_KEY_SHOW, hashlib.sha256(token.encode()).digest())
    return None if show is None else (show, STREAM_KEY)


async def _publisher_session(media: Media, call: Call) -> SessionSeen | Refusal:
    """The session of a URL and a proof that belong together; a key of another show learns nothing of it."""
    owner = await _publisher(media, call, call.path["show"])
    if isinstance(owner, Refusal):
        return _NOT_FOUND if owner.code == "forbidden" else owner
    return await _session(media, call, "publish")


async def _session(media: Media, call: Call, kind: str) -> SessionSeen | Refusal:
    seen = await media.control.see(call.path["session"])
    if isinstance(seen, Refusal):
        return seen
    return seen if seen.kind == kind and seen.show == call.path["show"] else _NOT_FOUND


async def _trickle(media: Media, call: Call, kind: str) -> Reply | Refusal:
    try:
        fragment = call.body.decode()
    except UnicodeDecodeError:
        return Refusal("sdp_malformed", "The fragment is not UTF-8.")
    taken = await media.control.trickle(
        call.path["session"],
        Trickled(call.path["show"], kind, fragment, call.request.headers.get("if-match")),
    )
    if isinstance(taken, TrickleTaken) and taken.fragment is not None and taken.etag is not None:
        return Reply(taken.fragment.encode(), 200, {"ETag": taken.etag}, FRAGMENT_TYPE)
    return taken if isinstance(taken, Refusal) else Reply()


async def _end(media: Media, call: Call) -> Reply | Refusal:
    refused = await media.control.end(call.path["session"])
    return Reply() if refused is None else refused
