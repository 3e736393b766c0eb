"""Run in a network namespace of its own: brings `lo` up, and watches a camera over it. Prints one line of JSON.

`python -m tests.journeys.lo_only <postgres url> <valkey url> <chromium or "">`; both servers are reached by unix
sockets, which do not know of network namespaces.
"""

import asyncio
import fcntl
import json
import socket
import struct
import sys

from app.storage.postgres import open_pool
from app.storage.valkey import open_valkey
from tests.journeys.browser import open_chromium
from tests.journeys.test_media import open_page, publish, watch
from tests.protocol.media_peers import Publisher, Viewer
from tests.protocol.media_site import media_site, publishing

SIOCSIFFLAGS = 0x8914
IFF_UP_RUNNING = 0x41


def bring_lo_up() -> None:
    """What `ip link set lo up` does."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sH14s", b"lo", IFF_UP_RUNNING, b""))


async def main(pg_url: str, valkey_url: str, chromium: str) -> dict[str, float]:
    """Stock peers first, then the browser where there is one."""
    pool, valkey = await open_pool(pg_url), open_valkey(valkey_url)
    seen: dict[str, float] = {}
    async with media_site(pool, valkey) as site:
        show, key = await site.show()
        async with Publisher(site.http) as publisher, Viewer(site.http) as viewer:
            assert (await publisher.publish(show, key)).status_code == 201
            await publishing(site, show)
            assert (await viewer.watch(show)).status_code == 201
            seen["pictures"] = len(await viewer.see(10))
        if chromium:
            show, key = await site.show()
            async with open_chromium(chromium, "--allow-loopback-in-peer-connection") as browser:
                host, window = await open_page(browser, site), await open_page(browser, site)
                await publish(host, show, key)
                seen["first_frame_ms"] = await watch(window, show)
    await valkey.aclose()
    await pool.close()
    return seen


if __name__ == "__main__":
    bring_lo_up()
    sys.stdout.write(json.dumps(asyncio.run(main(*sys.argv[1:]))) + "\n")
