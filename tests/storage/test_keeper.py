"""The supervisor's keeper, with a child that takes its time, one that hangs, and one that cannot be noted down."""

import asyncio
import errno
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from app import heartbeat, supervisor
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
    async with asyncio.timeout(60):
        for _ in range(2):
            assert await said.get() == "postgres is not ready yet; waiting for it"
        ready.set()
        await child.ready.wait()
        await keeper.stop()
        await keeping
    folder.close()


def test_who_is_silent_hangs_unless_it_was_the_listener_who_stood_still():
    silence = heartbeat.Silence(patience_s=3, look_s=1)
    assert not any(silence.look(1.0, heard=heard) for heard in (True, False, False, True, False, False))
    assert not silence.look(60.0, heard=False), "the machine slept, or has no turn for this process either"
    assert silence.look(1.1, heard=False)
    for_ever = heartbeat.Silence(patience_s=0, look_s=1)
    assert not any(for_ever.look(1.0, heard=False) for _ in range(100))


async def test_a_part_that_hangs_is_ended_and_started_again(short_folder):
    """Stopped, or in an endless loop, it was left as it was: its port was open and nobody answered there."""
    said: asyncio.Queue[str] = asyncio.Queue()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    lives: list[int] = []
    processes: list[subprocess.Popen[bytes]] = []

    async def launch() -> subprocess.Popen[bytes]:
        processes.append(spawn([sys.executable, "-c", "input()"], end_signal=signal.SIGKILL, stdin=subprocess.PIPE))
        return processes[-1]

    async def wait_ready(process: subprocess.Popen[bytes]) -> None:
        del process

    def say(words: str) -> None:
        if "hangs" in words:  # a terminal may take no words for as long as it likes
            assert processes[0].wait(20) == -signal.SIGKILL, "it is over by then"
        said.put_nowait(words)

    async def wait_hanging() -> None:
        lives.append(1)
        await (heartbeat.until_silent(ours, 0.2, 0.05) if len(lives) == 1 else asyncio.Event().wait())

    folder = DataFolder(short_folder / "hangs")
    keeper = supervisor.Keeper(folder, say)
    child = supervisor.Child("web", launch, wait_ready, signal.SIGKILL, 5, wait_hanging=wait_hanging)
    keeping = asyncio.create_task(keeper.keep(child))
    async with asyncio.timeout(20):
        assert await said.get() == "web hangs; ending it"
        assert await said.get() == "web ended (SIGKILL); starting it again"
        await child.ready.wait()
        await keeper.stop()
        await keeping
    assert said.empty()
    for one in (ours, theirs):
        one.close()
    folder.close()


async def test_a_part_that_starts_while_the_disk_is_full_runs_all_the_same(short_folder, monkeypatch):
    """Hawker ended as a whole: the note about a child that was started again had no room."""
    said: asyncio.Queue[str] = asyncio.Queue()

    async def launch() -> subprocess.Popen[bytes]:
        return spawn([sys.executable, "-c", "input()"], end_signal=signal.SIGKILL, stdin=subprocess.PIPE)

    async def wait_ready(process: subprocess.Popen[bytes]) -> None:
        del process

    def full(*_args: object, **_settings: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    folder = DataFolder(short_folder / "full")
    monkeypatch.setattr(Path, "rename", full)
    keeper = supervisor.Keeper(folder, said.put_nowait)
    child = supervisor.Child("web", launch, wait_ready, signal.SIGKILL, 5)
    keeping = asyncio.create_task(keeper.keep(child))
    async with asyncio.timeout(60):
        assert await said.get() == "web runs, which could not be noted down (No space left on device)"
        await child.ready.wait()
        await keeper.stop()
        await keeping
    assert [one for one in (folder.path / "children").iterdir() if one.name.startswith(".")] == []
    folder.close()
