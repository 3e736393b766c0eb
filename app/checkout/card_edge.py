"""The doors of saved cards. Decodes and views; decides nothing."""

from functools import partial

import msgspec

from app.checkout.parts import Checkout
from app.checkout.saved_cards import SavedCard, own_cards, remove_card
from app.http.endpoint import Call, Endpoint, Reply
from app.person import Right
from app.refusal import Refusal


class SavedCards(msgspec.Struct, frozen=True):
    """Those of the caller, the latest first."""

    cards: list[SavedCard]


def card_endpoints(parts: Checkout) -> list[Endpoint]:
    """The routes. The cards are always the caller's own."""
    return [
        Endpoint(
            method="GET",
            path="/api/saved-cards",
            right=Right.SIGNED_IN,
            action=partial(_read, parts),
            summary="The cards that one keeps to pay with",
            answer=SavedCards,
        ),
        Endpoint(
            method="DELETE",
            path="/api/saved-cards/{card}",
            right=Right.SIGNED_IN,
            action=partial(_remove, parts),
            summary="Keep a card no more, here and at the payment provider",
        ),
    ]


async def _read(parts: Checkout, call: Call) -> Reply:
    return Reply(SavedCards(await own_cards(parts.pg, parts.provider, call.signed_in.id, call.now_ms)))


async def _remove(parts: Checkout, call: Call) -> Reply | Refusal:
    refused = await remove_card(parts.pg, call.signed_in.id, call.path["card"])
    if refused is None:
        parts.outbox.kick()
    return refused or Reply()
