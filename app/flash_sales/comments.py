"""Comment to buy: a message that is a wish takes a hold as the button does.

Its author alone is told what came of it. The same gate, door, limits, waiting rooms and bans decide. Whoever deletes
the message releases its hold. Implements chat's WordsListener; owns the switch, the keywords and the key `buying`.
"""

import asyncio
from typing import Any, Final

import msgspec

from app import clock
from app.chat.parts import Heard
from app.flash_sales import comment_store
from app.flash_sales.comment_rules import WISH_LENGTH_MAX, Wish, clean_keyword, read_wish
from app.flash_sales.comment_store import Buying, Item
from app.flash_sales.holds import Hold, release_hold, take_hold
from app.flash_sales.line_rules import EntryState
from app.flash_sales.lines import places_of
from app.flash_sales.parts import FlashSales
from app.refusal import Refusal
from app.storage.away import unless_away

BUYING: Final = "buying"
KNOWN_S: Final = 1.0
SHOWS_KNOWN_MAX: Final = 1000
GONE_LATELY_S: Final = 600.0
"""For so long it is looked whether the message behind a hold is gone: longer than a hold lasts, with its payment."""

NOTHING_SHOWN: Final = Refusal("nothing_shown", "Nothing is shown just now; write the keyword of what you want.")


class CommentHold(msgspec.Struct, frozen=True, tag="comment.hold", tag_field="t"):
    """For the author alone: their message took this hold; pay it like any other."""

    message: str
    hold: Hold


class CommentRefused(msgspec.Struct, frozen=True, tag="comment.refused", tag_field="t"):
    """For the author alone: why their message took none."""

    message: str
    code: str
    text: str
    retry_after_ms: int | None


class CommentToBuy:
    """Listens to what is said and what goes."""

    def __init__(self, sales: FlashSales) -> None:
        self._sales = sales
        self._known: dict[str, tuple[float, Buying]] = {}

    async def said(self, heard: Heard) -> None:
        """Takes the hold of a message that is a wish. The same message takes it once."""
        if len(heard.text) <= WISH_LENGTH_MAX:
            # The words are said: whoever is told otherwise, because something is away, says them twice.
            await unless_away("comment to buy", self._hear(heard))

    async def _hear(self, heard: Heard) -> None:
        buying = await self._buying(heard.show)
        wish = read_wish(heard.text, buying.keywords) if buying.on else None
        if wish is not None:
            await self._take(heard, buying, wish)

    async def gone(self, show: str, *, message: str | None, person: str | None) -> None:
        """Releases what these words had taken; a hold that is being paid for stays its payment's."""
        await _release(self._sales, await comment_store.holds_of_words(self._sales.pg, show, message, person))

    async def _take(self, heard: Heard, buying: Buying, wish: Wish) -> None:
        taken = await self._taken(heard, buying, wish)
        if isinstance(taken, Refusal):
            told: Any = CommentRefused(heard.message, taken.code, taken.message, taken.retry_after_ms)
        else:
            await comment_store.note_hold(self._sales.pg, taken.id, heard.show, heard.message, heard.person)
            told = CommentHold(heard.message, taken)
            # Deleted while the hold was being taken: who deleted it may have found none.
            if not await heard.is_there():
                await release_hold(self._sales, person=heard.person, hold=taken.id)
                return
        await self._sales.rooms.tell(heard.show, heard.person, told)

    async def _taken(self, heard: Heard, buying: Buying, wish: Wish) -> Hold | Refusal:
        item = await self._meant(heard.show, buying, wish)
        if isinstance(item, Refusal):
            return item
        return await take_hold(
            self._sales,
            person=heard.person,
            key=f"comment:{heard.message}",
            pool=item.pool,
            quantity=wish.quantity,
            show=heard.show,
            address=heard.address,
            admission=await self._admission(heard, item),
        )

    async def _meant(self, show: str, buying: Buying, wish: Wish) -> Item | Refusal:
        variant = None if wish.keyword is None else buying.keywords[wish.keyword]
        items = await comment_store.find_items(self._sales.pg, show, variant)
        on_sale = [item for item in items if item.of_sale]
        chosen = on_sale if len(on_sale) == 1 else items
        if not chosen:
            return NOTHING_SHOWN if variant is None else Refusal("not_found", "This is not in the show any more.")
        if len(chosen) == 1:
            return chosen[0]
        variants = {item.variant for item in items}
        words = [word.upper() for word, meant in buying.keywords.items() if meant in variants]
        which = f"write {' or '.join(words)}." if words else "choose it on the page."
        return Refusal("which_one", f"There is more than one of these: {which}")

    async def _admission(self, heard: Heard, item: Item) -> str:
        """What the waiting room gave the person, as the button sends it."""
        entrance = await self._sales.entrance_of(item.pool)
        if entrance is None or not entrance.waiting_room:
            return ""
        places = await places_of(self._sales, heard.person, heard.show)
        mine = (one for one in places if one.pool == item.pool and one.state == EntryState.ADMITTED)
        return next((one.admission or "" for one in mine), "")

    async def _buying(self, show: str) -> Buying:
        known = self._known.get(show)
        if known is not None and clock.monotonic_s() - known[0] < KNOWN_S:
            return known[1]
        _, buying = await comment_store.read_buying(self._sales.pg, show)
        if len(self._known) >= SHOWS_KNOWN_MAX:
            self._known.clear()
        self._known[show] = (clock.monotonic_s(), buying)
        return buying


async def release_gone(sales: FlashSales) -> None:
    """Releases what messages had taken that are gone since: whoever deleted them may have died before it could."""
    await _release(sales, await comment_store.holds_of_gone(sales.pg, GONE_LATELY_S))


async def _release(sales: FlashSales, taken: list[tuple[str, str]]) -> None:
    releases = (release_hold(sales, person=owner, hold=hold) for hold, owner in taken)
    await asyncio.gather(*(unless_away("hold of a comment", one) for one in releases))


async def set_buying(sales: FlashSales, show: str, wanted: Buying) -> Buying | Refusal:
    """Turns it on or off, and says which word stands for which variant."""
    keywords = {clean_keyword(word): variant for word, variant in wanted.keywords.items()}
    clean = {word: variant for word, variant in keywords.items() if word is not None}
    if len(clean) < len(wanted.keywords):
        return Refusal("keyword_invalid", "A keyword is one word of at most 16 letters and digits, used once.")
    if await comment_store.unknown_variants(sales.pg, show, list(clean.values())):
        return Refusal("unknown_variant", "A keyword names something that the shop does not have.")
    buying = Buying(wanted.on, clean)
    version = await comment_store.write_buying(sales.pg, show, buying)
    await unless_away("buying", sales.rooms.set_state(show, BUYING, version, buying))
    return buying


async def buying_state(sales: FlashSales, show: str) -> list[tuple[str, int, msgspec.Struct | None]]:
    """The room's key, when anybody has ever set it."""
    version, buying = await comment_store.read_buying(sales.pg, show)
    return [(BUYING, version, buying)] if version else []
