"""`make bench-rooms`: messages delivered per CPU second, ours beside the specialists, and what a room costs.

Each round starts every server afresh on one core, with the generator on the other; a ratio is taken within a round,
and the median over the rounds is reported. bench/rooms/README.md says what the figures mean.
"""

import json
import os
import resource
import socket
import statistics
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import httpx

from bench.rooms.contenders import Contender, build, contenders, prepare_whole
from bench.rooms.processes import Generator, ServerProcess
from bench.verdict import tell_verdict

ROUNDS: Final = int(os.environ.get("ROUNDS", "5"))
SIZE: Final = 200
FEW, MANY = 1_000, 10_000
AT_ONCE: Final = 100
STALLED: Final = FEW // 100
STALL_SIZE: Final = 1_000
PHASES: Final = {
    "flight": "flight 1 1 200",
    "20/s": "pace 20 1 200",
    "200/s": "pace 200 1 200",
    "500/s": "pace 500 2 200",
    "bursts": "flight 1.5 16 200",
}
LAGGARDS: Final = dict.fromkeys(("floor", "naive", "nats", "ws"), ("200/s", "500/s"))
"""What a server cannot keep up with takes it longer than the bench has."""
TARGETS: Final = {
    "joined_over_floor": (7, ">="),
    "joined_over_uws_plain": (1.0, ">="),
    "joined_over_uws_joined": (0.8, ">="),
    "joined_over_naive": (25, ">="),
    "whole_path_over_floor": None,
    "unjoined_over_floor_1k": (0.7, ">="),
    "unjoined_over_floor_10k": (0.5, ">="),
    "p99_ms_500k": (40, "<="),
    "kib_per_socket": (18, "<="),
    "gc_pause_ms": (5, "<="),
    "stalled_p99_ratio": (1.2, "<="),
    "reconnects_per_s": None,
    "lost": (0, "<="),
    "doubled": (0, "<="),
}
OURS: Final = ("ours", "whole")


def connect(generator: Generator, count: int, small: int) -> dict[str, Any]:
    """Brings viewers in, all of them."""
    answer = generator.do(f"connect {count} {AT_ONCE} {small}")
    if answer["in"] != count:
        raise RuntimeError(f"of {count} viewers {answer['in']} got in")
    return answer


def switch_joining(server: ServerProcess) -> None:
    """See bench/rooms/fan_out.py."""
    with socket.create_connection(("127.0.0.1", server.port + 1)) as feed:
        feed.sendall(bytes(4))


class Round:
    """One round's figures: `rate` is thousand deliveries a CPU second, by server and phase."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.rate: dict[tuple[str, str], float] = {}
        self.p99: dict[tuple[str, str], float] = {}
        self.load: dict[tuple[str, str], float] = {}
        self.figures: dict[str, float] = {}
        self.faults: dict[str, int] = defaultdict(int)

    def phase(self, name: str, label: str, server: ServerProcess, generator: Generator, command: str) -> dict[str, Any]:
        """Runs a phase and notes what it took."""
        before = server.cpu_s()
        answer = generator.do(command)
        took_s = server.cpu_s() - before
        self.rate[name, label] = answer["delivered"] / took_s / 1000
        self.p99[name, label] = answer["p99_ms"]
        self.load[name, label] = took_s / answer["seconds"] if answer["seconds"] else 0
        self.count_faults(name, label, answer)
        return answer

    def count_faults(self, name: str, label: str, answer: dict[str, Any]) -> None:
        """Keeps what never may happen, and says so."""
        faults = {fault: answer[fault] for fault in ("lost", "doubled", "refused", "gone")}
        if any(faults.values()):
            print(f"  {name} {label}: {faults}", file=sys.stderr)
        if name in OURS:
            for fault, count in faults.items():
                self.faults[fault] += count

    def few(self, one: Contender) -> None:
        """1,000 viewers."""
        server, generator = one.start(self.number)
        try:
            connect(generator, FEW, STALLED)
            for label, command in PHASES.items():
                if label not in LAGGARDS.get(one.name, ()):
                    self.phase(one.name, label, server, generator, command)
            if one.name == "ours":
                self.unjoined("unjoined", server, generator)
                self.stall(server, generator)
        finally:
            generator.end()
            server.end()

    def unjoined(self, label: str, server: ServerProcess, generator: Generator) -> None:
        """Each message in a frame of its own, one after the other as the floor sends them."""
        switch_joining(server)
        self.phase("ours", label, server, generator, PHASES["flight"])
        switch_joining(server)

    def stall(self, server: ServerProcess, generator: Generator) -> None:
        """One viewer in a hundred stops reading."""
        command = f"pace 400 3 {STALL_SIZE}"  # more than the ring holds, so that it has grown before
        before = self.phase("ours", "all read", server, generator, command)
        rss_kib = server.rss_kib()
        generator.do("stall")
        stalled = self.phase("ours", "1 % deaf", server, generator, command)
        self.figures["stalled_p99_ratio"] = stalled["p99_ms"] / before["p99_ms"]
        self.figures["kib_per_stalled"] = (server.rss_kib() - rss_kib) / STALLED

    def many(self, one: Contender) -> None:
        """10,000 viewers, who for ours are all cut off and come back."""
        server, generator = one.start(self.number)
        try:
            before_kib = server.rss_kib()
            joined = connect(generator, MANY, 0)
            self.figures[f"{one.name}_kib_per_socket"] = (server.rss_kib() - before_kib) / MANY
            self.figures[f"{one.name}_joins_per_s"] = joined["in"] / joined["seconds"]
            for label in ("flight", "20/s", "bursts"):
                self.phase(one.name, f"{label} 10k", server, generator, PHASES[label])
            if one.name == "ours":
                self.unjoined("unjoined 10k", server, generator)
                self.come_back(server, generator)
        finally:
            generator.end()
            server.end()

    def come_back(self, server: ServerProcess, generator: Generator) -> None:
        """Everyone's line is cut; everyone resumes, while messages go on."""
        generator.do("cut")
        again = generator.do(f"again {AT_ONCE} 20 bench")
        self.figures["reconnects_per_s"] = again["in"] / again["seconds"]
        self.figures["reconnect_p99_ms"] = again["join_p99_ms"]
        self.faults["lost"] += again["failed"]
        self.count_faults("ours", "resume", generator.answer())
        pauses = httpx.get(f"http://127.0.0.1:{server.port}/pauses").json()
        self.figures["gc_pause_ms"] = pauses["worst_ms"]

    def ratios(self) -> dict[str, float]:
        """What the last line says, of this round."""
        rate = self.rate
        ours = rate["ours", "bursts"]
        return {
            "joined_over_floor": ours / rate["floor", "bursts"],
            "joined_over_uws_plain": ours / rate["uws", "bursts"],
            "joined_over_uws_joined": ours / rate["uws_joined", "bursts"],
            "joined_over_naive": ours / rate["naive", "bursts"],
            "whole_path_over_floor": rate["whole", "bursts"] / rate["floor", "bursts"],
            "unjoined_over_floor_1k": rate["ours", "unjoined"] / rate["floor", "flight"],
            "unjoined_over_floor_10k": rate["ours", "unjoined 10k"] / rate["floor", "flight 10k"],
            "p99_ms_500k": self.p99["ours", "500/s"],
            "kib_per_socket": self.figures["ours_kib_per_socket"],
            "gc_pause_ms": self.figures["gc_pause_ms"],
            "stalled_p99_ratio": self.figures["stalled_p99_ratio"],
            "reconnects_per_s": self.figures["reconnects_per_s"],
            "lost": self.faults["lost"],
            "doubled": self.faults["doubled"],
        }


def tables(rounds: list[Round]) -> list[str]:
    """Medians of everything that was measured."""
    lines = []
    for title, field, digits in (
        ("thousand deliveries a CPU second", "rate", 0),
        ("p99 ms", "p99", 1),
        ("cores used", "load", 2),
    ):
        cells = {
            key: statistics.median(getattr(one, field)[key] for one in rounds) for key in getattr(rounds[0], field)
        }
        labels = list(dict.fromkeys(label for _, label in cells))
        lines += ["", title, " " * 12 + "".join(f"{label:>12}" for label in labels)]
        for name in dict.fromkeys(name for name, _ in cells):
            row = [f"{cells[name, label]:12.{digits}f}" if (name, label) in cells else " " * 12 for label in labels]
            lines.append(f"{name:12}" + "".join(row))
    lines.append("")
    for figure in rounds[0].figures:
        lines.append(f"{figure:24}{statistics.median(one.figures[figure] for one in rounds):10.2f}")
    return lines


def others_share(began_s: float, busy_s: float) -> float:
    """How many cores other processes of this machine used meanwhile: more than 0.1 blurs the latencies."""
    ours = resource.getrusage(resource.RUSAGE_CHILDREN)
    took_s = time.monotonic() - began_s
    return max(0.0, (_busy_s() - busy_s - ours.ru_utime - ours.ru_stime) / took_s)


def _busy_s() -> float:
    user, nice, system = (int(one) for one in Path("/proc/stat").read_text().split()[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Measures, prints."""
    began_s, busy_s = time.monotonic(), _busy_s()
    build()
    prepare_whole()
    rounds = []
    for number in range(1, ROUNDS + 1):
        one = Round(number)
        for contender in contenders().values():
            one.few(contender)
        for name in ("floor", "ours"):
            one.many(contenders()[name])
        rounds.append(one)
        print(
            f"round {number}: {json.dumps({key: round(value, 2) for key, value in one.ratios().items()})}", flush=True
        )
    print("\n".join(tables(rounds)))
    print(f"\n{time.monotonic() - began_s:.0f} s; other processes used {others_share(began_s, busy_s):.2f} cores")
    told = [one.ratios() for one in rounds]
    # What never may happen is added up; everything else is a median.
    result = {
        key: sum(one[key] for one in told)
        if key in {"lost", "doubled"}
        else statistics.median(one[key] for one in told)
        for key in TARGETS
    }
    tell_verdict(TARGETS, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
