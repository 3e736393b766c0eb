"""Says in the room what Postgres holds of a show: the state keys `show` and `pin`.

Owns both keys. Their version is the show's, so saying one again is harmless and an older one never wins. What could
not be said because Valkey was away is said by the loop below.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from app.catalog.products import find_product
from app.catalog.views import Product
from app.refusal import Refusal
from app.storage.away import unless_away
from app.storage.loops import Loop
from app.streams.parts import Streams
from app.streams.show_store import ShowRow, find_show, just_ended, touch_pins, versions
from app.streams.views import ShowKey

SAY_AGAIN_S: Final = 2.0


async def _keys(streams: Streams, row: ShowRow) -> tuple[ShowKey, Product | None]:
    started_at_ms = None if row.started_at is None else int(row.started_at.timestamp() * 1000)
    pinned = None if row.pinned is None else await find_product(streams.pg, row.pinned)
    return ShowKey(row.title, row.state, started_at_ms), pinned


async def say_show(streams: Streams, show: str) -> None:
    """Sets the room's keys of a show. Raises when Valkey is away."""
    row = await find_show(streams.pg, show)
    assert row is not None, show
    about, pinned = await _keys(streams, row)
    await streams.rooms.set_state(show, "show", row.version, about)
    await streams.rooms.set_state(show, "pin", row.version, pinned)


async def announce(streams: Streams, show: str, event: msgspec.Struct | None = None) -> None:
    """After a commit: says the keys, then tells the event. The commit stands when Valkey is away."""
    said = await unless_away("show", say_show(streams, show))
    if said and event is not None:
        await unless_away("event", streams.rooms.append(show, event))


class ShowKeys:
    """Implements rooms' StateSource: the keys of a show whose room was lost."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    async def state_of(self, show: str) -> Sequence[tuple[str, int, msgspec.Struct | None]]:
        """The keys `show` and `pin` with their version; nothing for an unknown show."""
        row = await find_show(self._streams.pg, show)
        if row is None:
            return []
        about, pinned = await _keys(self._streams, row)
        return [("show", row.version, about), ("pin", row.version, pinned)]


class PinnedProducts:
    """Implements the catalog's ProductListener: a pinned product that changes is said again."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    async def product_changed(self, product: str) -> None:
        """Says the product again in each show that pins it."""
        for show in await touch_pins(self._streams.pg, product):
            await say_show(self._streams, show)


class SayAgain:
    """The loop that makes up for what could not be said: shows whose version it has not said yet itself."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._said: dict[str, int] = {}
        self._closed: set[str] = set()

    async def run(self) -> None:
        """One pass over the shows that somebody may be watching."""
        now = await versions(self._streams.pg)
        for show, version in now.items():
            if self._said.get(show) != version:
                await say_show(self._streams, show)
                self._said[show] = version
        self._said = {show: version for show, version in self._said.items() if show in now}
        await self._close_ended()

    async def _close_ended(self) -> None:
        ended = await just_ended(self._streams.pg)
        for show, settled in ended.items():
            # Again until it is settled: a sale that began at the moment of the end may come in late.
            if show not in self._closed and await close_show(self._streams, show) and settled:
                self._closed.add(show)
        self._closed.intersection_update(ended)


async def close_show(streams: Streams, show: str) -> bool:
    """Ends what may not outlive a show: its sales and its media sessions. Harmless when done twice.

    False when the media role did not answer, so that its sessions may still be there.
    """
    if streams.sales is not None:
        await streams.sales.show_ended(show)
    return streams.media is None or not isinstance(await streams.media.end_sessions(show), Refusal)


def loops(parts: Streams) -> list[Loop]:
    """The loops of shows, for the worker role."""
    return [Loop("say shows again", SAY_AGAIN_S, SayAgain(parts).run)]
