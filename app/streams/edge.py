"""The doors of shows: their routes and loops. WHIP and WHEP have doors of their own; there is no command."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from app.http.endpoint import Call, Endpoint, Reply
from app.person import Right
from app.refusal import Refusal
from app.streams import announce, lineup, moderators, pins, shows, stream_keys
from app.streams.parts import Streams
from app.streams.show_rules import ShowAct
from app.streams.views import (
    Appointment,
    Lineup,
    Moderators,
    NewShow,
    NewStreamKey,
    Pin,
    Show,
    ShowEdit,
    Shows,
    StreamKeyHint,
)

ShowAction = Callable[[Streams, Call], Awaitable[Reply | Refusal]]
_SHOW = "/api/shows/{show}"

loops = announce.loops


def endpoints(parts: Streams) -> list[Endpoint]:
    """The routes of shows."""

    def hosts(method: str, path: str, action: ShowAction, summary: str, **types: Any) -> Endpoint:
        return Endpoint(
            method=method,
            path=_SHOW + path,
            right=Right.SHOW_HOST,
            action=partial(action, parts),
            summary=summary,
            **types,
        )

    def act(one: ShowAct) -> Endpoint:
        async def run(streams: Streams, call: Call) -> Reply | Refusal:
            return await shows.act_on_show(streams, one, call)

        return hosts("POST", f"/{one.value}", run, f"{one.value.capitalize()} the show", answer=Show)

    return [
        Endpoint(
            method="GET",
            path="/api/shows",
            right=Right.ANYONE,
            action=partial(shows.read_shows, parts),
            summary="Shows: live, to come, past",
            answer=Shows,
        ),
        Endpoint(
            method="POST",
            path="/api/shows",
            right=Right.SHOP_HOST,
            action=partial(shows.create_show, parts),
            summary="Make a show",
            body=NewShow,
            answer=Show,
        ),
        Endpoint(
            method="GET",
            path=_SHOW,
            right=Right.ANYONE,
            action=partial(shows.read_show, parts),
            summary="One show with its line-up",
            answer=Show,
        ),
        hosts("PATCH", "", shows.edit_show, "Change title or plan", body=ShowEdit, answer=Show),
        *(act(one) for one in ShowAct),
        hosts("PUT", "/lineup", lineup.order_lineup, "Order the line-up", body=Lineup, answer=Show),
        hosts("PUT", "/pins", pins.pin_product, "Pin a product", body=Pin),
        hosts("DELETE", "/pins", pins.unpin_product, "Take the pin away"),
        hosts("POST", "/stream-key", stream_keys.rotate_stream_key, "Make a new stream key", answer=NewStreamKey),
        hosts("GET", "/stream-key", stream_keys.read_stream_key, "Where to stream to", answer=StreamKeyHint),
        hosts("GET", "/moderators", moderators.read_moderators, "The show's moderators", answer=Moderators),
        hosts(
            "PUT",
            "/moderators",
            moderators.appoint_moderator,
            "Appoint a moderator",
            body=Appointment,
            answer=Moderators,
        ),
        hosts("DELETE", "/moderators/{account}", moderators.dismiss_moderator, "Dismiss a moderator"),
    ]
