"""A machine without any network but `lo`: publishing and watching work all the same.

Runs in a network namespace. Chromium needs `--allow-loopback-in-peer-connection` there, and only there; without it
it finds no interface to send from, whatever the answer offers.
"""

import asyncio
import json
import os
import subprocess
import sys

import pytest

from tests.running import ROOT

GUARD_S = 150


@pytest.fixture(scope="module")
def alone() -> list[str]:
    """The command that runs another in a network namespace of its own."""
    command = ["unshare", "-n"] if os.getuid() == 0 else ["unshare", "-rn"]
    if subprocess.run([*command, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine allows no network namespaces (unshare -n)")
    return command


async def test_a_camera_is_watched_over_lo_alone(alone, pg_url, valkey_url, chromium, record_property):
    process = await asyncio.create_subprocess_exec(
        *[*alone, sys.executable, "-m", "tests.journeys.lo_only", pg_url, valkey_url, chromium],
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), GUARD_S)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, err.decode()
    seen = json.loads(out.decode().splitlines()[-1])
    assert seen["pictures"] == 10
    record_property("first_frame_ms", round(seen["first_frame_ms"]))
