"""How much one socket, person, address and worker may ask of the rooms. Pure: `now` is given.

Chat's own pace per person is elsewhere (speak.lua); this only keeps a socket from flooding its worker.
"""

from typing import Final

import msgspec

MESSAGE_BYTES_MAX: Final = 16 * 1024
COMMAND_ID_LENGTH_MAX: Final = 64
ADMISSION_TIMEOUT_S: Final = 10.0
"""For finding out who it is, before the upgrade."""
JOIN_TIMEOUT_S: Final = 10.0
COMMANDS_PER_S: Final = 20
COMMANDS_BURST: Final = 40
FLOOD_MAX: Final = 200
"""Commands refused for their pace, less those taken since, after which the socket is closed."""


class Caps(msgspec.Struct, frozen=True):
    """Most sockets of a worker at once. An address may stand for a whole company; loopback (a proxy, a test) has no
    cap. On the doorstep is who is upgraded only to be told when to come back, until the connection is gone.
    """

    per_worker: int = 15_000
    per_show: int = 12_000
    per_address: int = 500
    per_person: int = 20
    doorstep: int = 500
    doorstep_per_address: int = 20


class CommandPace:
    """A token bucket: COMMANDS_BURST at once, COMMANDS_PER_S in the long run."""

    __slots__ = ("_at_s", "_tokens", "floods")

    def __init__(self, now_s: float) -> None:
        self._tokens = float(COMMANDS_BURST)
        self._at_s = now_s
        self.floods = 0

    def take(self, now_s: float) -> int | None:
        """None when one more command is fine, else how many ms to wait."""
        self._tokens = min(COMMANDS_BURST, self._tokens + (now_s - self._at_s) * COMMANDS_PER_S)
        self._at_s = now_s
        if self._tokens >= 1:
            self._tokens -= 1
            self.floods = max(0, self.floods - 1)
            return None
        self.floods += 1
        return max(1, round((1 - self._tokens) * 1000 / COMMANDS_PER_S))
