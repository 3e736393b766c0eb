"""Who may be somebody that is banned: told to the staff once, by keyed hashes alone, and nobody is refused for it."""

import asyncio
import stat

import msgspec
import pytest

from app import clock
from app.accounts.hints import HINTS_MAX, Hints, forget_old, hint_key
from app.chat.bans import SetBan, set_ban
from app.chat.edge import commands as commands_of
from app.chat.evasion import close_evasion, open_evasions
from app.chat.suspicions import LOOKED_S, Suspicions
from app.person import Person, Standing
from app.rooms.dispatch import Asker, merge, run
from app.settings import Settings
from tests.chat_place import chat_over, chat_place

HOME, OFFICE = "198.51.100.7", "2001:db8:0:1::7"


@pytest.fixture
async def place(pg, valkey):
    place = await chat_place(pg, valkey)
    place.hints = Hints(pg, lambda: b"a key" + place.show.encode())
    return place


async def somebody(place, name="Otto"):
    person = Person("p" + clock.new_id(), name)
    await place.pg.execute("INSERT INTO accounts (id, name, name_folded) VALUES ($1, $2, $1)", person.id, person.name)
    return person


async def writes(place, person, chat=None):
    frame = msgspec.json.encode({"op": "chat.post", "id": clock.new_id(), "text": f"I am {clock.new_id()}"}).decode()
    asker = Asker(place.show, person, Standing.VIEWER, "")
    return msgspec.json.decode(await run(merge(commands_of(chat or place.chat)), frame, asker))


async def flags(place):
    found = [(one.by.id, one.like.id, one.hint) for one in await open_evasions(place.pg, place.show)]
    told = [event for event in await place.staff_story() if event["t"] == "evasion"]
    assert sorted((one["by"]["id"], one["like"]["id"], one["hint"]) for one in told) == sorted(found)
    return found


async def test_who_comes_back_with_the_same_device_or_address_is_flagged_once(place):
    vera, (otto, olga, omar) = place.viewer, [await somebody(place) for _ in range(3)]
    await place.hints.note(vera.id, "vera's browser", HOME)
    await place.hints.note(otto.id, "vera's browser", OFFICE)
    await place.hints.note(olga.id, "her own", HOME)
    await place.hints.note(omar.id, "his own", OFFICE)
    await writes(place, otto)
    assert await flags(place) == []
    wanted = SetBan(vera.id)
    assert await set_ban(place.chat, place.show, place.moderator, Standing.MODERATOR, wanted) is None
    chats = [chat_over(place.pg, place.valkey)[0] for _ in range(3)]  # who was compared is known to each process
    said = await asyncio.gather(*(writes(place, otto, chat) for chat in chats))
    assert all(one.get("o") for one in said)
    await asyncio.gather(*(writes(place, one, chats[0]) for one in (olga, omar)))
    assert sorted(await flags(place)) == sorted([(otto.id, vera.id, "device"), (olga.id, vera.id, "address")])
    elsewhere = await chat_place(place.pg, place.valkey)
    await writes(elsewhere, otto)
    assert await open_evasions(place.pg, elsewhere.show) == []
    await close_evasion(place.chat, place.show, place.moderator, otto.id)
    assert [one.by.id for one in await open_evasions(place.pg, place.show)] == [olga.id]
    assert (await place.staff_story())[-1]["t"] == "evasion.closed"
    wanted = SetBan(olga.id)
    assert await set_ban(place.chat, place.show, place.moderator, Standing.MODERATOR, wanted) is None
    assert await open_evasions(place.pg, place.show) == []


async def test_hints_are_hashes_under_a_key_and_are_forgotten(place):
    vera, otto = place.viewer, await somebody(place)
    await place.hints.note(vera.id, "a browser", HOME)
    await Hints(place.pg, lambda: b"another key").note(otto.id, "a browser", HOME)
    await place.hints.note(otto.id, None, "127.0.0.1")  # this machine's own says nothing
    rows = await place.pg.fetch("SELECT * FROM account_hints WHERE account_id = ANY($1)", [vera.id, otto.id])
    assert sorted((row["account_id"], row["kind"], len(row["hash"])) for row in rows) == sorted(
        (one, kind, 32) for one in (vera.id, otto.id) for kind in ("device", "address")
    )
    assert len({row["hash"] for row in rows}) == 4
    for n in range(HINTS_MAX + 2):
        await place.hints.note(otto.id, f"browser {n}", "")
    kept = "SELECT count(*) FROM account_hints WHERE account_id = $1 AND kind = 'device'"
    assert await place.pg.fetchval(kept, otto.id) == HINTS_MAX
    await place.pg.execute(
        "UPDATE account_hints SET seen_at = now() - interval '91 days' WHERE account_id = $1", otto.id
    )
    await forget_old(place.pg)
    assert await place.pg.fetchval(kept, otto.id) == 0
    assert await place.pg.fetchval(kept, vera.id) == 1


def test_a_machine_makes_its_key_once_and_keeps_it_to_itself(tmp_path):
    folder = tmp_path / "var"
    assert hint_key(Settings(hint_key="given", data_dir=folder)) == b"given"
    assert not folder.exists()
    made = hint_key(Settings(data_dir=folder))
    assert len(made) >= 43
    assert hint_key(Settings(data_dir=folder)) == made
    assert stat.S_IMODE((folder / "hint.key").stat().st_mode) == 0o600
    assert [path.name for path in folder.iterdir()] == ["hint.key"]


def test_who_was_compared_a_moment_ago_is_not_compared_again(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(clock, "monotonic_s", lambda: now[0])
    looked = Suspicions()
    assert [looked.is_due("s", "p"), looked.is_due("s", "p"), looked.is_due("other", "p")] == [True, False, True]
    now[0] += LOOKED_S
    assert [looked.is_due("s", "p"), looked.is_due("s", "p")] == [True, False]
