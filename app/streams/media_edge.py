"""The media endpoints of the HTTP table: WHIP and WHEP, their session URLs, and what other sites may ask of them.

Owns paths, methods and CORS. Any site may embed a public show's player, so answers are readable from everywhere;
no cookie of ours works from there (app/http/edge.py), only a bearer that its page was given.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import asyncpg
from starlette.responses import Response

from app.http.endpoint import Action, Call, Endpoint, Reply
from app.http.problems import problem_response
from app.person import Right
from app.refusal import Refusal
from app.rooms.bus import Rooms
from app.storage.loops import Loop
from app.streams import whip
from app.streams.media_control import MediaControl, StreamWatch
from app.streams.media_parts import Media
from app.streams.relay.callers import caller_of
from app.streams.relay.limits import FRAGMENT_BYTES_MAX, SDP_BYTES_MAX
from app.streams.stream_stats import StreamStats, read_stream

STREAM_LOOK_S: Final = 3.0
_CORS: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Location, ETag, Link, Retry-After",
}
_ALLOWED: Final = {
    **_CORS,
    "Access-Control-Allow-Headers": "Authorization, Content-Type, If-Match",
    "Access-Control-Max-Age": "600",
}
_MediaAction = Callable[[Media, Call], Awaitable[Reply | Refusal]]


def _readable(media: Media, action: _MediaAction) -> Action:
    """The action with its answers, refusals too, readable by the page that asked."""

    async def answer(call: Call) -> Reply | Response:
        outcome = await action(media, call)
        if isinstance(outcome, Refusal):
            return problem_response(outcome, dict(_CORS))
        return Reply(outcome.body, outcome.status, {**_CORS, **outcome.headers}, outcome.content_type)

    return answer


def _paced(media: Media, action: _MediaAction) -> Action:
    """The action, as often as one caller may ask (WHIP and WHEP make a server work before they prove anything)."""

    async def answer(media: Media, call: Call) -> Reply | Refusal:
        refused = media.rate.refuse(caller_of(call.address), call.now_ms)
        return await action(media, call) if refused is None else refused

    return _readable(media, answer)


def _options(methods: str, accept: dict[str, str]) -> Action:
    async def answer(_: Call) -> Response:
        return Response(status_code=200, headers={**_ALLOWED, **accept, "Access-Control-Allow-Methods": methods})

    return answer


async def _nothing(_: Call) -> Reply:
    """GET and HEAD on an endpoint: it is there, and has nothing to show (RFC 9725, 4.2)."""
    return Reply(headers=_CORS)


def _pair(
    media: Media, place: str, *, post: _MediaAction, patch: _MediaAction, end: _MediaAction, see: _MediaAction
) -> list[Endpoint]:
    """The endpoints of one protocol: `/{place}/{show}` and `/{place}/{show}/{session}`."""
    one, session, right = f"/{place}/{{show}}", f"/{place}/{{show}}/{{session}}", Right.MEDIA_BEARER
    name = place.upper()
    return [
        Endpoint(
            method="POST",
            path=one,
            right=right,
            action=_paced(media, post),
            summary=f"Opens a {name} session",
            body=bytes,
            body_bytes_max=SDP_BYTES_MAX,
            content_types=(whip.SDP_TYPE,),
        ),
        Endpoint(method="GET", path=one, right=right, action=_nothing, summary=f"The {name} endpoint is there"),
        Endpoint(
            method="OPTIONS",
            path=one,
            right=right,
            action=_options("POST, GET, OPTIONS", {"Accept-Post": whip.SDP_TYPE}),
            summary=f"What the {name} endpoint takes",
        ),
        Endpoint(
            method="PATCH",
            path=session,
            right=right,
            action=_paced(media, patch),
            summary=f"Trickles candidates to a {name} session or restarts its ICE",
            body=bytes,
            body_bytes_max=FRAGMENT_BYTES_MAX,
            content_types=(whip.FRAGMENT_TYPE,),
        ),
        Endpoint(
            method="DELETE",
            path=session,
            right=right,
            action=_paced(media, end),
            summary=f"Ends a {name} session",
        ),
        Endpoint(
            method="GET",
            path=session,
            right=right,
            action=_readable(media, see),
            summary=f"Whether a {name} session lives",
        ),
        Endpoint(
            method="OPTIONS",
            path=session,
            right=right,
            action=_options("PATCH, DELETE, GET, OPTIONS", {"Accept-Patch": whip.FRAGMENT_TYPE}),
            summary=f"What a {name} session takes",
        ),
    ]


def endpoints(media: Media) -> list[Endpoint]:
    """All media endpoints."""
    published = _pair(
        media,
        "whip",
        post=whip.publish,
        patch=whip.trickle_published,
        end=whip.end_published,
        see=whip.see_published,
    )
    watched = _pair(
        media,
        "whep",
        post=whip.watch,
        patch=whip.trickle_watched,
        end=whip.end_watched,
        see=whip.see_watched,
    )
    stats = Endpoint(
        method="GET",
        path="/api/shows/{show}/stream",
        right=Right.SHOW_HOST,
        action=partial(read_stream, media),
        summary="How the host's stream arrives: bitrate, frames, size, loss, key frames",
        answer=StreamStats,
    )
    return [*published, *watched, stats]


def loops(pg: asyncpg.Pool, control: MediaControl, rooms: Rooms) -> list[Loop]:
    """What the worker does for streams that nobody asks for."""
    return [Loop("stream-state", STREAM_LOOK_S, StreamWatch(pg, control, rooms).look)]
