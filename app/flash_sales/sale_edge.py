"""The doors of a show's flash sales: its routes. Decodes and views; decides nothing."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeAlias

import msgspec

from app.flash_sales import sale_store
from app.flash_sales.parts import FlashSales
from app.flash_sales.sale_changes import AddStock, ExtendSale, add_stock, extend_sale
from app.flash_sales.sale_store import Sale
from app.flash_sales.sales import CreateSale, cancel_sale, create_sale, end_sale, start_sale
from app.http.endpoint import Call, Endpoint, Reply
from app.person import Right
from app.refusal import Refusal

_BASE: Final = "/api/shows/{show}/flash-sales"
_Move: TypeAlias = Callable[[FlashSales, str, str], Awaitable[Sale | Refusal]]


class Sales(msgspec.Struct, frozen=True):
    """A show's sales, newest first."""

    sales: list[Sale]


def endpoints(parts: FlashSales) -> list[Endpoint]:
    """The routes of a show's sales."""
    return [
        Endpoint(
            method="POST",
            path=_BASE,
            right=Right.SHOW_HOST,
            action=partial(_create, parts),
            summary="Create a flash sale: now, after a countdown, or at a set time",
            body=CreateSale,
            answer=Sale,
        ),
        Endpoint(
            method="GET",
            path=_BASE,
            right=Right.ANYONE,
            action=partial(_list, parts),
            summary="The sales of a show",
            answer=Sales,
        ),
        _host_moves(parts, "start", start_sale, "Start a sale that is to come now"),
        _host_moves(parts, "end", end_sale, "End a sale now"),
        _host_moves(parts, "cancel", cancel_sale, "Call a sale off and release its holds"),
        Endpoint(
            method="POST",
            path=_BASE + "/{sale}/extend",
            right=Right.SHOW_HOST,
            action=partial(_extend, parts),
            summary="Let a sale last longer",
            body=ExtendSale,
            answer=Sale,
        ),
        Endpoint(
            method="POST",
            path=_BASE + "/{sale}/stock",
            right=Right.SHOW_HOST,
            action=partial(_add_stock, parts),
            summary="Move more units into a sale",
            body=AddStock,
            answer=Sale,
        ),
    ]


def _host_moves(parts: FlashSales, word: str, move: _Move, summary: str) -> Endpoint:
    return Endpoint(
        method="POST",
        path=f"{_BASE}/{{sale}}/{word}",
        right=Right.SHOW_HOST,
        action=partial(_move, parts, move),
        summary=summary,
        answer=Sale,
    )


async def _create(parts: FlashSales, call: Call) -> Reply | Refusal:
    sale = await create_sale(parts, host=call.signed_in.id, show=call.path["show"], wanted=call.body)
    return sale if isinstance(sale, Refusal) else Reply(sale, status=201)


async def _list(parts: FlashSales, call: Call) -> Reply | Refusal:
    show = call.path["show"]
    if await sale_store.show_state(parts.pg, show) is None:
        return Refusal("not_found", "There is no such show.")
    return Reply(Sales([row.view for row in await sale_store.sales_of(parts.pg, show)]))


async def _move(parts: FlashSales, move: _Move, call: Call) -> Reply | Refusal:
    sale = await move(parts, call.path["show"], call.path["sale"])
    return sale if isinstance(sale, Refusal) else Reply(sale)


async def _extend(parts: FlashSales, call: Call) -> Reply | Refusal:
    sale = await extend_sale(parts, call.path["show"], call.path["sale"], call.body.by_s)
    return sale if isinstance(sale, Refusal) else Reply(sale)


async def _add_stock(parts: FlashSales, call: Call) -> Reply | Refusal:
    sale = await add_stock(parts, call.path["show"], call.path["sale"], call.body.units)
    return sale if isinstance(sale, Refusal) else Reply(sale)
