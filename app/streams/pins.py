"""The pin: the one product that a show points at. Its truth is the show's row; the room hears of each change."""

from app.http.endpoint import Call, Reply
from app.refusal import Refusal
from app.streams.announce import announce
from app.streams.lineup import say_stock
from app.streams.parts import Streams
from app.streams.show_rules import ShowState
from app.streams.show_store import lock_show, set_pin, titles_in_shop
from app.streams.shows import ENDED, NO_SHOW
from app.streams.views import Pin, PinEvent, PinnedProduct


async def pin_product(streams: Streams, call: Call) -> Reply | Refusal:
    """Pins a product of the show's shop. Pinning what is pinned already says nothing again."""
    pin: Pin = call.body
    show = call.path["show"]
    async with streams.pg.acquire() as connection, connection.transaction():
        locked = await lock_show(connection, show)
        if locked is None:
            return NO_SHOW
        if locked.state is ShowState.ENDED:
            return ENDED
        titles = await titles_in_shop(connection, [pin.product], locked.shop)
        if pin.product not in titles:
            return Refusal("unknown_product", "The shop has no such product.")
        if locked.pinned == pin.product:
            return Reply()
        await set_pin(connection, show, pin.product)
    await announce(streams, show, PinEvent(PinnedProduct(pin.product, titles[pin.product]), call.now_ms))
    await say_stock(streams, show, [pin.product])
    return Reply()


async def unpin_product(streams: Streams, call: Call) -> Reply | Refusal:
    """Takes the pin away; without a pin nothing happens."""
    show = call.path["show"]
    async with streams.pg.acquire() as connection, connection.transaction():
        locked = await lock_show(connection, show)
        if locked is None:
            return NO_SHOW
        if locked.pinned is None:
            return Reply()
        await set_pin(connection, show, None)
    await announce(streams, show, PinEvent(None, call.now_ms))
    return Reply()
