"""What arrived of a publisher's stream and what did not: the gaps to ask for again, and the receiver report.

Pure; the clock comes in as `now_s`. Reception by RFC 3550, section 6.4.1 and appendix A.3; asking by RFC 4585.
"""

from app.streams.relay.limits import (
    LATE_MAX,
    MISSING_MAX,
    REPAIR_GIVES_UP_S,
    REPAIR_INTERVAL_S,
    REPAIR_TRIES_MAX,
)


class Gaps:
    """Places that are missing, each asked for a bounded number of times."""

    def __init__(self) -> None:
        self._highest: int | None = None
        self._missing: dict[int, list[float]] = {}  # place -> [first missed, last asked, tries]

    def __len__(self) -> int:
        return len(self._missing)

    def arrived(self, place: int, now_s: float) -> None:
        """Notes a place; the ones it jumped over are missing now."""
        if self._highest is None or place - self._highest > MISSING_MAX:
            self._missing.clear()  # too much is gone: a key frame mends that, not a thousand packets
            self._highest = place
            return
        self._missing.pop(place, None)
        for gap in range(self._highest + 1, place):
            self._missing[gap] = [now_s, float("-inf"), 0]
        while len(self._missing) > MISSING_MAX:
            del self._missing[next(iter(self._missing))]
        self._highest = max(self._highest, place)

    def due(self, now_s: float) -> list[int]:
        """The places to ask for now, in order. Those that never came are given up, and those that would be too late:
        an encoder of 6 Mbit/s is LATE_MAX packets on before the time is up.
        """
        asked = []
        latest = -1 if self._highest is None else self._highest - LATE_MAX
        for place, entry in list(self._missing.items()):
            first_s, last_s, tries = entry
            if place <= latest or tries >= REPAIR_TRIES_MAX or now_s - first_s > REPAIR_GIVES_UP_S:
                del self._missing[place]
            elif now_s - last_s >= REPAIR_INTERVAL_S:
                entry[1], entry[2] = now_s, tries + 1
                asked.append(place)
        return sorted(asked)


class Reception:
    """How well one stream arrives."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._base: int | None = None
        self.highest = 0  # unwrapped: the cycles above the lower 16 bits
        self.received = 0
        self.last_fraction_lost = 0
        self._expected_before = 0
        self._received_before = 0
        self._transit: float | None = None
        self._jitter = 0.0
        self.bytes = 0
        self.report_middle = 0  # the middle 32 bits of the last sender report's NTP time
        self.report_s = 0.0

    def arrived(self, sequence: int, timestamp: int, size: int, now_s: float) -> None:
        """Counts a packet by the publisher's own 16-bit sequence number."""
        if self._base is None:
            self._base = self.highest = sequence
        self.highest += max(0, ((sequence - self.highest + 0x8000) & 0xFFFF) - 0x8000)
        self.received += 1
        self.bytes += size
        transit = now_s * self._rate - timestamp
        if self._transit is not None:
            difference = abs(transit - self._transit)
            if difference < self._rate:  # a wrapped timestamp or a pause is no jitter
                self._jitter += (difference - self._jitter) / 16
        self._transit = transit

    @property
    def jitter(self) -> int:
        """In units of the stream's clock."""
        return int(self._jitter)

    @property
    def lost(self) -> int:
        """Packets that never came, bounded as the report's 24 bits are."""
        if self._base is None:
            return 0
        return max(-0x800000, min(0x7FFFFF, self.highest - self._base + 1 - self.received))

    def fraction_lost(self) -> int:
        """Of 256, since this was last asked."""
        expected = 0 if self._base is None else self.highest - self._base + 1
        asked, came = expected - self._expected_before, self.received - self._received_before
        self._expected_before, self._received_before = expected, self.received
        self.last_fraction_lost = 0 if asked <= 0 or came >= asked else ((asked - came) << 8) // asked
        return self.last_fraction_lost

    def reported(self, ntp: int, now_s: float) -> None:
        """Notes a sender report, which the next receiver report refers to."""
        self.report_middle = (ntp >> 16) & 0xFFFFFFFF
        self.report_s = now_s

    def delay_since_report(self, now_s: float) -> int:
        """In 1/65,536 s since the last sender report; 0 when there was none."""
        return 0 if not self.report_middle else int((now_s - self.report_s) * 65_536) & 0xFFFFFFFF
