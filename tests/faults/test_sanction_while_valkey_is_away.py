"""A timeout, or its end, that reached Postgres while Valkey was away takes effect though nobody repeats it."""

from contextlib import AsyncExitStack

import pytest

from app import clock
from app.chat.agreement import agree_all
from app.chat.messages import Posted
from app.chat.timeouts import end_timeout
from app.outage import EXTERNAL, is_outage
from app.person import Standing
from app.rooms.keys import keys_of
from tests.chat_place import chat_place
from tests.running import free_port
from tests.valkey_servers import client_of, own_valkeys, switch
from tests.waiting import eventually


class Away:
    """A show whose Valkey can be away and come back with all that it knew."""

    def __init__(self, place, front, port):
        self.place, self._front, self._port = place, front, port

    async def gone(self, act):
        """`act` while Valkey is away: it fails as an outage."""
        self._front.turn(free_port())
        with pytest.raises(EXTERNAL) as failed:
            await act
        assert is_outage(failed.value)
        self._front.turn(self._port)

        async def back():
            try:
                return await self.place.valkey.ping()
            except EXTERNAL:
                return False

        await eventually(back)

    async def kinds(self):
        return [event["t"] for event in await self.place.story()]


@pytest.fixture
async def away(pg, tmp_path):
    async with AsyncExitStack() as stack:
        server = await stack.enter_context(own_valkeys(tmp_path))()
        front = await stack.enter_async_context(switch(server.port))
        place = await chat_place(pg, await stack.enter_async_context(client_of(front.url)))
        assert isinstance(await place.say("before"), Posted)
        yield Away(place, front, server.port)


async def test_a_timeout_takes_effect_when_valkey_is_back(away):
    place = away.place
    await away.gone(place.time_out(place.viewer))
    assert await agree_all(place.chat) == 1
    refused = await place.say("sneaking in")
    assert (refused.code, refused.retry_after_ms > 20_000) == ("timed_out", True)
    assert await away.kinds() == ["chat", "timeout"]
    assert await agree_all(place.chat) == 0
    assert await away.kinds() == ["chat", "timeout"]


async def test_the_end_of_a_timeout_takes_effect_too(away):
    place = away.place
    await place.time_out(place.viewer)
    await away.gone(end_timeout(place.chat, place.show, place.moderator, Standing.MODERATOR, place.viewer.id))
    assert await agree_all(place.chat) == 1
    assert isinstance(await place.say("thanks"), Posted)
    assert await away.kinds() == ["chat", "timeout", "timeout.ended", "chat"]


@pytest.mark.parametrize("until", [None, 2**41])
async def test_a_sanction_of_the_whole_shop_reaches_a_room_that_is_open(away, until):
    place = away.place
    await place.pg.execute(
        "INSERT INTO sanctions (id, shop_id, account_id, kind, until, by_account_id) VALUES ($1, $2, $3, 'ban', "
        "to_timestamp($4::bigint / 1000), $5)",
        clock.new_id(),
        "shop" + place.show,
        place.viewer.id,
        until,
        place.host.id,
    )
    assert await agree_all(place.chat) == 1
    assert (await place.say("still here")).code == ("banned" if until is None else "timed_out")
    assert await agree_all(place.chat) == 0


async def test_what_agrees_and_what_is_over_or_closed_is_left_alone(away):
    place = away.place
    await place.time_out(place.viewer)
    await place.valkey.hset(keys_of(place.show).mutes, "somebody", clock.now_ms() - 1)
    assert await agree_all(place.chat) == 0
    await place.valkey.delete(keys_of(place.show).head)
    assert await agree_all(place.chat) == 0
    assert await place.valkey.exists(keys_of(place.show).head) == 0
