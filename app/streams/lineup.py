"""The line-up of a show: which products come, in which order."""

from collections.abc import Sequence

from app.http.endpoint import Call, Reply
from app.refusal import Refusal
from app.storage.away import unless_away
from app.streams.parts import Streams
from app.streams.show_rules import ShowState
from app.streams.show_store import lock_show, set_lineup, titles_in_shop
from app.streams.shows import ENDED, NO_SHOW, view_show
from app.streams.views import Lineup


async def order_lineup(streams: Streams, call: Call) -> Reply | Refusal:
    """Replaces the line-up by products of the show's shop, each once."""
    lineup: Lineup = call.body
    show = call.path["show"]
    if len(set(lineup.products)) < len(lineup.products):
        return Refusal("unknown_product", "A product can be in the line-up once.")
    async with streams.pg.acquire() as connection, connection.transaction():
        locked = await lock_show(connection, show)
        if locked is None:
            return NO_SHOW
        if locked.state is ShowState.ENDED:
            return ENDED
        if len(await titles_in_shop(connection, lineup.products, locked.shop)) < len(lineup.products):
            return Refusal("unknown_product", "The line-up names a product that the shop does not have.")
        joined = await set_lineup(connection, show, lineup.products)
    await say_stock(streams, show, joined)
    return await view_show(streams, show, call.signed_in.id)


async def say_stock(streams: Streams, show: str, joined: Sequence[str]) -> None:
    """The room learns what is left of products that joined, before anybody buys one. The worker's round makes up for
    it when Valkey is away.
    """
    if joined and streams.sales is not None:
        await unless_away("stock", streams.sales.products_joined(show, joined))
