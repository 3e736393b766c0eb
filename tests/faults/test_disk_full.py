"""The disk is full while buyers buy: they are told to come back, nothing is half written, and it goes on by itself.

A small disk has to be mounted. Who may not do that runs this file once more in namespaces of their own, where they may;
only where the kernel forbids those too is it skipped.
"""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import httpx
import pytest

from tests.conftest import LOG_LINES_SHOWN
from tests.faults.buyers import ASK_TIMEOUT_S, check_books, gather_crowd
from tests.running import ROOT, RunningHawker
from tests.waiting import eventually

DISK_MB = 384
BUYERS = 8
STOCK = [100_000]
QUICK = {"SETTLE_AFTER_S": "2", "PAYMENT_TIMEOUT_S": "2", "HOLD_TTL_S": "4", "PAYMENT_DECLINES_MAX": "10000"}
SETTLE_GUARD_S = 60
CHUNK = bytes(1 << 20)
OWN_NAMESPACES = ["unshare", "--user", "--map-root-user", "--mount"]
INSIDE = "HAWKER_TESTS_MAY_MOUNT"


def works(command: list[str]) -> bool:
    """Whether it is there and succeeds."""
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture
def small_disk(short_folder: Path) -> Iterator[Path | None]:
    """A disk of DISK_MB of its own; None for whoever may mount one in namespaces of their own alone."""
    disk = Path(mkdtemp(prefix="disk", dir=short_folder))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(disk)]
    if works(mount):
        yield disk
        subprocess.run(["umount", "-l", str(disk)], check=True)
    elif INSIDE not in os.environ and works([*OWN_NAMESPACES, *mount]):
        yield None
    else:
        pytest.skip("nobody here may mount a disk, nor have namespaces of their own")


def run_inside(folder: Path) -> None:
    """Runs this file where it may mount; what it writes stays in `folder`."""
    again = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={folder / 'inside'}"]
    there = {**os.environ, INSIDE: "1"}
    ran = subprocess.run([*OWN_NAMESPACES, *again, __file__], cwd=ROOT, env=there, capture_output=True, check=False)
    sys.stdout.write(ran.stdout.decode(errors="replace"))
    assert ran.returncode == 0
    assert b"1 passed" in ran.stdout


def fill(disk: Path) -> Path:
    """Takes all that is left; answers with the file that has it."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (len(CHUNK), 4096):
            try:
                while True:
                    file.write(CHUNK[:size])
            except OSError:
                continue
    return ballast


@pytest.mark.timeout(180)
async def test_a_full_disk_is_told_as_503_and_waited_out(small_disk, first_start, tmp_path):
    if small_disk is None:
        await asyncio.to_thread(run_inside, tmp_path)
        return
    first_start.copy_cluster(small_disk / "h")
    running = RunningHawker(small_disk / "h", **QUICK)
    limits = httpx.Limits(max_connections=BUYERS * 2)
    try:
        await asyncio.to_thread(running.start)
        async with httpx.AsyncClient(base_url=running.base_url, timeout=ASK_TIMEOUT_S, limits=limits) as http:
            crowd = await gather_crowd(running, http, BUYERS, STOCK, seed=1)
            crowd.start()
            await crowd.goes_on()
            ballast = await asyncio.to_thread(fill, small_disk)

            async def refused() -> bool:
                try:
                    answer = await http.post("/api/session", json={"demo": "viewer"})
                except httpx.TransportError:
                    return False
                assert answer.status_code in {201, 503}, answer.text
                return answer.status_code == 503 and int(answer.headers["retry-after"]) > 0

            await eventually(refused, SETTLE_GUARD_S, "somebody is told that nothing can be written")
            ballast.unlink()
            await crowd.goes_on()
            await crowd.stop()
            await check_books(running, crowd, SETTLE_GUARD_S)
            defects = [line for line in running.log if "level='error'" in line]
            assert defects == [], "somebody met something that is no outage"
    finally:
        running.stop()
        sys.stdout.write("\n".join(running.log[-LOG_LINES_SHOWN:]))  # seen when it failed
