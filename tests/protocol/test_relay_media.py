"""The relay with stock aiortc peers on both sides, over real sockets, DTLS and SRTP."""

import asyncio
import contextlib
import gc
import itertools
import weakref

import httpx
import pytest
from aiortc.rtp import RTCP_PSFB_PLI, RtcpPsfbPacket

from app.http.credentials import SESSION_COOKIE
from app.streams.media_control import StreamWatch
from app.streams.relay import limits
from app.streams.relay.dtls import Handshake
from app.streams.relay.role import Announcer
from app.streams.relay.wire import control_socket, control_urls
from tests.protocol.media_peers import Publisher, Viewer
from tests.protocol.media_site import HeardRooms, MediaSite, media_site, publishing
from tests.waiting import eventually, eventually_true


@pytest.fixture
async def site(pg, valkey):
    async with media_site(pg, valkey) as running:
        yield running


@pytest.fixture
def without_collector():
    gc.disable()
    yield
    gc.enable()


@contextlib.asynccontextmanager
async def on_air(site: MediaSite, **options):
    """A publisher that is connected, in a show of its own."""
    show, key = await site.show()
    async with Publisher(site.http, **options) as publisher:
        assert (await publisher.publish(show, key)).status_code == 201
        await publishing(site, show)
        # Who leaves before its own side of the handshake is done cannot say goodbye.
        await eventually_true(lambda: publisher.peer.connectionState == "connected")
        yield publisher, show, key


def grows(pictures: list[tuple[int, int, int]]) -> bool:
    """The red of nearly every picture differs from the one before: it moves."""
    steps = [abs(one[0] - other[0]) for one, other in itertools.pairwise(pictures)]
    return sum(step > 3 for step in steps) > len(steps) / 2


@pytest.mark.parametrize("codec", ["video/VP8", "video/H264"])
async def test_two_viewers_decode_the_moving_picture_and_the_sound(site: MediaSite, codec: str):
    async with on_air(site, codec=codec) as (_, show, _), Viewer(site.http) as first, Viewer(site.http) as second:
        for viewer in (first, second):
            assert (await viewer.watch(show)).status_code == 201
        for viewer in (first, second):
            assert grows(await viewer.see(20))
            await eventually(lambda viewer=viewer: has_sound(viewer), what="sound")
        figures = await site.control.show(show)
        assert (figures.viewers, figures.codec, figures.owner) == (2, codec.partition("/")[2], "key")


async def has_sound(viewer: Viewer) -> bool:
    return viewer.sounds > 10


async def test_viewers_stay_when_the_publisher_goes_and_comes_back(site: MediaSite):
    async with on_air(site) as (publisher, show, key), Viewer(site.http) as viewer:
        await viewer.watch(show)
        await viewer.see(5)
        await site.http.delete(publisher.session, headers={"Authorization": f"Bearer {key}"})
        await publishing(site, show, wanted=False)
        async with Publisher(site.http, tint=200) as again:
            assert (await again.publish(show, key)).status_code == 201
            assert grows(await viewer.see(10, tint=200))
        assert (await site.http.get(viewer.session)).status_code == 204


async def test_the_room_hears_who_publishes_in_growing_versions(site: MediaSite):
    async with on_air(site) as (_, show, _):
        pass
    await publishing(site, show, wanted=False)
    await eventually(lambda: heard(site, 2), what="two words")
    assert [(room, key, value) for room, key, _, value in site.rooms.states] == [
        (show, "stream", True),
        (show, "stream", False),
    ]
    versions = [version for _, _, version, _ in site.rooms.states]
    assert versions[0] < versions[1]


async def heard(site: MediaSite, count: int) -> bool:
    return len(site.rooms.states) >= count


async def test_a_room_that_is_away_hears_the_newest_truth_later(monkeypatch):
    monkeypatch.setattr("app.streams.relay.role.TELL_RETRY_S", 0.0)
    heard = HeardRooms()
    away = [ConnectionError(), ConnectionError()]

    class AwayRooms:
        async def set_state(self, *args) -> bool:
            if away:
                raise away.pop()
            return await heard.set_state(*args)

    announcer = Announcer(AwayRooms())
    announcer.tell("show", True)
    announcer.tell("show", False)
    running = asyncio.create_task(announcer.run())

    async def told() -> bool:
        return [value for *_, value in heard.states] == [False]

    await eventually(told)
    running.cancel()


async def test_a_publisher_that_a_killed_media_role_never_took_back_is_taken_back(site: MediaSite):
    """A media role that was killed told no room that its publishers are gone."""
    async with on_air(site) as (_, show, _):
        watching = StreamWatch(site.pg, site.control, site.rooms)

        async def said_by_a_look() -> list[bool]:
            site.rooms.states.clear()
            await watching.look()
            return [value for room, _, _, value in site.rooms.states if room == show]

        assert await said_by_a_look() == [True]
        assert await said_by_a_look() == [], "said once is enough"
        await site.control.end_sessions(show)
        assert set(await said_by_a_look()) == {False}


async def test_a_takeover_ends_the_old_session_and_viewers_see_the_new_picture(site: MediaSite):
    async with on_air(site) as (publisher, show, key), Viewer(site.http) as viewer, Publisher(site.http, 200) as other:
        await viewer.watch(show)
        await viewer.see(5, tint=40)
        refused = await Publisher(site.http).publish(show, key)
        assert (refused.status_code, refused.json()["code"]) == (409, "publisher_present")
        assert (await other.publish(show, key, "?takeover=1")).status_code == 201
        assert grows(await viewer.see(10, tint=200))
        assert (await site.http.get(publisher.session)).status_code == 404
        assert [value for *_, value in site.rooms.states] == [True], "the room never heard of an interruption"


async def test_a_takeover_that_never_connects_leaves_the_present_publisher_on_air(site: MediaSite):
    async with on_air(site) as (_, show, key), Viewer(site.http) as viewer:
        await viewer.watch(show)
        ghost = Publisher(site.http)
        answer = await site.http.post(
            f"/whip/{show}?takeover=1",
            content=await ghost.offer(),
            headers={"Content-Type": "application/sdp", "Authorization": f"Bearer {key}"},
        )
        assert answer.status_code == 201
        assert grows(await viewer.see(10, tint=40))
        await ghost.peer.close()


async def test_the_synthetic_host_gives_way_and_a_person_is_never_asked_to(site: MediaSite):
    from app.streams.synthetic_key import synthetic_key

    await site.pg.execute("INSERT INTO shops (id, name, currency) VALUES ('s', 'Shop', 'EUR') ON CONFLICT DO NOTHING")
    await site.pg.execute(
        "INSERT INTO shows (id, shop_id, title, state) VALUES ('demo', 's', 'Demo', 'live') ON CONFLICT DO NOTHING"
    )
    key = "key-of-the-demo-show"
    await site.pg.execute(
        "INSERT INTO stream_keys (show_id, key_hash, hint) VALUES ('demo', sha256($1::bytea), 'show') "
        "ON CONFLICT DO NOTHING",
        key.encode(),
    )
    secret = synthetic_key(site.settings)
    async with Publisher(site.http) as robot, Publisher(site.http, 200) as person:
        assert (await robot.publish("demo", secret)).status_code == 201
        await publishing(site, "demo")
        assert (await person.publish("demo", key)).status_code == 201

        async def person_has_it() -> bool:
            return (await site.control.show("demo")).owner == "key"

        await eventually(person_has_it)
        refused = await Publisher(site.http).publish("demo", secret, "?takeover=1")
        assert refused.status_code == 409
    other, _ = await site.show()
    assert (await Publisher(site.http).publish(other, secret)).status_code == 403


async def test_ending_a_show_ends_everybody_and_ending_a_person_ends_one(site: MediaSite):
    async with on_air(site) as (publisher, show, _), Viewer(site.http) as first, Viewer(site.http) as second:
        for viewer in (first, second):
            await viewer.watch(show)
            await viewer.see(2)
        assert await site.control.end_sessions(show, "somebody else") == 0
        assert await site.control.end_sessions(show, owner="account:somebody") == 0
        assert await site.control.end_sessions(show, owner="key") == 1
        await publishing(site, show, wanted=False)
        assert await site.control.end_sessions(show) == 2
        for client in (publisher, first, second):
            assert (await site.http.get(client.session)).status_code == 404
        await eventually(lambda: closed(first), what="the viewer to hear goodbye")


async def closed(viewer: Viewer) -> bool:
    return viewer.peer.connectionState in {"closed", "failed"}


async def test_a_session_nobody_connects_to_is_given_up(site: MediaSite, monkeypatch):
    monkeypatch.setattr("app.streams.relay.session.ICE_GIVES_UP_S", 0.2)
    show, key = await site.show()
    ghost = Publisher(site.http)
    answer = await site.http.post(
        f"/whip/{show}",
        content=await ghost.offer(),
        headers={"Content-Type": "application/sdp", "Authorization": f"Bearer {key}"},
    )

    async def gone() -> bool:
        return (await site.http.get(answer.headers["Location"])).status_code == 404

    await eventually(gone)
    assert (await site.control.stats()).rooms == ()
    await ghost.peer.close()


async def test_a_peer_that_falls_silent_loses_its_session(site: MediaSite, monkeypatch):
    async with on_air(site) as (_, show, _), Viewer(site.http) as viewer:
        await viewer.watch(show)
        await viewer.see(2)
        monkeypatch.setattr("app.streams.relay.session.CONSENT_LOST_S", -1.0)

        async def gone() -> bool:
            return (await site.http.get(viewer.session)).status_code == 404

        await eventually(gone)


async def test_a_relay_that_is_full_says_so(site: MediaSite, monkeypatch):
    async with on_air(site) as (_, show, _):
        monkeypatch.setattr("app.streams.relay.relay.SESSIONS_MAX", 1)
        answer = await Viewer(site.http).watch(show)
        assert (answer.status_code, answer.json()["code"]) == (503, "too_many_sessions")
        assert int(answer.headers["Retry-After"]) >= 1


async def test_a_viewers_plea_for_a_key_frame_brings_one(site: MediaSite):
    async with on_air(site) as (_, show, _), Viewer(site.http) as viewer:
        await viewer.watch(show)
        await viewer.see(2)
        room_age = (await site.control.show(show)).key_frame_age_ms
        assert room_age is not None
        receiver = viewer.peer.getReceivers()[0]

        async def younger() -> bool:
            plea = RtcpPsfbPacket(fmt=RTCP_PSFB_PLI, ssrc=1, media_ssrc=receiver.getSynchronizationSources()[0].source)
            await receiver.transport._send_rtp(bytes(plea))
            return (await site.control.show(show)).key_frame_age_ms < limits.KEY_FRAME_ASK_INTERVAL_S * 500

        await eventually(younger)


async def test_junk_and_forged_packets_change_nothing_for_a_viewer(site: MediaSite):
    async with on_air(site) as (_, show, _), Viewer(site.http) as viewer:
        await viewer.watch(show)
        await viewer.see(2)
        loop = asyncio.get_running_loop()
        junk, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=("127.0.0.1", site.settings.media_port)
        )
        for first in range(256):
            junk.sendto(bytes((first,)))
            junk.sendto(bytes((first, 200)) + bytes(100))
            junk.sendto(b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes((first,)) * 12)
        assert grows(await viewer.see(10))
        junk.close()


@pytest.mark.usefixtures("without_collector")
async def test_a_viewer_whose_handshake_is_settled_hears_goodbye_and_is_heard_saying_it(site: MediaSite, monkeypatch):
    """Freed of DTLS, a session can prove no goodbye: it ends when nothing follows, and lives when something does. What
    ends is freed at once: the collector is off.
    """
    monkeypatch.setattr("app.streams.relay.session.HANDSHAKE_SETTLES_S", 0.0)
    monkeypatch.setattr("app.streams.relay.session.GOODBYE_HEARD_S", 0.3)
    settled: list[weakref.ref[Handshake]] = []
    inner = Handshake.settle
    monkeypatch.setattr(Handshake, "settle", lambda one: settled.append(weakref.ref(one)) or inner(one))
    async with on_air(site) as (_, show, _), Viewer(site.http) as first, Viewer(site.http) as second:
        for viewer in (first, second):
            await viewer.watch(show)
            await viewer.see(2)
        await eventually_true(lambda: len(settled) == 3, what="everybody settled")
        await first.peer.close()

        async def gone() -> bool:
            return (await site.http.get(first.session)).status_code == 404

        await eventually(gone)
        await eventually_true(lambda: sum(one() is None for one in settled) == 1, what="the first is freed")
        assert grows(await second.see(10))
        await site.control.end_sessions(show)
        await eventually(lambda: closed(second), what="goodbye")
        await eventually_true(lambda: not any(one() for one in settled), what="everybody is freed")


async def test_the_host_sees_how_the_stream_arrives(site: MediaSite):
    async with on_air(site) as (_, show, _), Viewer(site.http) as viewer:
        await viewer.watch(show)
        await viewer.see(5)
        secret = await site.host(show)
        path, host = f"/api/shows/{show}/stream", {"Cookie": f"{SESSION_COOKIE}={secret}"}

        async def measured() -> bool:
            return (await site.http.get(path, headers=host)).json()["fps"] > 0

        await eventually(measured)
        stats = (await site.http.get(path, headers=host)).json()
        assert (stats["publishing"], stats["viewers"], stats["codec"]) == (True, 1, "VP8")
        assert (stats["width"], stats["height"]) == (160, 120)
        assert stats["bitrate_kbps"] > 0
        assert stats["loss_percent"] == 0
        assert stats["key_frame_age_ms"] >= 0
        assert stats["viewers_loss_percent"] == 0
        assert stats["viewer_kbps"] > 0
        assert (await site.http.get(path)).status_code == 401
        other, _ = await site.show()
        silent = await site.http.get(
            f"/api/shows/{other}/stream", headers={"Cookie": f"{SESSION_COOKIE}={await site.host(other)}"}
        )
        assert (silent.json()["publishing"], silent.json()["fps"]) == (False, 0)


async def test_prometheus_reads_the_media_role_at_its_inner_door(site: MediaSite):
    async with on_air(site) as (_, show, _), Viewer(site.http) as viewer:
        await viewer.watch(show)
        await viewer.see(1)
        door = control_socket(control_urls(site.settings)[0])
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(door))) as inner:
            lines = (await inner.get("http://media/metrics")).text.splitlines()
        figures = dict(line.rsplit(" ", 1) for line in lines if line.startswith("hawker_media_"))
        assert (float(figures["hawker_media_publishers"]), float(figures["hawker_media_viewers"])) == (1, 1)
        assert float(figures["hawker_media_datagrams_out_total"]) > 0
