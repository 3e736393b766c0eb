"""A site in one network and a viewer in another, with a pair of interfaces between them. Run in a network namespace of
its own: `python -m tests.faults.two_networks <postgres url> <valkey url> gone | by_turn | <chromium>`; prints one line
of JSON.

`gone`: the viewer's interface goes down for five seconds and comes back. Else none of its datagrams gets through, and a
coturn with the deployment's example configuration stands beside the site: for a stock client or our player in Chromium.
"""

import asyncio
import contextlib
import json
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from app.storage.postgres import open_pool
from app.storage.valkey import open_valkey
from tests.faults.far_viewer import NEAR, run
from tests.protocol.media_peers import Publisher
from tests.protocol.media_site import MediaSite, media_site, publishing
from tests.running import ROOT
from tests.waiting import eventually, eventually_true

GONE_S = 5.0
GUARD_S = 60.0  # the promise is 5 s; processes and a browser have to start, too, on a busy machine
SECRET = "shared"
TURN = f"turn:{NEAR}:3478?transport=tcp"
EXAMPLE_ADDRESS = "203.0.113.7"


class Far:
    """The viewer's process. `seen_s`: when it had a picture."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.seen_s: list[float] = []

    def say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())

    async def line(self) -> str:
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode().strip()

    async def listen(self) -> None:
        """Never returns, but for its end."""
        while line := await self.line():
            self.seen_s.append(float(line))

    async def sees(self, count: int, since_s: float) -> None:
        """Returns once it has had so many pictures."""
        await eventually_true(lambda: sum(one > since_s for one in self.seen_s) >= count, GUARD_S, "pictures")


@contextlib.asynccontextmanager
async def far_viewer(site: MediaSite, show: str, *words: str) -> AsyncIterator[Far]:
    """Behind an interface of its own."""
    command = ["unshare", "--net", sys.executable, "-m", "tests.faults.far_viewer", site.url, show, *words]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe)
    far = Far(process)
    try:
        assert await far.line() == "here"
        run("ip", "link", "set", "far", "netns", str(process.pid))
        far.say("go")
        listening = asyncio.create_task(far.listen())
        yield far
        listening.cancel()
    finally:
        process.kill()  # with it ends its browser, whose pipes it had
        await process.wait()


@contextlib.asynccontextmanager
async def coturn(folder: Path) -> AsyncIterator[None]:
    """With the deployment's example configuration, which lets it reach the site's own address alone."""
    example = (ROOT / "deploy" / "coturn.conf").read_text()
    assert EXAMPLE_ADDRESS in example
    (folder / "coturn.conf").write_text(example.replace(EXAMPLE_ADDRESS, NEAR))
    process = await asyncio.create_subprocess_exec(
        *("turnserver", "-c", str(folder / "coturn.conf"), f"--static-auth-secret={SECRET}"),
        *("--listening-ip", NEAR, "--relay-ip", NEAR, "--userdb", str(folder / "turndb")),
        *("--pidfile", str(folder / "pid"), "--log-file", str(folder / "log"), "--simple-log"),
        stdout=asyncio.subprocess.DEVNULL,
    )

    async def listens() -> bool:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(NEAR, 3478)
            writer.close()
            return True
        return False

    try:
        await eventually(listens, GUARD_S, "coturn")
        yield
    finally:
        process.terminate()
        await process.wait()


async def gone(site: MediaSite, show: str) -> dict[str, Any]:
    """How soon there is a picture again, in which sessions."""
    async with far_viewer(site, show) as far:
        await far.sees(10, 0.0)
        before = (await site.control.stats()).sessions
        down_s = time.monotonic()
        far.say("down")
        await eventually_true(lambda: time.monotonic() > down_s + GONE_S)
        up_s = time.monotonic()
        far.say("up")
        await far.sees(10, up_s)
        dark = sum(down_s + GONE_S / 2 < one < up_s for one in far.seen_s)
        back_s = next(one for one in far.seen_s if one > up_s) - up_s
        after = (await site.control.stats()).sessions
        return {"back_s": back_s, "seen_in_the_dark": dark, "sessions": [before, after]}


async def by_turn(site: MediaSite, show: str, how: str) -> dict[str, Any]:
    """How soon there is a picture, and how many datagrams did not get through."""
    run("iptables", "-A", "INPUT", "-i", "near", "-p", "udp", "-j", "DROP")
    with tempfile.TemporaryDirectory() as folder:
        async with coturn(Path(folder)):
            asked_s = time.monotonic()
            async with far_viewer(site, show, how) as far:
                await far.sees(20, 0.0)
                first_s = far.seen_s[0] - asked_s
                figures = await site.control.show(show)
            dropped = re.search(r"(\d+)\s+\d+\s+DROP", run("iptables", "-L", "INPUT", "-v", "-x", "-n"))
            assert dropped is not None
            return {"first_s": first_s, "viewers": figures.viewers, "dropped": int(dropped[1])}


async def main(pg_url: str, valkey_url: str, how: str) -> dict[str, Any]:
    """The site, a publisher beside it, and what was asked for."""
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "near", "type", "veth", "peer", "name", "far")
    run("ip", "addr", "add", f"{NEAR}/24", "dev", "near")
    run("ip", "link", "set", "near", "up")
    pool, valkey = await open_pool(pg_url), open_valkey(valkey_url)
    turn = {"turn_urls": (TURN,), "turn_secret": SECRET} if how != "gone" else {}
    async with media_site(pool, valkey, host=NEAR, media_address=NEAR, **turn) as site:
        show, key = await site.show()
        async with Publisher(site.http) as publisher:
            assert (await publisher.publish(show, key)).status_code == 201
            await publishing(site, show)
            seen = await (gone(site, show) if how == "gone" else by_turn(site, show, how))
    await valkey.aclose()
    await pool.close()
    return seen


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main(*sys.argv[1:]))) + "\n")
