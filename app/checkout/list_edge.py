"""The doors of lists of orders: a buyer's own, and a shop's with filters and as CSV. Decodes and views."""

from datetime import UTC, datetime
from functools import partial
from typing import Final

import msgspec
from starlette.responses import Response, StreamingResponse

from app.checkout.order_lists import Filter, csv_of_shop, own_page, shop_page
from app.checkout.order_rules import OrderState
from app.checkout.orders import addressed_view, read_order
from app.checkout.parts import Checkout
from app.checkout.troubles import Trouble, troubles_of
from app.checkout.views import HostOrderView, OrderView, OwnOrderView
from app.http.endpoint import Call, Endpoint, Reply
from app.person import Right
from app.refusal import Refusal

WORD_LENGTH_MAX: Final = 120
YEARS: Final = range(1970, 2200)

_NOT_FOUND: Final = Refusal("not_found", "There is no such order.")
_BAD_CURSOR: Final = Refusal("malformed", "`before` is what the last page said.")
_BAD_FILTER: Final = Refusal("malformed", "That is no filter: state, shipped, since and until (2026-12-31), or words.")


class Orders(msgspec.Struct, frozen=True):
    """A page of a buyer's orders, newest first. `before` asks for the next, null on the last."""

    orders: list[OrderView]
    before: str | None


class ShopOrders(msgspec.Struct, frozen=True):
    """A page of a shop's orders, newest first. `before` asks for the next, null on the last."""

    orders: list[HostOrderView]
    before: str | None


class Troubles(msgspec.Struct, frozen=True):
    """A shop's, newest first."""

    troubles: list[Trouble]


def list_endpoints(parts: Checkout) -> list[Endpoint]:
    """The routes."""
    return [
        Endpoint(
            method="GET",
            path="/api/orders",
            right=Right.SIGNED_IN,
            action=partial(_own, parts),
            summary="One's own orders",
            answer=Orders,
            direct=True,
        ),
        Endpoint(
            method="GET",
            path="/api/orders/{order}",
            right=Right.SIGNED_IN,
            action=partial(_read, parts),
            summary="One of one's own orders",
            answer=OwnOrderView,
        ),
        Endpoint(
            method="GET",
            path="/api/shops/{shop}/orders",
            right=Right.SHOP_HOST,
            action=partial(_of_shop, parts),
            summary="A shop's orders, by state, shipped, since, until, product, buyer and show",
            answer=ShopOrders,
        ),
        Endpoint(
            method="GET",
            path="/api/shops/{shop}/orders/{order}",
            right=Right.SHOP_HOST,
            action=partial(_one_of_shop, parts),
            summary="One of a shop's orders",
            answer=HostOrderView,
        ),
        Endpoint(
            method="GET",
            path="/api/shops/{shop}/orders.csv",
            right=Right.SHOP_HOST,
            action=partial(_csv, parts),
            summary="The same as a table, a row a line",
        ),
        Endpoint(
            method="GET",
            path="/api/shops/{shop}/troubles",
            right=Right.SHOP_HOST,
            action=partial(_troubles, parts),
            summary="What of the shop's money somebody has to look at",
            answer=Troubles,
        ),
    ]


async def _own(parts: Checkout, call: Call) -> Reply | Refusal:
    page = await own_page(parts.pg, call.signed_in.id, _cursor(call))
    return _BAD_CURSOR if page is None else Reply(Orders([one.view for one in page.orders], page.before))


async def _read(parts: Checkout, call: Call) -> Reply | Refusal:
    found = await read_order(parts.pg, call.path["order"])
    if found is None or found.buyer != call.signed_in.id:
        return _NOT_FOUND
    whole = msgspec.structs.asdict(found.view)
    return Reply(OwnOrderView(**whole, shop_name=found.shop_name, ship_to=found.ship_to))


async def _of_shop(parts: Checkout, call: Call) -> Reply | Refusal:
    wanted = _filter(call)
    if isinstance(wanted, Refusal):
        return wanted
    page = await shop_page(parts.pg, call.path["shop"], wanted, _cursor(call))
    return _BAD_CURSOR if page is None else Reply(ShopOrders([addressed_view(one) for one in page.orders], page.before))


async def _one_of_shop(parts: Checkout, call: Call) -> Reply | Refusal:
    found = await read_order(parts.pg, call.path["order"])
    if found is None or found.view.shop != call.path["shop"]:
        return _NOT_FOUND
    return Reply(addressed_view(found))


async def _csv(parts: Checkout, call: Call) -> Response | Refusal:
    wanted = _filter(call)
    if isinstance(wanted, Refusal):
        return wanted
    headers = {"Content-Disposition": 'attachment; filename="orders.csv"', "Cache-Control": "no-store"}
    rows = csv_of_shop(parts.pg, call.path["shop"], wanted)
    return StreamingResponse(rows, media_type="text/csv; charset=utf-8", headers=headers)


async def _troubles(parts: Checkout, call: Call) -> Reply:
    return Reply(Troubles(await troubles_of(parts.pg, call.path["shop"])))


def _cursor(call: Call) -> str:
    return call.request.query_params.get("before", "")[:64].replace("\x00", "?")


def _filter(call: Call) -> Filter | Refusal:
    asked = call.request.query_params
    words = {name: asked.get(name, "").strip() for name in ("show", "state", "product", "buyer", "shipped")}
    if any(len(word) > WORD_LENGTH_MAX or "\x00" in word for word in words.values()):
        return _BAD_FILTER
    if words["state"] not in {"", *OrderState} or words["shipped"] not in {"", "yes", "no"}:
        return _BAD_FILTER
    try:
        since, until = (_moment(asked.get(name, "")) for name in ("since", "until"))
    except ValueError:
        return _BAD_FILTER
    return Filter(**words, since=since, until=until)


def _moment(text: str) -> datetime | None:
    """An ISO date, or date and time; without a zone it is UTC. Raises ValueError."""
    if not text:
        return None
    if len(text) > 40:
        raise ValueError(text[:40])
    found = datetime.fromisoformat(text)
    if found.year not in YEARS:
        raise ValueError(found.year)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
