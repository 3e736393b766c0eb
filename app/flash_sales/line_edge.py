"""The doors of lines: their routes and commands. Decodes and views; decides nothing."""

from functools import partial

import msgspec

from app.flash_sales.draws import Draw, read_draw
from app.flash_sales.holds import Name
from app.flash_sales.lines import Place, join_line, leave_line, places_of
from app.flash_sales.parts import FlashSales
from app.http.endpoint import Call, Endpoint, Reply
from app.person import Right
from app.refusal import Refusal
from app.rooms.command import Command, Order


class JoinLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /api/lines: whose line, and where one watches."""

    pool: Name
    show: Name


class LineHere(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of line.join and line.leave; the show is the room's."""

    pool: Name


class Places(msgspec.Struct, frozen=True):
    """A person's places in line."""

    lines: list[Place]


def endpoints(parts: FlashSales) -> list[Endpoint]:
    """The routes of lines."""
    return [
        Endpoint(
            method="POST",
            path="/api/lines",
            right=Right.SIGNED_IN,
            action=partial(_join, parts),
            summary="Join a sale's waiting room, or the waitlist of what has run out",
            body=JoinLine,
            answer=Place,
        ),
        Endpoint(
            method="GET",
            path="/api/lines",
            right=Right.SIGNED_IN,
            action=partial(_list, parts),
            summary="One's own places in line",
            answer=Places,
        ),
        Endpoint(
            method="DELETE",
            path="/api/lines/{pool}",
            right=Right.SIGNED_IN,
            action=partial(_leave, parts),
            summary="Leave a line, and let an offer go",
        ),
        Endpoint(
            method="GET",
            path="/api/shows/{show}/flash-sales/{sale}/draw",
            right=Right.ANYONE,
            action=partial(_draw, parts),
            summary="What anybody needs to check a waiting room's draw",
            answer=Draw,
        ),
    ]


def commands(parts: FlashSales) -> list[Command]:
    """The commands of lines on a room's socket."""
    return [
        Command(op="line.join", right=Right.SIGNED_IN, body=LineHere, action=partial(_join_here, parts)),
        Command(op="line.leave", right=Right.SIGNED_IN, body=LineHere, action=partial(_leave_here, parts)),
    ]


async def _join(parts: FlashSales, call: Call) -> Reply | Refusal:
    place = await join_line(parts, person=call.signed_in.id, pool=call.body.pool, show=call.body.show)
    return place if isinstance(place, Refusal) else Reply(place, status=201)


async def _list(parts: FlashSales, call: Call) -> Reply:
    return Reply(Places(await places_of(parts, call.signed_in.id)))


async def _leave(parts: FlashSales, call: Call) -> Reply | Refusal:
    refused = await leave_line(parts, person=call.signed_in.id, pool=call.path["pool"])
    return refused if refused is not None else Reply(status=204)


async def _draw(parts: FlashSales, call: Call) -> Reply | Refusal:
    draw = await read_draw(parts, call.path["show"], call.path["sale"])
    return draw if isinstance(draw, Refusal) else Reply(draw)


async def _join_here(parts: FlashSales, order: Order) -> Place | Refusal:
    assert order.person is not None
    return await join_line(parts, person=order.person.id, pool=order.body.pool, show=order.show)


async def _leave_here(parts: FlashSales, order: Order) -> Refusal | None:
    assert order.person is not None
    return await leave_line(parts, person=order.person.id, pool=order.body.pool)
