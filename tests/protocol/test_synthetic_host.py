"""The demo's synthetic host: asleep until somebody watches, awake at once, out of the way of a person, and back."""

import asyncio
import contextlib
import time

import pytest

from app.streams.synthetic_host import Wakefulness, run_synthetic_host
from app.streams.synthetic_picture import HEIGHT, WIDTH, Studio, tone
from tests.protocol.media_peers import Publisher, Viewer
from tests.protocol.media_site import MediaSite, media_site
from tests.waiting import eventually

KEY = "key-of-the-demo-show"


@pytest.fixture
async def site(pg, valkey, monkeypatch):
    """A site with the demo show and its host on duty."""
    monkeypatch.setattr("app.streams.synthetic_host.LOOKS_EVERY_S", 0.1)
    monkeypatch.setattr("app.streams.synthetic_host.SLEEPS_AFTER_S", 1.2)
    monkeypatch.setattr("app.streams.relay.publish_rules.SYNTHETIC_WAITS_S", 1.0)
    async with media_site(pg, valkey) as running:
        await pg.execute("INSERT INTO shops (id, name, currency) VALUES ('demo', 'Demo', 'EUR') ON CONFLICT DO NOTHING")
        await pg.execute(
            "INSERT INTO shows (id, shop_id, title, state) VALUES ('demo', 'demo', 'Demo', 'live') "
            "ON CONFLICT DO NOTHING"
        )
        await pg.execute(
            "INSERT INTO stream_keys (show_id, key_hash, hint) VALUES ('demo', sha256($1::bytea), 'show') "
            "ON CONFLICT DO NOTHING",
            KEY.encode(),
        )
        host = asyncio.create_task(run_synthetic_host(running.settings))
        await owned_by(running, "synthetic")
        yield running
        host.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await host


async def owned_by(site: MediaSite, owner: str) -> None:
    async def check() -> bool:
        return (await site.control.show("demo")).owner == owner

    await eventually(check, what=f"{owner} on air")


async def test_it_sleeps_until_somebody_watches_and_again_after(site: MediaSite, record_property):
    assert (await site.control.show("demo")).bitrate_kbps == 0
    viewer = Viewer(site.http)
    began = time.monotonic()
    await viewer.watch("demo")
    pictures = await viewer.see(1)
    record_property(
        "first_frame_after_waking_ms", round((time.monotonic() - began) * 1000)
    )  # most of it the stock peer's own
    pictures += await viewer.see(10)
    await eventually(lambda: has_sound(viewer), what="the tone")
    await viewer.http.delete(viewer.session)

    async def silent() -> bool:
        return (await site.control.show("demo")).bitrate_kbps == 0

    await eventually(silent, what="sleep")
    await viewer.peer.close()


async def has_sound(viewer: Viewer) -> bool:
    return viewer.sounds > 20


async def test_it_gives_way_to_a_person_and_comes_back_when_the_stage_is_free(site: MediaSite):
    async with Publisher(site.http) as person, Viewer(site.http) as viewer:
        assert (await person.publish("demo", KEY)).status_code == 201
        await owned_by(site, "key")
        await viewer.watch("demo")
        await viewer.see(3, tint=40)
        await person.peer.close()
        await owned_by(site, "synthetic")
        await viewer.see(3)


async def done_soon(task: asyncio.Task) -> bool:
    """Whether a task ends within moments; what should not happen cannot be waited for any better."""
    return bool((await asyncio.wait({task}, timeout=0.05))[0])


async def test_a_sign_wakes_once_and_silence_puts_to_sleep(monkeypatch):
    monkeypatch.setattr("app.streams.synthetic_host.SLEEPS_AFTER_S", -1.0)
    wakefulness = Wakefulness()
    woken = []
    wakefulness.on_wake = lambda: woken.append(1)
    waiting = asyncio.create_task(wakefulness.wait())
    assert not await done_soon(waiting)
    wakefulness.sign()
    wakefulness.sign()
    assert await waiting is True
    assert woken == [1]
    asleep = asyncio.create_task(wakefulness.wait())
    assert not await done_soon(asleep), "no sign for too long"
    wakefulness.sign()
    await asleep


def test_the_picture_is_small_and_moves_and_the_tone_loops_in_a_second():
    studio = Studio()
    one, other = (studio.frame(now_ms).to_image() for now_ms in (1_790_000_000_000, 1_790_000_000_066))
    assert one.size == (WIDTH, HEIGHT)
    assert HEIGHT <= 360
    assert one.tobytes() != other.tobytes()
    packets = tone()
    assert len(packets) == 50
    assert all(packets)
