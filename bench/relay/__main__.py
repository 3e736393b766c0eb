"""`make bench-relay`: what a viewer costs the relay, beside Janus and a loop in C, and what arrives over a bad network.

Each round runs the three at the same number of viewers, one after the other; a ratio is taken within a round, and the
median over the rounds is reported. Every measurement has a guard: one that hangs or fails leaves its figures out, and
the others are made. No round is begun that would not end in time. bench/relay/README.md says what the figures mean.
"""

import contextlib
import functools
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import httpx

from bench.relay import janus
from bench.relay.native import build
from bench.relay.processes import OTHER_CORE, ROOT, SHOW, Site
from bench.relay.stream import FPS, HEIGHT, moments
from bench.relay.stream import SECONDS as TURN_S
from bench.verdict import tell_verdict

ROUNDS: Final = int(os.environ.get("ROUNDS") or "5")
SECONDS: Final = float(
    os.environ.get("SECONDS_EACH") or "16"
)  # whole turns of the stream: its packets are not evenly spread
PARTS: Final = (os.environ.get("PARTS") or "ladder strangers rooms browser same").split()
SAME: Final = 300
LADDER: Final = (400, 600, 800)
FULL_RATE: Final = 0.97
LAG_MAX_MS: Final = 30.0
FEW: Final = 100
SETTLED_S: Final = 3.0
LOSS_PERCENT: Final = 5
STRANGERS_PER_S: Final = 20_000
ENDING_S: Final = 2.0
ROOMS: Final = 10
PER_ROOM: Final = 30
GUARD_S: Final = 90 + 2 * SECONDS  # of one measurement, which takes some 35 s
BROWSER_GUARD_S: Final = 120
ALL_S: Final = 840.0
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
    "lag_p99_ms_under_attack": (30, "<="),
    "lost_under_attack": (0, "<="),
    "show_ends_in_ms": (1_000, "<="),
    "lag_p99_ms_in_ten_rooms": (30, "<="),
    "lost_in_ten_rooms": (0, "<="),
}
_FAILURES: Final = (TimeoutError, RuntimeError, ValueError, AssertionError, OSError, subprocess.SubprocessError)


def address() -> str:
    """An address of this machine that is not loopback, which Janus would not use."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing
        return str(probe.getsockname()[0])


def tell(label: str, figures: dict[str, Any]) -> None:
    """A line for people."""
    short = {key: round(value, 3) if isinstance(value, float) else value for key, value in figures.items()}
    print(f"{label:16}{json.dumps(short)}", flush=True)


@contextlib.contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raises TimeoutError in what takes longer, wherever it waits."""

    def too_long(*_: object) -> None:
        raise TimeoutError(f"took longer than {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def guarded(label: str, measure: Callable[[], dict[str, Any]], guard_s: float = GUARD_S) -> dict[str, Any]:
    """What a measurement gives; nothing when it fails or takes too long, which is told."""
    try:
        with _at_most(guard_s):
            figures = measure()
    except (*_FAILURES, httpx.HTTPError) as error:
        failed.append(label)
        tell(label, {"failed": f"{type(error).__name__}: {error}"})
        return {}
    tell(label, figures)
    return figures


failed: Final[list[str]] = []
"""Measurements that gave nothing."""


def packets_per_s() -> float:
    """What one viewer is sent a second."""
    return sum(len(one.payloads) for one in moments()) / TURN_S


def at_same(kind: str) -> dict[str, Any]:
    """One server at SAME viewers: what a packet costs it."""
    site = Site(kind, address())
    try:
        before_s = site.server.cpu_s()
        first = SAME if kind == "limit" else FEW  # the limit is told its viewers once
        site.join(first)
        joined_s = site.server.cpu_s() - before_s
        if first < SAME:
            site.join(SAME - first)
        return site.watch(SECONDS) | {"joins_per_cpu_s": first / joined_s}
    finally:
        site.end()


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
        return seen | {
            "kib_per_viewer": (site.server.rss_kib() - before_kib) / (count - FEW),
            "of_full_rate": seen["packets"] / (count * packets_per_s() * SECONDS),
            "received_of_sent": (seen["packets"] + seen["reports"]) / seen["sent"],
        }
    finally:
        site.end()


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
        figures = {"decoded_fps": seen["frames"] / (time.monotonic() - began_s), "heights": seen["heights"], "of": FPS}
    finally:
        site.end()
    assert figures["heights"] == [HEIGHT], figures
    return figures


def attacked() -> dict[str, Any]:
    """SAME viewers while one more sends junk, forged and replayed datagrams; and how soon the show's end is theirs."""
    site = Site("ours", address(), METER="1")
    try:
        site.join(SAME)
        stranger = site.python(OTHER_CORE, "strangers", site.control, site.address, SHOW)
        stranger.say({"seconds": SECONDS + 2 * SETTLED_S, "per_s": STRANGERS_PER_S})
        seen = site.watch(SECONDS)
        attack = stranger.answer()
        site.viewers.say({"do": "watch", "seconds": ENDING_S})
        time.sleep(ENDING_S / 4)
        ends_s = time.monotonic()
        site.http.post(f"{site.control}/shows/{SHOW}/end", json={}).raise_for_status()
        last_s = site.viewers.answer()["last_s"]
        return seen | {"attacked_per_s": attack["per_s"], "ended_in_ms": (last_s - ends_s) * 1000}
    finally:
        site.end()


def in_rooms() -> dict[str, Any]:
    """ROOMS publishers, each with PER_ROOM viewers. Meanwhile one room's show ends: of that the others lose nothing."""
    site = Site("ours", address(), METER="1")
    try:
        crowds = [site.viewers]
        for show in (f"{SHOW}{number}" for number in range(1, ROOMS)):
            site.python(OTHER_CORE, "publisher", "ours", site.control, site.address, show)
            crowds.append(site.python(OTHER_CORE, "viewers", site.address, "ours", site.control, show))
        for crowd in crowds:
            crowd.ask({"do": "join", "count": PER_ROOM})
        for seconds in (SETTLED_S, SECONDS):
            site.server.ask()
            for crowd in crowds:
                crowd.say({"do": "watch", "seconds": seconds})
            if seconds == SECONDS:
                time.sleep(SECONDS / 2)
                site.http.post(f"{site.control}/shows/{SHOW}{ROOMS - 1}/end", json={}).raise_for_status()
            *seen, _ = (crowd.answer() for crowd in crowds)  # without the room whose show ended
        lost = sum(one["lost"] + one["doubled"] + one["silent"] for one in seen)
        least = min(one["packets"] for one in seen) / (PER_ROOM * packets_per_s() * SECONDS)
        return site.server.ask() | {"lost": lost, "least_of_full_rate": least}
    finally:
        site.end()


def in_browser(percent: int) -> dict[str, Any]:
    """Chromium on both sides, in a network namespace of its own."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert chromium, "no Chromium"
    unshare = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "--map-root-user"]
    command = [*unshare, sys.executable, "-m", "bench.relay.browser", str(percent), chromium]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, timeout=BROWSER_GUARD_S, check=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def side_by_side(until_s: float) -> list[dict[str, dict[str, Any]]]:
    """Rounds of all servers at the same number of viewers, as many as are asked for and end in time."""
    kinds = ["limit", "ours", *(["janus"] if janus.installed() else [])]
    rounds: list[dict[str, dict[str, Any]]] = []
    took_s = 0.0
    for number in range(1, ROUNDS + 1):
        began_s = time.monotonic()
        if rounds and began_s + took_s > until_s:
            print(f"no time for a round {number} of {ROUNDS}", flush=True)
            break
        rounds.append({kind: guarded(f"{kind} {number}", functools.partial(at_same, kind)) for kind in kinds})
        took_s = max(took_s, time.monotonic() - began_s)
    return rounds


def over(rounds: list[dict[str, dict[str, Any]]], other: str) -> float | None:
    """Another server's CPU time per packet divided by ours."""
    ratios = [
        one[other]["us_per_packet"] / one["ours"]["us_per_packet"] for one in rounds if one.get(other) and one["ours"]
    ]
    return statistics.median(ratios) if ratios else None


def clean(seen: dict[str, Any]) -> bool:
    """Nothing dropped, everybody was sent something, and the publisher on the other core had time to send it all."""
    return not (seen["dropped"] or seen["lost"] or seen["silent"]) and seen["of_full_rate"] >= FULL_RATE


def main() -> int:
    """Measures, prints. 1 when a measurement gave nothing."""
    began_s = time.monotonic()
    build()
    moments()
    asked = [part for part in PARTS if part != "same"]
    ladder = {
        count: guarded(f"{count} viewers", functools.partial(climb, count)) for count in LADDER if "ladder" in asked
    }
    ladder = {count: seen for count, seen in ladder.items() if seen}
    if "ladder" in asked:
        guarded("decoding viewer", decoded)
    attack = guarded("under attack", attacked) if "strangers" in asked else {}
    rooms = guarded("ten rooms", in_rooms) if "rooms" in asked else {}
    plain, lossy = (
        guarded(f"{percent} % loss", functools.partial(in_browser, percent)) if "browser" in asked else {}
        for percent in (0, LOSS_PERCENT)
    )
    rounds = side_by_side(began_s + ALL_S) if "same" in PARTS else []
    held = [count for count, seen in ladder.items() if clean(seen) and seen["lag_p99_ms"] <= LAG_MAX_MS]
    joins = [one["ours"]["joins_per_cpu_s"] for one in rounds if one["ours"]]
    result = {
        "viewers_at_lag": max(held, default=0) if ladder else None,
        "relay_over_janus": over(rounds, "janus"),
        "relay_over_c_limit": over(rounds, "limit"),
        "lag_p99_ms": ladder[max(held)]["lag_p99_ms"] if held else None,
        "first_frame_p95_ms": plain.get("first_frame_p95_ms"),
        "joins_per_s": statistics.median(joins) if joins else None,
        "kib_per_viewer": ladder.get(LADDER[0], {}).get("kib_per_viewer"),
        "audio_kept_at_5_loss": lossy.get("audio_kept"),
        "video_kept_at_5_loss": lossy.get("video_kept"),
        "lag_p99_ms_under_attack": attack.get("lag_p99_ms"),
        "lost_under_attack": attack.get("lost"),
        "show_ends_in_ms": attack.get("ended_in_ms"),
        "lag_p99_ms_in_ten_rooms": rooms.get("lag_p99_ms"),
        "lost_in_ten_rooms": rooms.get("lost"),
    }
    print(f"\n{time.monotonic() - began_s:.0f} s" + "".join(f"\n{label} FAILED" for label in failed) + "\n")
    tell_verdict(TARGETS, result)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
