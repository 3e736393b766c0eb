"""A show with its people, and chat over the real Postgres and Valkey: for tests of what is said there."""

import msgspec

from app import clock
from app.chat.memory import ChatMemory
from app.chat.messages import post
from app.chat.parts import build_chat
from app.chat.timeouts import SetTimeout, set_timeout
from app.person import Person, Standing
from app.rooms.bus import staff_room
from app.rooms.copies import Copies
from app.rooms.presence import mark_open
from app.rooms.sources import Sources
from app.rooms.valkey_bus import ValkeyRooms
from app.settings import Settings


class Place:
    """A show with its people."""

    def __init__(self, pg, valkey, chat, rooms, show):
        self.pg, self.valkey, self.chat, self.rooms, self.show = pg, valkey, chat, rooms, show
        self.host = Person("host" + show, "Hana")
        self.moderator = Person("mod" + show, "Mo")
        self.viewer = Person("viewer" + show, "Vera")

    async def say(self, text, key=None, person=None, standing=Standing.VIEWER):
        person = person or self.viewer
        key = key or clock.new_id()
        return await post(self.chat, self.show, person, standing, text=text, key=key, now_ms=clock.now_ms())

    async def story(self):
        return [msgspec.json.decode(said.event) for said in (await self.rooms.story(self.show)).said]

    async def staff_story(self):
        return [msgspec.json.decode(said.event) for said in (await self.rooms.story(staff_room(self.show))).said]

    async def rows(self):
        return await self.pg.fetch("SELECT * FROM messages WHERE show_id = $1 ORDER BY off", self.show)

    async def time_out(self, person, seconds=60, by=None, standing=Standing.MODERATOR):
        wanted = SetTimeout(person.id, seconds, "be kind")
        return await set_timeout(self.chat, self.show, by or self.moderator, standing, wanted)


def chat_over(pg, valkey, **asked):
    """Chat as one process has it, and its rooms. `asked`: what build_chat takes beside them."""
    rooms = ValkeyRooms(valkey)
    chat = build_chat(pg, rooms, Copies(valkey), Settings(chat_per_10_s=100), **asked)
    memory = ChatMemory(chat)
    rooms.sources = Sources(states=(memory,), stories=(memory,), sanctions=(memory,))
    return chat, rooms


async def chat_place(pg, valkey):
    """The place, its rows written, its room open."""
    chat, rooms = chat_over(pg, valkey)
    show = "show" + clock.new_id()
    place = Place(pg, valkey, chat, rooms, show)
    await pg.execute("INSERT INTO shops (id, name, currency) VALUES ($1, 'Shop', 'EUR')", "shop" + show)
    await pg.execute("INSERT INTO shows (id, shop_id, title) VALUES ($1, $2, 'Show')", show, "shop" + show)
    for person in (place.host, place.moderator, place.viewer):
        await pg.execute(
            "INSERT INTO accounts (id, name, name_folded) VALUES ($1, $2, $3)", person.id, person.name, person.id
        )
    await pg.execute(
        "INSERT INTO shop_members (shop_id, account_id, role) VALUES ($1, $2, 'host'), ($1, $3, 'moderator')",
        "shop" + show,
        place.host.id,
        place.moderator.id,
    )
    await mark_open(valkey, show)
    return place
