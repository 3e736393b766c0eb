"""The relay behind a bad network: datagrams that are lost, late and out of order, and strangers who send tens of
thousands. netem is not in every kernel, so the network is a socket of ours that stands in between.
"""

import asyncio
import itertools
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import time

import httpx
import pytest
from aiortc import RTCSessionDescription

from tests.protocol.media_peers import SDP, Publisher, Viewer
from tests.protocol.media_site import MediaSite, media_site, publishing
from tests.running import ROOT
from tests.waiting import eventually_true, loop_turned

SEED = 20_261_122


class Network(asyncio.DatagramProtocol):
    """Stands between one client and the relay. Loses a share of what passes, and holds the rest for up to `late_s`."""

    def __init__(self, server: tuple[str, int], *, loss: float = 0.0, late_s: float = 0.0, seed: int = SEED) -> None:
        self._server = server
        self.loss = loss
        self._late_s = late_s
        self._dice = random.Random(seed)
        self._client: tuple[str, int] | None = None
        self._last = 0
        self.lost = self.overtaken = 0

    async def open(self) -> int:
        """The port that the client is to be told."""
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        return self.transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        if address != self._server:
            self._client = address
        to = self._client if address == self._server else self._server
        if self._dice.random() < self.loss:
            self.lost += 1
        elif self._late_s:
            self._last += 1
            late_s = self._dice.random() * self._late_s
            asyncio.get_running_loop().call_later(late_s, self._pass_on, self._last, data, to)
        else:
            self.transport.sendto(data, to)

    def _pass_on(self, number: int, data: bytes, to: tuple[str, int]) -> None:
        self.overtaken += number < self._last
        if not self.transport.is_closing():
            self.transport.sendto(data, to)


class FarViewer(Viewer):
    """A viewer whose packets go through a Network."""

    def __init__(self, site: MediaSite, **quality: float) -> None:
        super().__init__(site.http)
        self._port = site.settings.media_port
        self.network = Network(("127.0.0.1", self._port), **quality)

    async def watch(self, show: str) -> httpx.Response:
        answer = await self.http.post(f"/whep/{show}", content=await self.offer(), headers=SDP)
        port = await self.network.open()
        sdp = answer.text.replace(f" {self._port} typ host", f" {port} typ host")
        await self.peer.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
        return answer

    async def __aexit__(self, *_) -> None:
        await super().__aexit__()
        self.network.transport.close()


@pytest.fixture
async def site(pg, valkey):
    async with media_site(pg, valkey) as running:
        yield running


async def on_air(site: MediaSite) -> tuple[Publisher, str]:
    show, key = await site.show()
    publisher = Publisher(site.http)
    assert (await publisher.publish(show, key)).status_code == 201
    await publishing(site, show)
    return publisher, show


async def test_packets_that_come_50_ms_late_and_out_of_order_make_a_moving_picture(site: MediaSite, record_property):
    publisher, show = await on_air(site)
    async with FarViewer(site, late_s=0.05) as viewer:
        await viewer.watch(show)
        reds, seen_s = [], []
        for _ in range(60):
            reds += [picture[0] for picture in await viewer.see(1)]
            seen_s.append(time.monotonic())
        freeze_s = max(after - before for before, after in itertools.pairwise(seen_s))
        record_property("longest_freeze_ms", round(freeze_s * 1000))
        assert freeze_s < 10 * 1, "the promise is 1 s; how busy the machine is must not decide"
        assert viewer.network.overtaken > 20, "the network did its worst"
        assert len(set(reds)) > 20
    await publisher.peer.close()


async def test_a_viewer_whose_network_was_gone_sees_on_in_the_same_session(site: MediaSite):
    publisher, show = await on_air(site)
    async with FarViewer(site) as viewer:
        session = (await viewer.watch(show)).headers["Location"]
        await viewer.see(5)
        viewer.network.loss = 1.0
        await eventually_true(lambda: viewer.network.lost > 80, what="a second of everything is lost")
        while not viewer.pictures.empty():
            viewer.pictures.get_nowait()
        viewer.network.loss = 0.0
        await viewer.see(10)
        assert (await site.http.get(session)).status_code == 204
        assert (await site.control.stats()).sessions == 2
    await publisher.peer.close()


@pytest.mark.long
async def test_viewers_connect_through_a_network_that_loses_every_fifth_datagram(site: MediaSite, record_property):
    """The relay's lost flights come again after 50 ms; a stock client's own after one, two and four seconds."""
    publisher, show = await on_air(site)
    took_s, lost = [], 0
    for number in range(20):
        async with FarViewer(site, loss=0.2, seed=SEED + number) as viewer:
            began_s = time.monotonic()
            await viewer.watch(show)
            await eventually_true(lambda: viewer.peer.connectionState == "connected", 60, "shaken hands")
            took_s.append(time.monotonic() - began_s)
            await viewer.see(1)
            lost += viewer.network.lost
    assert lost > 40, "the network did its worst"
    record_property("took_s", [round(one, 2) for one in sorted(took_s)])
    assert statistics.median(took_s) < 5 * 1.5, "the promise is 1.5 s; how busy the machine is must not decide"
    await publisher.peer.close()


async def test_twenty_thousand_datagrams_of_strangers_and_forgers_cost_a_viewer_nothing(site: MediaSite):
    publisher, show = await on_air(site)
    async with Viewer(site.http) as viewer:
        await viewer.watch(show)
        await viewer.see(2)
        before = await site.control.stats()
        stranger = await asyncio.get_running_loop().create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=("127.0.0.1", site.settings.media_port)
        )
        dice = random.Random(SEED)
        known = viewer.peer.getReceivers()[0].transport.transport  # sends from the address that was authenticated
        for number in range(20_000):
            junk = bytes((number % 256,)) + dice.randbytes(number % 200)
            if number % 4:
                stranger[0].sendto(junk)
            else:
                await known._send(bytes((0x80, 96 + number % 110)) + dice.randbytes(60))
            if number % 50 == 0:
                await loop_turned()
        seen = await viewer.see(20)
        assert len({picture[0] for picture in seen}) > 10
        assert (await site.http.get(viewer.session)).status_code == 204
        after = await site.control.stats()
        assert after.dropped - before.dropped > 5_000
        assert after.sessions == before.sessions
        stranger[0].close()
    await publisher.peer.close()


@pytest.mark.long
def test_at_five_percent_loss_on_both_hops_picture_and_sound_arrive(chromium: str):
    """95 % of the frames that Chromium encodes are decoded by the other, and 98 % of the sound is not made up."""
    unshare = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "--map-root-user"]
    if shutil.which("iptables") is None or subprocess.run([*unshare, "true"], check=False).returncode:
        pytest.skip("needs iptables and network namespaces")
    command = [*unshare, sys.executable, "-m", "bench.relay.browser", "5", chromium]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, timeout=110)
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["video_kept"] >= 0.95
    assert figures["audio_kept"] >= 0.98
