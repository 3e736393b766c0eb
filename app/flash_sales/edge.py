"""The doors of flash_sales: its routes, commands and loops. Decodes and views; decides nothing."""

from functools import partial
from typing import Final

import msgspec

from app.flash_sales import comment_edge, comment_store, line_edge, price_rounds, rounds, sale_edge
from app.flash_sales.comments import release_gone
from app.flash_sales.holds import Hold, Name, Quantity, holds_of, release_hold, take_hold
from app.flash_sales.line_rounds import serve_lines
from app.flash_sales.parts import FlashSales
from app.flash_sales.reconcile import Reconciler
from app.http.endpoint import Call, Endpoint, Reply
from app.person import Right
from app.refusal import Refusal
from app.rooms.command import Command, Order
from app.storage.loops import Loop

SALES_PERIOD_S: Final = 0.2
EXPIRY_PERIOD_S: Final = 0.2
LINES_PERIOD_S: Final = 0.2
FOLLOW_PERIOD_S: Final = 2.0
PRICES_PERIOD_S: Final = 0.25
RETIRE_PERIOD_S: Final = 5.0
FORGET_PERIOD_S: Final = 300.0
GONE_PERIOD_S: Final = 5.0
RECONCILE_PERIOD_S: Final = 3.0


class TakeHold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /api/holds. `show` is where the buyer watches; a sale's pool knows its own."""

    pool: Name
    quantity: Quantity
    show: Name | None = None
    admission: Name | None = None


class TakeHoldHere(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of hold.take; the show is the room's."""

    pool: Name
    quantity: Quantity
    admission: Name | None = None


class ReleaseHold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of hold.release."""

    hold: Name


class Holds(msgspec.Struct, frozen=True):
    """A person's live holds."""

    holds: list[Hold]


def endpoints(parts: FlashSales) -> list[Endpoint]:
    """The routes of flash_sales."""
    return [
        *_hold_endpoints(parts),
        *sale_edge.endpoints(parts),
        *line_edge.endpoints(parts),
        *comment_edge.endpoints(parts),
    ]


def _hold_endpoints(parts: FlashSales) -> list[Endpoint]:
    return [
        Endpoint(
            method="POST",
            path="/api/holds",
            right=Right.SIGNED_IN,
            action=partial(_take, parts),
            summary="Hold units of a pool for a while",
            body=TakeHold,
            answer=Hold,
            idempotent=True,
            direct=True,
        ),
        Endpoint(
            method="GET",
            path="/api/holds",
            right=Right.SIGNED_IN,
            action=partial(_list_holds, parts),
            summary="One's own live holds",
            answer=Holds,
            direct=True,
        ),
        Endpoint(
            method="DELETE",
            path="/api/holds/{hold}",
            right=Right.SIGNED_IN,
            action=partial(_release, parts),
            summary="Give a hold back",
        ),
    ]


def commands(parts: FlashSales) -> list[Command]:
    """The commands of flash_sales on a room's socket."""
    return [
        Command(op="hold.take", right=Right.SIGNED_IN, body=TakeHoldHere, action=partial(_take_here, parts)),
        Command(op="hold.release", right=Right.SIGNED_IN, body=ReleaseHold, action=partial(_release_here, parts)),
        *line_edge.commands(parts),
    ]


def loops(parts: FlashSales) -> list[Loop]:
    """The worker's loops."""
    reconciler = Reconciler(parts.pg, parts.valkey, parts.gate)
    return [
        Loop("flash_sales.move_sales", SALES_PERIOD_S, partial(rounds.move_sales, parts)),
        Loop("flash_sales.serve_lines", LINES_PERIOD_S, partial(serve_lines, parts)),
        Loop("flash_sales.end_overdue_holds", EXPIRY_PERIOD_S, partial(rounds.end_overdue_holds, parts)),
        Loop("flash_sales.follow_postgres", FOLLOW_PERIOD_S, partial(rounds.follow_postgres, parts)),
        Loop("flash_sales.move_prices", PRICES_PERIOD_S, partial(price_rounds.move_prices, parts)),
        Loop("flash_sales.reconcile", RECONCILE_PERIOD_S, reconciler.run),
        Loop("flash_sales.release_gone_comments", GONE_PERIOD_S, partial(release_gone, parts)),
        Loop("flash_sales.forget_comments", FORGET_PERIOD_S, partial(comment_store.forget_holds, parts.pg)),
        Loop("flash_sales.retire_sales", RETIRE_PERIOD_S, partial(rounds.retire_sales, parts)),
    ]


async def _take(parts: FlashSales, call: Call) -> Reply | Refusal:
    body: TakeHold = call.body
    assert call.idempotency_key is not None
    answer = await take_hold(
        parts,
        person=call.signed_in.id,
        key=call.idempotency_key,
        pool=body.pool,
        quantity=body.quantity,
        show=body.show or "",
        address=call.address,
        admission=body.admission or "",
    )
    return answer if isinstance(answer, Refusal) else Reply(answer, status=201)


async def _list_holds(parts: FlashSales, call: Call) -> Reply:
    return Reply(Holds(await holds_of(parts, call.signed_in.id)))


async def _release(parts: FlashSales, call: Call) -> Reply | Refusal:
    refused = await release_hold(parts, person=call.signed_in.id, hold=call.path["hold"])
    return refused if refused is not None else Reply(status=204)


async def _take_here(parts: FlashSales, order: Order) -> Hold | Refusal:
    assert order.person is not None
    body: TakeHoldHere = order.body
    return await take_hold(
        parts,
        person=order.person.id,
        key=order.id,
        pool=body.pool,
        quantity=body.quantity,
        show=order.show,
        address=order.address,
        admission=body.admission or "",
    )


async def _release_here(parts: FlashSales, order: Order) -> Refusal | None:
    assert order.person is not None
    return await release_hold(parts, person=order.person.id, hold=order.body.hold)
