"""Where media comes from and goes to: IPv4 and IPv6 on one port, and a viewer whose address changes under way."""

import asyncio
import socket
import struct

import httpx
import pytest

from app.streams.relay.dtls import Certificate
from app.streams.relay.limits import ADDRESS_KEPT_S
from bench.relay.peer import Peer, open_socket
from tests.protocol.media_peers import SDP, Publisher, Viewer, bearer
from tests.protocol.media_site import media_site, publishing


def has_ipv6() -> bool:
    try:
        open_socket("::1").close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
async def test_one_port_takes_a_publisher_by_ipv4_and_a_viewer_by_ipv6(pg, valkey, monkeypatch):
    async with media_site(pg, valkey, host="::") as site:
        show, key = await site.show()
        publisher = Publisher(site.http)
        assert (await publisher.publish(show, key)).status_code == 201
        assert f"127.0.0.1 {site.settings.media_port} typ host" in publisher.peer.remoteDescription.sdp
        await publishing(site, show)
        monkeypatch.setattr("aioice.ice.get_host_addresses", lambda *_, **__: ["::1"])
        async with (
            httpx.AsyncClient(base_url=f"http://[::1]:{site.settings.port}", timeout=60) as by_ipv6,
            Viewer(by_ipv6) as viewer,
        ):
            assert (await viewer.watch(show)).status_code == 201
            assert f"::1 {site.settings.media_port} typ host" in viewer.peer.remoteDescription.sdp
            assert len({red for red, *_ in await viewer.see(10)}) > 5
        await publisher.peer.close()


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
async def test_on_the_loopback_of_ipv6_alone_nothing_else_is_bound(pg, valkey):
    async with media_site(pg, valkey, host="::1") as site:
        by_ipv4 = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        by_ipv4.bind(("127.0.0.1", site.settings.media_port))
        by_ipv4.close()


async def heard(place: socket.socket, count: int) -> int:
    """Returns once `count` packets of media have come."""
    loop, media = asyncio.get_running_loop(), 0
    async with asyncio.timeout(60):
        while media < count:
            data = await loop.sock_recv(place, 2048)
            media += data[0] >= 128 and not 192 <= data[1] < 224
    return media


def drained(place: socket.socket) -> int:
    """How many datagrams have come by now."""
    count = 0
    try:
        while place.recv(2048):
            count += 1
    except BlockingIOError:
        return count
    return count


async def test_a_viewer_whose_address_changes_gets_the_next_packets_there_in_the_same_session(pg, valkey):
    async with media_site(pg, valkey) as site:
        show, key = await site.show()
        publisher = Publisher(site.http)
        await publisher.publish(show, key)
        await publishing(site, show)
        peer = Peer(Certificate.generateCertificate(), "127.0.0.1")
        answer = await site.http.post(f"/whep/{show}", content=peer.describe("recvonly", "actpass"), headers=SDP)
        await peer.connect(answer.text)
        before = peer.socket
        await heard(before, 20)
        peer.socket = open_socket("127.0.0.2")
        peer.socket.connect(("127.0.0.1", site.settings.media_port))
        peer.check()
        peer.check(nominate=True)
        await heard(peer.socket, 20)
        drained(before)
        await heard(peer.socket, 20)
        assert drained(before) == 0, "the old address hears nothing more"
        assert (await site.http.get(answer.headers["Location"])).status_code == 204
        assert (await site.control.stats()).sessions == 2
        before.close()
        peer.close()
        await publisher.peer.close()


async def test_a_check_from_a_forged_address_takes_nothing_from_whose_address_it_is(pg, valkey):
    """Whoever may watch could else have the host's packets taken for their own."""
    async with media_site(pg, valkey) as site:
        show, key = await site.show()
        host, viewer = (Peer(Certificate.generateCertificate(), "127.0.0.1") for _ in range(2))
        offer = host.describe("sendonly", "actpass")
        answer = await site.http.post(f"/whip/{show}", content=offer, headers={**SDP, **bearer(key)})
        await host.connect(answer.text)
        await publishing(site, show)
        answer = await site.http.post(f"/whep/{show}", content=viewer.describe("recvonly", "actpass"), headers=SDP)
        await viewer.connect(answer.text)
        assert host.handshake is not None
        assert host.handshake.sending is not None
        own, viewer.socket = viewer.socket, host.socket
        viewer.check(nominate=True)
        viewer.socket = own
        for sequence in range(5):
            packet = struct.pack("!BBHII", 0x80, 111, sequence + 1, sequence * 960, 7) + bytes(20)
            host.send(host.handshake.sending.protect(packet))
        await heard(own, 5)
        assert (await site.control.stats()).dropped == 1
        for peer in (host, viewer):
            peer.close()


async def test_an_address_that_a_viewer_has_left_is_the_next_ones_at_once(pg, valkey):
    """A network gives it to whoever comes next, while the one who had it is still watching from elsewhere."""
    async with media_site(pg, valkey) as site:
        show, key = await site.show()
        publisher = Publisher(site.http)
        await publisher.publish(show, key)
        await publishing(site, show)
        first, second = (Peer(Certificate.generateCertificate(), "127.0.0.1") for _ in range(2))
        left = first.socket
        answer = await site.http.post(f"/whep/{show}", content=first.describe("recvonly", "actpass"), headers=SDP)
        await first.connect(answer.text)
        first.socket = open_socket("127.0.0.2")
        first.socket.connect(("127.0.0.1", site.settings.media_port))
        first.check(nominate=True)
        await heard(first.socket, 5)
        second.close()
        second.socket = left
        answer = await site.http.post(f"/whep/{show}", content=second.describe("recvonly", "actpass"), headers=SDP)
        async with asyncio.timeout(ADDRESS_KEPT_S / 2):
            await second.connect(answer.text)
        await heard(second.socket, 5)
        await heard(first.socket, 5)
        for peer in (first, second):
            peer.close()
        await publisher.peer.close()
