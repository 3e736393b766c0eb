"""`make bench-relay`: what a viewer costs the relay, beside Janus and a loop in C, and what arrives over a bad network.

Each round runs the three at the same number of viewers, one after the other; a ratio is taken within a round, and the
median over the rounds is reported. bench/relay/README.md says what the figures mean.
"""

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from typing import Any, Final

from bench.relay import janus
from bench.relay.native import build
from bench.relay.processes import OTHER_CORE, ROOT, SHOW, Site
from bench.relay.stream import FPS, HEIGHT, moments
from bench.relay.stream import SECONDS as TURN_S
from bench.verdict import tell_verdict

ROUNDS: Final = int(os.environ.get("ROUNDS") or "5")
SECONDS: Final = float(os.environ.get("SECONDS_EACH") or "15")
PARTS: Final = (os.environ.get("PARTS") or "same ladder browser").split()
SAME: Final = 300
LADDER: Final = (400, 600, 800)
FULL_RATE: Final = 0.97
LAG_MAX_MS: Final = 30.0
FEW: Final = 100
SETTLED_S: Final = 3.0
LOSS_PERCENT: Final = 5
BROWSER_GUARD_S: Final = 150
TARGETS: Final = {
    "viewers_at_lag": (400, ">="),
    "relay_over_janus": (2.5, ">="),
    "relay_over_c_limit": (0.45, ">="),
    "lag_p99_ms": (30, "<="),
    "first_frame_p95_ms": (250, "<="),
    "joins_per_s": (400, ">="),
    "kib_per_viewer": (110, "<="),
    "audio_kept_at_5_loss": (0.98, ">="),
    "video_kept_at_5_loss": (0.95, ">="),
}


def address() -> str:
    """An address of this machine that is not loopback, which Janus would not use."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing
        return str(probe.getsockname()[0])


def tell(label: str, figures: dict[str, Any]) -> None:
    """A line for people."""
    short = {key: round(value, 3) if isinstance(value, float) else value for key, value in figures.items()}
    print(f"{label:16}{json.dumps(short)}", flush=True)


def packets_per_s() -> float:
    """What one viewer is sent a second."""
    return sum(len(one.payloads) for one in moments()) / TURN_S


def at_same(kind: str, number: int) -> dict[str, Any]:
    """One server at SAME viewers: what a packet costs it."""
    site = Site(kind, address())
    try:
        before_s = site.server.cpu_s()
        first = SAME if kind == "limit" else FEW  # the limit is told its viewers once
        site.join(first)
        joined_s = site.server.cpu_s() - before_s
        if first < SAME:
            site.join(SAME - first)
        seen = site.watch(SECONDS) | {"joins_per_cpu_s": first / joined_s}
    finally:
        site.end()
    tell(f"{kind} {number}", seen)
    return seen


def climb(count: int) -> dict[str, Any]:
    """Our relay with `count` viewers: the loop's lag, what got lost on the way, memory."""
    site = Site("ours", address(), METER="1")
    try:
        site.join(FEW)
        time.sleep(SETTLED_S)
        before_kib = site.server.rss_kib()
        for _ in range(count // FEW - 1):
            site.join(FEW)
        time.sleep(SETTLED_S)
        seen = site.watch(SECONDS)
        seen |= {
            "kib_per_viewer": (site.server.rss_kib() - before_kib) / (count - FEW),
            "of_full_rate": seen["packets"] / (count * packets_per_s() * SECONDS),
            "received_of_sent": (seen["packets"] + seen["reports"]) / seen["sent"],
        }
    finally:
        site.end()
    tell(f"{count} viewers", seen)
    return seen


def decoded() -> dict[str, Any]:
    """One viewer among SAME who decodes: frames a second, of how many."""
    site = Site("ours", address())
    try:
        site.join(SAME)
        viewer = site.python(OTHER_CORE, "decoder", site.control, site.address, SHOW)
        viewer.ask()
        began_s = time.monotonic()
        site.watch(SECONDS)
        seen = viewer.ask()
        figures = {"decoded_fps": seen["frames"] / (time.monotonic() - began_s), "heights": seen["heights"]}
    finally:
        site.end()
    assert figures["heights"] == [HEIGHT]
    tell("decoding viewer", figures | {"of": FPS})
    return figures


def in_browser(percent: int) -> dict[str, Any]:
    """Chromium on both sides, in a network namespace of its own."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if not chromium:
        return {}
    unshare = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "--map-root-user"]
    command = [*unshare, sys.executable, "-m", "bench.relay.browser", str(percent), chromium]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, timeout=BROWSER_GUARD_S, check=True, text=True)
    figures = dict(json.loads(done.stdout.splitlines()[-1]))
    tell(f"{percent} % loss", figures)
    return figures


def clean(seen: dict[str, Any]) -> bool:
    """Nothing dropped, everybody was sent something, and the publisher on the other core had time to send it all."""
    return not (seen["dropped"] or seen["lost"] or seen["silent"]) and seen["of_full_rate"] >= FULL_RATE


def main() -> int:
    """Measures, prints."""
    began_s = time.monotonic()
    build()
    moments()
    kinds = ["limit", "ours", *(["janus"] if janus.installed() else [])]
    some = ROUNDS if "same" in PARTS else 0
    rounds = [{kind: at_same(kind, number) for kind in kinds} for number in range(1, some + 1)]
    ladder = {count: climb(count) for count in (LADDER if "ladder" in PARTS else ())}
    if "ladder" in PARTS:
        decoded()
    plain, lossy = (in_browser(0), in_browser(LOSS_PERCENT)) if "browser" in PARTS else ({}, {})
    held = [count for count, seen in ladder.items() if clean(seen) and seen["lag_p99_ms"] <= LAG_MAX_MS]

    def over(other: str) -> float | None:
        if other not in kinds or not rounds:
            return None
        return statistics.median(one[other]["us_per_packet"] / one["ours"]["us_per_packet"] for one in rounds)

    best = ladder[max(held)] if held else {}
    result = {
        "viewers_at_lag": max(held, default=0) if ladder else None,
        "relay_over_janus": over("janus"),
        "relay_over_c_limit": over("limit"),
        "lag_p99_ms": best.get("lag_p99_ms"),
        "first_frame_p95_ms": plain.get("first_frame_p95_ms"),
        "joins_per_s": statistics.median(one["ours"]["joins_per_cpu_s"] for one in rounds) if rounds else None,
        "kib_per_viewer": ladder[LADDER[0]]["kib_per_viewer"] if ladder else None,
        "audio_kept_at_5_loss": lossy.get("audio_kept"),
        "video_kept_at_5_loss": lossy.get("video_kept"),
    }
    print(f"\n{time.monotonic() - began_s:.0f} s\n")
    tell_verdict(TARGETS, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
