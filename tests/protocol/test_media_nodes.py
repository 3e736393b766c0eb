"""Several media processes on one machine: a show is on one of them, and its viewers find it there."""

import asyncio

import pytest

from app.refusal import Refusal
from app.settings import Settings
from app.streams.media_control import MediaControl
from app.supervisor import environment_of_media, environment_of_roles
from tests.protocol.callers import problem
from tests.protocol.media_peers import Publisher, Viewer, bearer
from tests.protocol.media_site import MediaSite, media_site, publishing


@pytest.fixture
async def site(pg, valkey):
    async with media_site(pg, valkey, nodes=2) as running:
        yield running


def node_of(client: Publisher | Viewer) -> str:
    return client.session.rpartition("/")[2].partition("-")[0]


async def on_air(site: MediaSite, tint: int) -> tuple[Publisher, str, str]:
    show, key = await site.show()
    publisher = Publisher(site.http, tint=tint)
    assert (await publisher.publish(show, key)).status_code == 201
    await publishing(site, show)
    return publisher, show, key


async def test_two_shows_are_on_two_processes_and_everybody_finds_their_own(site: MediaSite):
    one, first, key = await on_air(site, 40)
    other, second, _ = await on_air(site, 200)
    assert {node_of(one), node_of(other)} == {"0", "1"}, "the second goes where less is done"
    async with Viewer(site.http) as viewer, Viewer(site.http) as neighbour:
        for client, show, tint in ((viewer, first, 40), (neighbour, second, 200)):
            assert (await client.watch(show)).status_code == 201
            assert len(await client.see(3, tint=tint)) == 3
        figures = await site.control.stats()
        assert (figures.sessions, {room.show for room in figures.rooms}) == (4, {first, second})
        assert (await site.http.get(viewer.session)).status_code == 204
        assert (await site.http.delete(viewer.session)).is_success
        assert problem(await site.http.delete(viewer.session)) == (404, "not_found")
        assert await site.control.end_sessions(second) == 2
        assert (await site.http.delete(one.session, headers=bearer(key))).is_success
    for publisher in (one, other):
        await publisher.peer.close()


@pytest.mark.parametrize("identity", ["", "x", "-x", "2-x", "--1-x", "00-x"])
async def test_a_session_id_that_names_no_process_is_not_found(site: MediaSite, identity: str):
    seen = await site.control.see(identity)
    assert isinstance(seen, Refusal)
    assert seen.code == "not_found"


async def test_without_the_note_a_show_is_found_where_it_is(site: MediaSite, valkey):
    _, _, _ = first = await on_air(site, 40)
    publisher, show, key = await on_air(site, 90)
    await valkey.flushdb()
    async with Viewer(site.http) as viewer:
        assert (await viewer.watch(show)).status_code == 201
        assert node_of(viewer) == node_of(publisher)
    assert problem(await Publisher(site.http).publish(show, key)) == (409, "publisher_present")
    for one in (first[0], publisher):
        await one.peer.close()


async def test_two_who_publish_at_once_meet_at_one_process(site: MediaSite):
    show, key = await site.show()
    publishers = [Publisher(site.http) for _ in range(4)]
    await asyncio.gather(*(one.publish(show, key, "?takeover=1") for one in publishers))
    assert len({node_of(one) for one in publishers}) == 1
    for one in publishers:
        await one.peer.close()


async def test_a_show_whose_process_is_gone_goes_on_at_another(site: MediaSite):
    publisher, show, key = await on_air(site, 40)
    gone = site.relays[int(node_of(publisher))]
    gone.cancel()
    await asyncio.wait({gone})
    again = Publisher(site.http, tint=200)
    assert (await again.publish(show, key)).status_code == 201
    assert node_of(again) != node_of(publisher)
    await publishing(site, show)
    async with Viewer(site.http) as viewer:
        assert (await viewer.watch(show)).status_code == 201
        assert len(await viewer.see(3, tint=200)) == 3
        assert len((await site.control.stats()).rooms) == 1
    for one in (publisher, again):
        await one.peer.close()


def test_each_process_is_told_its_own_door_and_port_and_the_others_all_doors(tmp_path):
    settings = Settings(port=9000)
    all_of_them = environment_of_roles(settings, "postgresql://x", "redis://x", tmp_path, 3)
    told = [environment_of_media(settings, all_of_them, number) for number in range(3)]
    assert [one["MEDIA_PORT"] for one in told] == ["9000", "9001", "9002"]
    assert ",".join(one["MEDIA_CONTROL_URL"] for one in told) == all_of_them["MEDIA_CONTROL_URL"]
    assert len({one["MEDIA_CONTROL_URL"] for one in told}) == 3


async def test_several_processes_without_valkey_are_a_mistake():
    with pytest.raises(AssertionError):
        MediaControl(Settings(media_control_url="unix:/a,unix:/b"))
