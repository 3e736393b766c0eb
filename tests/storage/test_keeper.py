"""The supervisor's keeper, with a child that has all the time in the world."""

import asyncio
import signal
import subprocess
import sys

from app import supervisor
from app.embedded.child import spawn
from app.embedded.folder import DataFolder


async def test_a_child_that_is_long_in_getting_ready_is_waited_for_and_named(short_folder, monkeypatch):
    """A Postgres that recovered for over a minute was given up, and the start hung without a word."""
    monkeypatch.setattr(supervisor, "READY_NEWS_S", 0.01)
    said: asyncio.Queue[str] = asyncio.Queue()
    ready = asyncio.Event()

    async def launch() -> subprocess.Popen[bytes]:
        return spawn([sys.executable, "-c", "input()"], end_signal=signal.SIGKILL, stdin=subprocess.PIPE)

    async def wait_ready(process: subprocess.Popen[bytes]) -> None:
        del process
        await ready.wait()

    folder = DataFolder(short_folder / "keeper")
    keeper = supervisor.Keeper(folder, said.put_nowait)
    child = supervisor.Child("postgres", launch, wait_ready, signal.SIGKILL, 5)
    keeping = asyncio.create_task(keeper.keep(child))
    async with asyncio.timeout(20):
        for _ in range(2):
            assert await said.get() == "postgres is not ready yet; waiting for it"
        ready.set()
        await child.ready.wait()
        await keeper.stop()
        await keeping
    folder.close()
