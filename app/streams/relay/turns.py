"""Whose turn it is to be sent something: rooms send in bounded portions, between which everything else has its turn.

Owns the loop's callbacks and timer for sending. A key frame goes to hundreds of viewers, and a joiner wants seconds of
video at once: sent in one go either would hold up every other packet, check and handshake for tens of milliseconds.
"""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial

from app.streams.relay.audience import Audience
from app.streams.relay.limits import (
    FRAME_REST_S,
    FRAME_WAIT_S,
    PACE_INTERVAL_S,
    PACE_SENDS,
    TURN_SENDS,
)
from app.streams.relay.udp import UdpPort


class Turns:
    """`audiences` are all that are to be served at the moment it is called. stop() it before the loop ends."""

    def __init__(self, udp: UdpPort, audiences: Callable[[], Iterable[Audience]]) -> None:
        self._udp = udp
        self._audiences = audiences
        self._fanning: asyncio.Handle | None = None
        self._holding: asyncio.TimerHandle | None = None
        self._pacing: asyncio.TimerHandle | None = None

    def fan_out(self, *, patient: bool = True) -> None:
        """Sends what came, a portion now and the rest when the loop comes round again; what has come of a frame waits
        for the rest of it, but not for long. The port calls this, too, when it has room again after it had none: while
        packets wait there, they wait here once instead of once per viewer.
        """
        if self._fanning is not None:
            self._fanning.cancel()
            self._fanning = None
        more = held = False
        for audience in self._audiences():
            if self._udp.waits:
                return
            more |= audience.fan_out(TURN_SENDS, patient=patient)
            held |= audience.waits
        if more:
            self._fanning = asyncio.get_running_loop().call_soon(partial(self.fan_out, patient=patient))
        elif held and self._holding is None:
            # Timers come a millisecond late: what the rest has let come must be read before the frame is given up.
            self._holding = asyncio.get_running_loop().call_later(FRAME_REST_S + FRAME_WAIT_S, self._hold_no_longer)
            self._udp.rest(FRAME_REST_S)
        elif not held and self._holding is not None:
            self._holding.cancel()
            self._holding = None

    def _hold_no_longer(self) -> None:
        self._holding = None
        self.fan_out(patient=False)

    def keep_pace(self) -> None:
        """Has joiners sent their portions for as long as any catches up."""
        if self._pacing is None:
            self._pacing = asyncio.get_running_loop().call_later(PACE_INTERVAL_S, self._pace)

    def _pace(self) -> None:
        self._pacing = None
        behind = False
        for audience in self._audiences():
            behind |= audience.pace(0 if self._udp.waits else PACE_SENDS)
        if behind:
            self.keep_pace()

    def stop(self) -> None:
        """Nothing more is sent."""
        for handle in (self._fanning, self._holding, self._pacing):
            if handle is not None:
                handle.cancel()
        self._fanning = self._holding = self._pacing = None
