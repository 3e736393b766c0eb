"""The doors of a shop's conditions: read by everybody, changed by the host, and what an order would cost under them."""

from functools import partial
from typing import Annotated, Final

import msgspec

from app.checkout.address_rules import ShipTo
from app.checkout.agreement import saved_address
from app.checkout.conditions import ConditionsEdit, ConditionsView, change_conditions, policy_text, view_conditions
from app.checkout.coupon_edge import presented
from app.checkout.parts import Checkout
from app.checkout.quotes import Ask, Quote, quote_holds
from app.http.endpoint import Call, Endpoint, Reply
from app.person import Right
from app.refusal import Refusal

CONDITIONS_BYTES_MAX: Final = 96 * 1024

_NO_SHOP: Final = Refusal("not_found", "There is no such shop.")
_NO_POLICY: Final = Refusal("not_found", "There is no such return policy.")

HoldId = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]


class Saved(msgspec.Struct, frozen=True):
    """Where the person had something sent last; null for nowhere yet."""

    ship_to: ShipTo | None


class Policy(msgspec.Struct, frozen=True):
    """A return policy as it was agreed to."""

    version: int
    text: str


def condition_endpoints(parts: Checkout) -> list[Endpoint]:
    """The routes."""
    path = "/api/shops/{shop}/conditions"
    return [
        Endpoint(
            method="GET",
            path=path,
            right=Right.ANYONE,
            action=partial(_read, parts),
            summary="What a shop asks of an order: ways to ship, tax, return policy",
            answer=ConditionsView,
        ),
        Endpoint(
            method="PUT",
            path=path,
            right=Right.SHOP_HOST,
            action=partial(_change, parts),
            summary="Change what the shop asks of an order",
            body=ConditionsEdit,
            answer=ConditionsView,
            body_bytes_max=CONDITIONS_BYTES_MAX,
        ),
        Endpoint(
            method="GET",
            path="/api/shops/{shop}/return-policies/{version}",
            right=Right.ANYONE,
            action=partial(_policy, parts),
            summary="A return policy that is or was in force",
            answer=Policy,
        ),
        Endpoint(
            method="POST",
            path="/api/shops/{shop}/quotes",
            right=Right.SIGNED_IN,
            action=partial(_quote, parts),
            summary="What one's holds cost when they go to a country",
            body=Ask,
            answer=Quote,
        ),
        Endpoint(
            method="GET",
            path="/api/address",
            right=Right.SIGNED_IN,
            action=partial(_saved, parts),
            summary="Where one had something sent last",
            answer=Saved,
        ),
    ]


async def _read(parts: Checkout, call: Call) -> Reply | Refusal:
    found = await view_conditions(parts.pg, call.path["shop"])
    return _NO_SHOP if found is None else Reply(found)


async def _change(parts: Checkout, call: Call) -> Reply | Refusal:
    refused = await change_conditions(parts.pg, call.path["shop"], call.body)
    if refused is not None:
        return refused
    await parts.conditions.now(call.path["shop"])
    return Reply(await view_conditions(parts.pg, call.path["shop"]))


async def _policy(parts: Checkout, call: Call) -> Reply | Refusal:
    version = call.path["version"]
    if not (version.isascii() and version.isdecimal() and len(version) <= 9):
        return _NO_POLICY
    text = await policy_text(parts.pg, call.path["shop"], int(version))
    return Reply(Policy(int(version), text)) if text else _NO_POLICY


async def _quote(parts: Checkout, call: Call) -> Reply | Refusal:
    shop, coupon = call.path["shop"], presented(call.body.coupon, call)
    quote = await quote_holds(parts, call.signed_in.id, shop, call.body, coupon)
    return quote if isinstance(quote, Refusal) else Reply(quote)


async def _saved(parts: Checkout, call: Call) -> Reply:
    return Reply(Saved(await saved_address(parts.pg, call.signed_in.id)))
