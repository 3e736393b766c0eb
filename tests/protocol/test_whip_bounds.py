"""WHIP and WHEP over HTTP: what one caller may have and ask for, and who is told of TURN servers."""

import base64
import hmac
import time

import pytest

from app.refusal import Refusal
from app.streams.relay.offer import read_offer
from tests.protocol.callers import problem
from tests.protocol.media_peers import SDP, Publisher, Viewer, bearer
from tests.protocol.media_site import MediaSite, media_site
from tests.protocol.test_whip import FRAGMENT, published


@pytest.fixture
async def site(pg, valkey):
    async with media_site(pg, valkey) as running:
        yield running


def offers_read(monkeypatch) -> list[str]:
    """Each offer that the media role reads from here on."""
    read: list[str] = []
    monkeypatch.setattr("app.streams.relay.relay.read_offer", lambda sdp: read.append(sdp) or read_offer(sdp))
    return read


async def test_one_caller_cannot_take_everybodys_seats_by_never_connecting(site: MediaSite, monkeypatch):
    publisher, show, _ = await published(site)
    monkeypatch.setattr("app.streams.relay.callers.UNCONNECTED_PER_CALLER_MAX", 2)
    ghost = Viewer(site.http)
    offer, read = await ghost.offer(), offers_read(monkeypatch)
    answers = [await site.http.post(f"/whep/{show}", content=offer, headers=SDP) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert int(answers[-1].headers["Retry-After"]) >= 1
    assert len(read) == 2, "the third one's offer"
    assert (await site.http.delete(answers[0].headers["Location"])).is_success
    assert (await site.http.post(f"/whep/{show}", content=offer, headers=SDP)).status_code == 201
    await ghost.peer.close()
    await publisher.peer.close()


async def test_an_offer_is_read_only_for_who_may_have_a_session(site: MediaSite, monkeypatch):
    """Reading takes the media role's loop up to some milliseconds, which a refusal must not cost the others."""
    publisher, show, _ = await published(site)
    quiet, key = await site.show()
    read, offer = offers_read(monkeypatch), await publisher.offer()

    async def status(path: str, **headers: str) -> int:
        return (await site.http.post(path, content=offer, headers={**SDP, **headers})).status_code

    host = bearer(await site.host(show))
    assert await status(f"/whep/{quiet}") == 409, "nobody publishes there"
    assert await status(f"/whip/{show}", **host) == 409, "somebody else publishes there"
    monkeypatch.setattr("app.streams.relay.relay.VIEWERS_PER_ROOM_MAX", 0)
    assert await status(f"/whep/{show}") == 503
    monkeypatch.setattr("app.streams.relay.relay.PUBLISHERS_MAX", 1)
    assert await status(f"/whip/{quiet}", **bearer(key)) == 503
    monkeypatch.setattr("app.streams.relay.relay.SESSIONS_MAX", 1)
    assert await status(f"/whep/{show}") == 503
    assert read == []
    await publisher.peer.close()


async def test_asking_ending_and_trickling_are_rate_limited_and_looking_is_not(site: MediaSite, monkeypatch):
    show, key = await site.show()
    places = [("POST", f"/whep/{show}"), ("PATCH", f"/whep/{show}/x"), ("DELETE", f"/whep/{show}/x")]
    places += [("POST", f"/whip/{show}"), ("PATCH", f"/whip/{show}/x"), ("DELETE", f"/whip/{show}/x")]
    monkeypatch.setattr(
        "app.streams.media_rate_rules.MediaRate.refuse", lambda *_: Refusal("too_many_tries", "Wait.", 900)
    )
    for method, path in places:
        kind = FRAGMENT if method == "PATCH" else SDP
        answer = await site.http.request(method, path, content=b"v=0", headers={**kind, **bearer(key)})
        assert problem(answer) == (429, "too_many_tries"), path
        assert answer.headers["Retry-After"] == "1"
        assert answer.headers["Access-Control-Allow-Origin"] == "*", "the page can read when to come back"
    assert (await site.http.get(f"/whep/{show}")).is_success


TURN = ("turn:turn.example:3478?transport=udp", "turns:turn.example:5349?transport=tcp")


async def test_where_turn_is_configured_an_answer_names_it_with_credentials_that_end(pg, valkey):
    async with media_site(pg, valkey, turn_urls=TURN, turn_secret="shared") as site:
        show, key = await site.show()
        publisher = Publisher(site.http)
        answer = await publisher.publish(show, key)
        links = answer.headers["Link"].split(", ")
        assert [link.partition(";")[0] for link in links] == [f"<{url}>" for url in TURN]
        for link in links:
            _, *parameters = link.split("; ")
            values = dict(parameter.split("=", 1) for parameter in parameters)
            username, credential = values["username"].strip('"'), values["credential"].strip('"')
            assert values["rel"] == '"ice-server"'
            assert values["credential-type"] == '"password"'
            assert 0 < int(username.partition(":")[0]) - time.time() < 2 * 3_600
            assert credential == base64.b64encode(hmac.digest(b"shared", username.encode(), "sha1")).decode()
            assert publisher.session.rpartition("/")[2] not in username, "the session's URL is a capability"
        refused = await Publisher(site.http).publish(show, "nonsense")
        plain = await site.http.options(f"/whip/{show}")
        asks = {"Origin": "https://player.example", "Access-Control-Request-Method": "POST"}
        preflight = await site.http.options(f"/whip/{show}", headers=asks)
        assert not any("Link" in one.headers for one in (refused, plain, preflight))
        await publisher.peer.close()
