"""Too many sockets and connections: who is let in, who is told to come back, and who is not even upgraded."""

import asyncio
from contextlib import AsyncExitStack

import pytest
import websockets

from app.http.arrivals import Arrivals
from app.rooms import uvicorn_protocol
from app.rooms.limits import Caps
from tests.protocol.raw_peers import HEAD, heard_in_order, raw
from tests.protocol.room_server import GUARD_S, room_server
from tests.waiting import eventually_true

both_wires = pytest.mark.parametrize("direct", [True, False], ids=["direct wire", "task wire"])


def forwarded(address):
    return {"X-Forwarded-For": address}


async def refused_before_the_upgrade(dialling):
    with pytest.raises(websockets.InvalidStatus) as refused:
        await asyncio.wait_for(dialling, GUARD_S)
    response = refused.value.response
    return response.status_code, response.headers.get("Retry-After")


@both_wires
async def test_an_address_is_capped_and_what_it_makes_us_hold_beyond_that_is_bounded(valkey, direct):
    caps = Caps(per_address=2, doorstep=5, doorstep_per_address=2)
    mine = HEAD % (b"show1", b"X-Forwarded-For: 203.0.113.7\r\n")
    async with (
        room_server(valkey, direct=direct, caps=caps, trusted_proxies=("127.0.0.1",)) as server,
        heard_in_order(server),
        AsyncExitStack() as stack,
    ):
        for _ in range(2):
            assert b" 101 " in await (await stack.enter_async_context(raw(server, mine))).head()
        async with server.dial(additional_headers=forwarded("203.0.113.7")) as third:
            await asyncio.wait_for(third.wait_closed(), GUARD_S)
            assert third.close_code == 1013
        if direct:  # only there it is known when a connection is gone
            for _ in range(2):  # who do not answer the close
                assert b" 101 " in await (await stack.enter_async_context(raw(server, mine))).head()
            dialling = server.dial(additional_headers=forwarded("203.0.113.7"))
            assert await refused_before_the_upgrade(dialling) == (503, "5")
        async with server.joined(additional_headers=forwarded("203.0.113.8")):
            pass


async def test_who_is_turned_away_on_the_doorstep_is_bounded_in_all(valkey, monkeypatch):
    monkeypatch.setattr(uvicorn_protocol, "CLOSE_TIMEOUT_S", 0.5)
    async with (
        room_server(valkey, caps=Caps(per_worker=1, doorstep=3)) as server,
        heard_in_order(server),
        AsyncExitStack() as stack,
    ):
        for _ in range(3):
            assert b" 101 " in await (await stack.enter_async_context(raw(server, HEAD % (b"show1", b"")))).head()
        assert await refused_before_the_upgrade(server.dial()) == (503, "5")
        await eventually_true(lambda: server.connections == 1)  # they never answered
        async with server.dial() as later:
            await asyncio.wait_for(later.wait_closed(), GUARD_S)
            assert later.close_code == 1013


async def test_a_household_with_a_whole_ipv6_network_is_one_address(valkey):
    async with (
        room_server(valkey, caps=Caps(per_address=1), trusted_proxies=("127.0.0.1",)) as server,
        server.joined(additional_headers=forwarded("2001:db8:1:2::1")),
        server.joined(additional_headers=forwarded("2001:db8:1:3::1")),
        server.dial(additional_headers=forwarded("2001:db8:1:2:ffff::9")) as second,
    ):
        await asyncio.wait_for(second.wait_closed(), GUARD_S)
        assert second.close_code == 1013


async def test_a_forwarded_address_counts_only_from_a_trusted_proxy(valkey):
    """Who invents one neither uses up another's places nor gets more of its own."""
    claim = HEAD % (b"show1", b"X-Forwarded-For: 203.0.113.7\r\n")
    async with (
        room_server(valkey, caps=Caps(per_address=1), trusted_proxies=("127.0.0.1",)) as server,
        raw(server, claim, address="127.0.0.3") as stranger,
        server.joined(additional_headers=forwarded("203.0.113.7")),
        server.dial(additional_headers=forwarded("198.51.100.1, 203.0.113.7")) as behind_the_same,
    ):
        assert b" 101 " in await stranger.head()
        await asyncio.wait_for(behind_the_same.wait_closed(), GUARD_S)
        assert behind_the_same.close_code == 1013


async def test_one_person_who_opens_many_at_once_gets_the_cap_and_no_more(valkey):
    """They were counted when they had joined: however many came together, all got in."""
    async with room_server(valkey, caps=Caps(per_person=2)) as server, heard_in_order(server):
        async with AsyncExitStack() as stack:
            peers = [
                await stack.enter_async_context(raw(server, HEAD % (b"show1", b"Cookie: who=ann\r\n")))
                for _ in range(7)
            ]
            heads = await asyncio.gather(*(peer.head() for peer in peers))
            assert sum(b" 101 " in head for head in heads) == 4
            assert sum(b" 503 " in head for head in heads) == 3
            assert len([peer for peer in peers if b"\x03\xf5" in peer.reader._buffer]) == 2  # 1013
        await eventually_true(lambda: server.connections == 1)
        async with server.joined(who="ann"):
            pass


async def test_silent_connections_are_bounded_by_address_and_in_all(valkey):
    """With the address of none of them capped, whoever was silent the longest makes room for who comes."""
    arrivals = Arrivals(headless_max=5)
    async with room_server(valkey, arrivals=arrivals) as server, heard_in_order(server), AsyncExitStack() as stack:
        peers = []
        for number in range(8):
            peers.append(await stack.enter_async_context(raw(server)))
            await eventually_true(lambda number=number: arrivals.headless == min(number + 1, 5))
        for peer in peers[:3]:
            assert await peer.gone() == b""
        async with server.joined():
            assert arrivals.headless == 4  # one more had to go
        assert server.connections <= 6


async def test_beyond_the_last_connection_there_is_none(valkey):
    arrivals = Arrivals(connections_max=3)
    async with room_server(valkey, arrivals=arrivals) as server, heard_in_order(server), server.joined():
        async with raw(server), raw(server, HEAD % (b"show1", b"")) as too_many:
            assert await too_many.gone() == b""
        await eventually_true(lambda: server.connections == 2)
        async with server.joined():
            pass


async def test_when_all_are_gone_nobody_is_counted(valkey):
    caps = Caps(per_address=2, per_person=1)
    async with room_server(valkey, caps=caps, trusted_proxies=("127.0.0.1",)) as server:
        async with (
            server.joined(who="ann", additional_headers=forwarded("203.0.113.7")),
            server.dial(who="ann", additional_headers=forwarded("203.0.113.7")) as one_too_many,
            server.dial("nowhere", additional_headers=forwarded("203.0.113.8")) as lost,
        ):
            for refused in (one_too_many, lost):
                await asyncio.wait_for(refused.wait_closed(), GUARD_S)
            assert not server.door.crowd.is_empty()
        await eventually_true(server.door.crowd.is_empty)
