"""What a host does with the picture while on air: none at all, one of another size, and many hosts side by side."""

import asyncio

import pytest

from tests.protocol.media_peers import Publisher, Viewer
from tests.protocol.media_site import MediaSite, media_site, publishing
from tests.waiting import eventually, eventually_true


@pytest.fixture
async def site(pg, valkey):
    async with media_site(pg, valkey) as running:
        yield running


async def test_a_host_with_sound_alone_is_heard_and_seen_once_there_is_a_camera(site: MediaSite):
    show, key = await site.show()
    voice, camera = Publisher(site.http, codec=None), Publisher(site.http)
    assert (await voice.publish(show, key)).status_code == 201
    await publishing(site, show)
    async with Viewer(site.http) as viewer:
        assert (await viewer.watch(show)).status_code == 201
        await eventually_true(lambda: viewer.sounds > 10, what="sound")
        assert viewer.pictures.empty()
        figures = await site.control.show(show)
        assert (figures.codec, figures.fps, figures.width) == ("", 0, 0)
        assert (await camera.publish(show, key, "?takeover=1")).status_code == 201
        assert len(await viewer.see(3)) == 3
        heard = viewer.sounds
        await eventually_true(lambda: viewer.sounds > heard, what="sound goes on")
    for one in (voice, camera):
        await one.peer.close()


@pytest.mark.parametrize("codec", ["video/VP8", "video/H264"])
async def test_a_picture_that_changes_its_size_is_seen_in_the_new_one_and_told(site: MediaSite, codec: str):
    """A window that is shared is as large as it is, and a phone that is turned makes a portrait."""
    show, key = await site.show()
    publisher = Publisher(site.http, codec=codec)
    await publisher.publish(show, key)
    await publishing(site, show)
    async with Viewer(site.http) as viewer:
        await viewer.watch(show)
        await viewer.see(2)
        assert viewer.size == (160, 120)
        publisher.track.size = (168, 304)
        await eventually_true(lambda: viewer.size == (168, 304), what="the picture in its new size")

        async def told() -> bool:
            figures = await site.control.show(show)
            return (figures.width, figures.height) == (168, 304)

        await eventually(told, what="the studio hears of it")
    await publisher.peer.close()


@pytest.mark.long
async def test_ten_hosts_and_their_rooms_do_not_disturb_each_other(site: MediaSite):
    tints = [20 + 24 * number for number in range(10)]
    hosts = [Publisher(site.http, tint=tint) for tint in tints]
    shows = [await site.show() for _ in hosts]
    for host, (show, key) in zip(hosts, shows, strict=True):
        host.track.size = (160, 80)
        assert (await host.publish(show, key)).status_code == 201
    viewers = [Viewer(site.http) for _ in hosts]
    for viewer, (show, _) in zip(viewers, shows, strict=True):
        await publishing(site, show)
        assert (await viewer.watch(show)).status_code == 201
    for viewer, tint in zip(viewers, tints, strict=True):
        seen = await viewer.see(8)
        assert {abs(green - tint) < 12 for _, green, _ in seen} == {True}, "its own host's pictures alone"
        assert len({red for red, *_ in seen}) > 4
    show, _ = shows[0]
    await site.control.end_sessions(show)
    await publishing(site, show, wanted=False)
    assert (await site.control.stats()).sessions == 18
    for viewer in viewers[1:]:
        await viewer.see(4)
    await asyncio.gather(*(one.peer.close() for one in hosts), *(one.__aexit__() for one in viewers))
