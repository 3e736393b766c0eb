"""Who somebody is, on sockets of a whole Hawker: cookie, ticket, Origin, a new office, signing out; and whose video
ends with their ban and with the show.
"""

import asyncio
import contextlib
import json
import time

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from app.http.credentials import SESSION_COOKIE
from app.streams.relay.dtls import Certificate
from bench.relay.peer import Peer
from tests.protocol.media_peers import SDP, bearer
from tests.waiting import eventually, eventually_true

GUARD_S = 60


class Browser:
    """One signed-in person of the demo, with the session's secret and CSRF token."""

    def __init__(self, base_url: str, role: str) -> None:
        self.base_url = base_url
        answer = httpx.post(f"{base_url}/api/session", json={"demo": role}, timeout=GUARD_S)
        assert answer.status_code == 201, answer.text
        self.session = answer.json()
        self.person = self.session["person"]
        secret = answer.headers["set-cookie"].split(";")[0].partition("=")[2]
        self.cookie = {"Cookie": f"{SESSION_COOKIE}={secret}"}
        self.headers = {**self.cookie, "X-CSRF-Token": self.session["csrf"]}

    def ask(self, method: str, path: str, **options) -> httpx.Response:
        answer = httpx.request(method, self.base_url + path, headers=self.headers, timeout=GUARD_S, **options)
        assert answer.status_code < 300, answer.text
        return answer


@pytest.fixture
def show(hawker) -> str:
    return httpx.get(f"{hawker.base_url}/api/shows", timeout=GUARD_S).json()["shows"][0]["id"]


def socket(hawker, path: str, **options):
    return connect(hawker.base_url.replace("http", "ws") + path, open_timeout=GUARD_S, **options)


async def joined(ws) -> dict:
    """Who the room takes this socket for."""
    await ws.send('{"op": "join", "epoch": null, "since": null}')
    while True:
        frame = json.loads(await ws.recv())
        if "joined" in frame:
            return frame["joined"]["me"]


async def closed_with(ws) -> int:
    """The code that the server closes with."""
    try:
        while True:
            await ws.recv()
    except ConnectionClosed as closed:
        return closed.rcvd.code


async def test_the_cookie_says_who_opens_a_socket(hawker, show):
    viewer = Browser(hawker.base_url, "viewer")
    async with socket(hawker, f"/ws/shows/{show}", additional_headers=viewer.cookie) as ws:
        me = await joined(ws)
    assert me["person"] == viewer.person
    assert me["standing"] == "viewer"
    async with socket(hawker, f"/ws/shows/{show}") as ws:
        assert (await joined(ws))["person"] is None


async def test_a_ticket_opens_one_socket_and_no_second(hawker, show):
    viewer = Browser(hawker.base_url, "viewer")
    ticket = viewer.ask("POST", "/api/tickets", json={"show": show}).json()["ticket"]
    async with socket(hawker, f"/ws/shows/{show}?ticket={ticket}") as ws:
        assert (await joined(ws))["person"] == viewer.person
    async with socket(hawker, f"/ws/shows/{show}?ticket={ticket}") as ws:
        assert await closed_with(ws) == 4001


@pytest.mark.parametrize("origin", ["null", "http://127.0.0.1.evil.example", "https://evil.example"])
async def test_a_page_of_another_site_gets_no_socket(hawker, show, origin):
    viewer = Browser(hawker.base_url, "viewer")
    with pytest.raises(InvalidStatus) as refused:
        await socket(hawker, f"/ws/shows/{show}", additional_headers=viewer.cookie, origin=origin)
    assert refused.value.response.status_code == 403


async def test_signing_out_closes_the_sockets_of_that_session_only(hawker, show):
    viewer, other = Browser(hawker.base_url, "viewer"), Browser(hawker.base_url, "viewer")
    async with (
        socket(hawker, f"/ws/shows/{show}", additional_headers=viewer.cookie) as ws,
        socket(hawker, f"/ws/shows/{show}", additional_headers=other.cookie) as others,
    ):
        await joined(ws)
        await joined(others)
        viewer.ask("DELETE", "/api/session")
        assert await closed_with(ws) == 4001
        await others.send('{"op": "nothing", "id": "1"}')
        while "re" not in json.loads(await others.recv()):
            pass


async def test_a_new_moderator_learns_it_and_a_dismissed_one_leaves_the_staff_room(hawker, show):
    host, viewer = Browser(hawker.base_url, "host"), Browser(hawker.base_url, "viewer")
    path = f"/api/shows/{show}/moderators"

    async def told(ws) -> str:
        while True:
            for hint in json.loads(await ws.recv()).get("u", []):
                if hint["t"] == "standing":
                    return hint["standing"]

    async with socket(hawker, f"/ws/shows/{show}", additional_headers=viewer.cookie) as ws:
        assert (await joined(ws))["standing"] == "viewer"
        host.ask("PUT", path, json={"name": viewer.person["name"]})
        assert await told(ws) == "moderator"
        async with socket(hawker, f"/ws/shows/{show}/staff", additional_headers=viewer.cookie) as staff:
            assert (await joined(staff))["standing"] == "moderator"
            host.ask("DELETE", f"{path}/{viewer.person['id']}")
            assert await told(ws) == "viewer"
            assert await closed_with(staff) == 4003
        async with socket(hawker, f"/ws/shows/{show}/staff", additional_headers=viewer.cookie) as staff:
            assert await closed_with(staff) == 4003


class MediaPeer(Peer):
    """Somebody who publishes or watches, and notes whether the server said goodbye."""

    def __init__(self) -> None:
        super().__init__(Certificate.generateCertificate(), "127.0.0.1")
        self.gone = False

    async def open(self, url: str, direction: str, **headers: str) -> None:
        offer = self.describe(direction, "actpass")
        answer = await asyncio.to_thread(httpx.post, url, content=offer, headers={**SDP, **headers}, timeout=GUARD_S)
        assert answer.status_code == 201, answer.text
        self.session = str(answer.url.join(answer.headers["Location"]))
        await self.connect(answer.text)
        asyncio.get_running_loop().add_reader(self.socket, self._heard)

    def _heard(self) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
            while True:
                self.gone |= self.socket.recv(2048)[0] == 21  # DTLS's close_notify

    async def left(self) -> None:
        """Returns once the server has said goodbye, and knows the session no more."""
        await eventually_true(lambda: self.gone, what="goodbye")

        async def forgotten() -> bool:
            return (await asyncio.to_thread(httpx.get, self.session, timeout=GUARD_S)).status_code == 404

        await eventually(forgotten, what="the session is gone")

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.socket)
        super().close()


async def test_a_ban_and_the_end_of_a_show_end_the_video_of_whom_they_are_for(hawker, show, record_property):
    host, banned, other = (Browser(hawker.base_url, role) for role in ("host", "viewer", "viewer"))
    shop = host.ask("GET", f"/api/shows/{show}").json()["shop"]["id"]
    own = host.ask("POST", "/api/shows", json={"shop": shop, "title": "Brief"}).json()["id"]
    key = host.ask("POST", f"/api/shows/{own}/stream-key").json()["key"]
    host.ask("POST", f"/api/shows/{own}/start")
    on_air, theirs, others = MediaPeer(), MediaPeer(), MediaPeer()
    await on_air.open(f"{hawker.base_url}/whip/{own}", "sendonly", **bearer(key))
    for peer, person in ((theirs, banned), (others, other)):
        await peer.open(f"{hawker.base_url}/whep/{own}", "recvonly", **person.cookie)

    async with socket(hawker, f"/ws/shows/{own}", additional_headers=host.cookie) as ws:
        await joined(ws)
        began_s = time.monotonic()
        await ws.send(json.dumps({"op": "ban.set", "id": "1", "account": banned.person["id"]}))
        await theirs.left()
        record_property("banned_s", round(time.monotonic() - began_s, 2))
    assert not others.gone
    assert not on_air.gone
    began_s = time.monotonic()
    host.ask("POST", f"/api/shows/{own}/end")
    await others.left()
    await on_air.left()
    record_property("ended_s", round(time.monotonic() - began_s, 2))
    for peer in (on_air, theirs, others):
        peer.close()
