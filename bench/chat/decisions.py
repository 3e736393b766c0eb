"""What a message costs to decide: the whole path of chat.post with every filter on, beside the same path without.

Real Postgres and Valkey of its own; one process, whose CPU seconds are counted. Both take short turns, since what else
the machine does is in the figures too, and the median of all turns is reported. `bare` goes to the room past
chat.post: what a message would cost of which nothing were asked at all.
"""

import asyncio
import contextlib
import itertools
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from app import clock
from app.chat import messages
from app.chat.events import Author, Chat
from app.chat.flood_rules import likeness
from app.chat.fold_rules import fold
from app.chat.level_rules import STRICTEST
from app.chat.message_rules import message_ids
from app.chat.messages import Posted, post
from app.chat.mode_rules import decide
from app.chat.modes import SetModes, SetTerms, set_modes, set_terms
from app.chat.text_rules import clean_message
from app.embedded.child import end
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.valkey import EmbeddedValkey
from app.person import Standing
from app.rooms.bus import Pace, Spoken
from app.rooms.pauses import short_pauses
from app.storage.migrations import migrate
from app.storage.postgres import open_pool
from app.storage.valkey import open_valkey
from tests.chat_place import chat_place
from tests.waiting import eventually_now

ROUNDS: Final = 60
MESSAGES: Final = 320
AT_ONCE: Final = 32
TERMS: Final = 300
FREE: Final = Pace(1, 1_000_000)
CORPUS: Final = Path(__file__).parents[2] / "tests" / "rules" / "chat_corpus"
SYLLABLES: Final = ("ka", "lo", "mi", "ru", "te", "so", "va", "ne", "pi", "do", "gu", "ba")


def texts() -> list[str]:
    """Innocent messages of some 40 to 200 letters, one in eight of them not in plain Latin letters."""
    lines = [line for line in (CORPUS / "innocents.txt").read_text().splitlines() if not line.startswith("# ")]
    made = [" ".join(lines[n : n + 2 + n % 7]) for n in range(0, len(lines) - 9, 3)]
    return [text[:200] for text in made]


def terms() -> list[str]:
    """As many terms as a busy shop has: words, beginnings and endings."""
    words = ["".join(parts) for parts in itertools.product(SYLLABLES, repeat=3)]
    forms = (lambda w: w, lambda w: w + "*", lambda w: "*" + w, lambda w: w[:4] + " " + w[4:] + "x")
    return [forms[n % 4](word) for n, word in enumerate(words[:TERMS])]


@contextlib.contextmanager
def no_filters() -> Iterator[None]:
    """Within it chat.post has nothing to judge by: no folding, no likeness, no decision."""
    nothing = {"fold": lambda text: text, "likeness": lambda _: "", "decide": lambda *_, **__: None}
    kept = {name: getattr(messages, name) for name in nothing}
    vars(messages).update(nothing)
    try:
        yield
    finally:
        vars(messages).update(kept)


class Bench:
    """Two ways to say the same texts."""

    def __init__(self, place: Any) -> None:
        self.place = place
        self.texts = texts()
        self.said = itertools.count()

    async def post(self, text: str) -> None:
        """As the socket does it."""
        key = str(next(self.said))
        place = self.place
        answer = await post(
            place.chat, place.show, place.viewer, Standing.VIEWER, text=f"{text} {key}", key=key, now_ms=clock.now_ms()
        )
        assert isinstance(answer, Posted), answer

    async def bare(self, text: str) -> None:
        """Cleaned, and into the room."""
        key, now_ms = str(next(self.said)), clock.now_ms()
        place, person = self.place, self.place.viewer
        clean = clean_message(f"{text} {key}")
        assert isinstance(clean, str)
        message, former = message_ids(place.show, person.id, key, now_ms)
        event = Chat(message, Author(person.id, person.name, Standing.VIEWER), clean, now_ms)
        answer = await place.rooms.speak(
            place.show, person.id, event, event_id=message, former_id=former, pace=place.chat.pace
        )
        assert isinstance(answer, Spoken), answer

    async def cpu_s(self, say: Any) -> float:
        """CPU seconds of this process per message."""
        began = time.process_time()
        for first in range(0, MESSAGES, AT_ONCE):
            await asyncio.gather(*(say(self.texts[n % len(self.texts)]) for n in range(first, first + AT_ONCE)))
        took = time.process_time() - began
        await self.place.valkey.delete(*await self.place.valkey.keys("room:*:copies"))
        return took / MESSAGES

    async def filter_us(self) -> float:
        """Microseconds of the pure rules per message."""
        rules = await self.place.chat.rulebooks.of(self.place.show)
        said = (clean_message(f"{text} {next(self.said)}") for text in self.texts * 20)
        clean = [text for text in said if isinstance(text, str)]
        began = time.process_time()
        for text in clean:
            folded = fold(text)
            decide(text, folded, rules, staff=False, newcomer=False)
            likeness(folded)
        return (time.process_time() - began) / len(clean) * 1e6


async def measure(pg_url: str, valkey_url: str) -> dict[str, float]:
    """Both paths in turns."""
    await migrate(pg_url)
    pool, valkey = await open_pool(pg_url), open_valkey(valkey_url)
    place = await chat_place(pool, valkey)
    place.chat = type(place.chat)(**{**vars(place.chat), "pace": FREE, "by_room": FREE})
    await set_modes(place.chat, place.show, place.moderator, SetModes(links=False, newcomers=False, levels=STRICTEST))
    await set_terms(place.chat, place.show, place.moderator, SetTerms(terms(), ["kalimba"]))
    bench = Bench(place)
    turns: list[tuple[float, float, float]] = []
    with short_pauses():  # as the web role has it
        for _ in range(ROUNDS + 1):
            filtered = await bench.cpu_s(bench.post)
            with no_filters():
                unfiltered = await bench.cpu_s(bench.post)
            turns.append((filtered, unfiltered, await bench.cpu_s(bench.bare)))
    filtered, unfiltered, bare = (statistics.median(column) for column in zip(*turns[1:], strict=True))
    filter_us = await bench.filter_us()
    await valkey.aclose()
    await pool.close()
    return {
        "decided_per_s": round(1 / filtered),
        "unfiltered_per_s": round(1 / unfiltered),
        "bare_per_s": round(1 / bare),
        "filters_ratio": round(filtered / unfiltered, 2),
        "filter_us": round(filter_us, 1),
    }


def run() -> dict[str, float]:
    """The figures, over servers that live as long as this call."""
    with tempfile.TemporaryDirectory(prefix="hwk-", dir="/tmp") as name:
        folder = Path(name)
        sockets = folder / "s"
        sockets.mkdir(mode=0o700)
        postgres, valkey = EmbeddedPostgres(folder, sockets), EmbeddedValkey(folder, sockets)
        valkey.prepare()
        children = [(postgres, postgres.start(postgres.prepare())), (valkey, valkey.start())]
        try:
            for server, child in children:
                eventually_now(lambda server=server, child=child: server.is_ready(child), 60, "server ready")
            return asyncio.run(measure(postgres.url, valkey.url))
        finally:
            for server, child in children:
                end(child, server.end_signal, 10)
