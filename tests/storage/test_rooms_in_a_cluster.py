"""Rooms on a Valkey in cluster mode, with the rules that it has for scripts, and on one without sharded channels."""

import asyncio

from app.rooms.bus import Pace, Spoken
from app.rooms.hub import Hub
from app.rooms.keys import channel_of
from app.rooms.presence import report, sum_up
from app.rooms.sources import Sources
from app.rooms.valkey_bus import ValkeyRooms
from tests.protocol.room_server import Number, Words
from tests.running import free_port
from tests.valkey_servers import client_of, make_cluster, own_valkeys
from tests.waiting import eventually_true

NO_SHARDED = ("--rename-command", "SPUBLISH", "", "--rename-command", "SSUBSCRIBE", "")


class Heard:
    """What a hub gave its room."""

    def __init__(self, room):
        self.room, self.reactions = room, []
        room.react = self.reactions.append


async def everything_of_a_room(valkey, show):
    """Each script once, on several rooms, and what a hub hears of it."""
    rooms = ValkeyRooms(valkey, Sources())
    hub = Hub(rooms)
    async with hub.running():
        await hub.enter("other" + show)  # another shard of the same subscription
        heard = Heard(await hub.enter(show))
        first = await rooms.append(show, Words("one"))
        said = await rooms.speak(show, "ann", Words("two"), event_id="id", former_id="-", pace=Pace(1, 10))
        assert isinstance(said, Spoken)
        await rooms.sanction(show, "ann", None, Number(3))
        await rooms.absolve(show, "ann", Number(4))
        await rooms.replace(show, said, Number(0), Number(5))
        await rooms.set_state(show, "pin", 1, Number(6))
        await rooms.react(show, {"heart": 2})
        await report(hub)
        await sum_up(valkey)
        await rooms.reopen(show, first.e, 5)
        await eventually_true(lambda: heard.room.ring.top == 5 and "viewers" in heard.room.state and heard.reactions)
        assert heard.room.state["pin"] == (1, b'{"n":6}')
        assert hub.tally.readings == 2, "all of it came over the bus: no hole was read"


async def test_every_script_of_rooms_obeys_a_clusters_rules_and_publishes_on_the_rooms_shard(tmp_path):
    with own_valkeys(tmp_path) as start:
        server = await start("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
        async with client_of(server.url) as valkey:
            await make_cluster(valkey)
            async with valkey.pubsub() as listener:
                await listener.ssubscribe(channel_of("s"))
                await everything_of_a_room(valkey, "s")
                assert await valkey.execute_command("PUBSUB CHANNELS") == []
                kinds = set()
                while (message := await asyncio.wait_for(listener.get_message(timeout=0.2), 60)) is not None:
                    kinds.add(message["type"])
                assert kinds == {"ssubscribe", "smessage"}


async def test_where_there_are_no_sharded_channels_plain_ones_do(tmp_path):
    with own_valkeys(tmp_path) as start:
        server = await start(*NO_SHARDED)
        async with client_of(server.url) as valkey:
            await everything_of_a_room(valkey, "s")


async def test_who_may_not_use_sharded_channels_uses_plain_ones(tmp_path):
    with own_valkeys(tmp_path) as start:
        server = await start()
        async with client_of(server.url) as valkey:
            await valkey.execute_command("ACL", "SETUSER", "default", "-spublish", "-ssubscribe")
            await everything_of_a_room(valkey, "s")
