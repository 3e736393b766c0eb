"""A viewer in a network of its own, which goes away for a while or lets no datagram out: real interfaces.

What runs in the namespaces is two_networks.py and, beyond its interface, far_viewer.py.
"""

import json
import os
import shutil
import subprocess
import sys
from typing import Any

import pytest

from tests.running import ROOT

GUARD_S = 150
pytestmark = pytest.mark.long


def between_two_networks(*words: str) -> dict[str, Any]:
    """What two_networks.py saw."""
    alone = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "--map-root-user"]
    missing = [one for one in ("ip", "iptables", "unshare") if shutil.which(one) is None]
    if missing or subprocess.run([*alone, "true"], check=False, capture_output=True).returncode:
        pytest.skip(f"NOT TESTED {words[-1]}: needs network namespaces, ip and iptables")
    command = [*alone, sys.executable, "-m", "tests.faults.two_networks", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=GUARD_S, check=False, text=True)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_a_viewer_whose_interface_was_down_for_five_seconds_sees_on(pg_url, valkey_url, record_property):
    seen = between_two_networks(pg_url, valkey_url, "gone")
    record_property("back_ms", round(seen["back_s"] * 1000))
    assert seen["seen_in_the_dark"] == 0, "it was down"
    assert seen["sessions"] == [2, 2]


@pytest.mark.parametrize("client", ["stock", "chromium"])
def test_a_viewer_whose_firewall_lets_no_datagram_out_watches_by_turn(
    request, client: str, pg_url, valkey_url, record_property
):
    """By coturn as deploy/ configures it, with the credentials that an answer names."""
    if shutil.which("turnserver") is None:
        pytest.skip("NOT TESTED: watching by TURN; it needs a turnserver (apt install coturn)")
    how = "by_turn" if client == "stock" else request.getfixturevalue("chromium")
    seen = between_two_networks(pg_url, valkey_url, how)
    record_property("first_picture_ms", round(seen["first_s"] * 1000))
    assert seen["dropped"] > 0, "it was tried without"
    assert seen["viewers"] == 1
