"""A web role that kills itself, by SIGKILL, the first time it comes to a named point of a purchase.

Arguments: the point, and a file that says that it has died there already.
"""

import os
import signal
import sys
from pathlib import Path

from app.checkout import edge, parts
from app.checkout.outbox import Outbox
from app.checkout.simulated import SimulatedProvider
from app.flash_sales.gate import Gate
from app.roles import run_role
from app.settings import read_settings

POINTS = {  # what has just happened: nobody has been told of it yet
    "hold": (Gate, "take"),
    "hold to pay": (Gate, "take_to_pay"),
    "attempt row": (parts, "write_attempts"),
    "authorise": (SimulatedProvider, "authorise"),
    "authorise together": (SimulatedProvider, "authorise_all"),
    "commit": (parts, "commit_orders"),
    "acknowledge": (edge, "place_order"),
    "capture": (SimulatedProvider, "capture"),
    "outbox": (Outbox, "_act"),
}
BUYING_NOW = {"hold to pay", "authorise together"}  # the others: a hold, then its order


def die_once(died: Path) -> None:
    """Kills this process, unless one before it has died here."""
    if not died.exists():
        died.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def die_after(point: str, died: Path) -> None:
    """Arms the point."""
    owner, name = POINTS[point]
    original = getattr(owner, name)

    async def then_die(*args, **named):
        result = await original(*args, **named)
        die_once(died)
        return result

    setattr(owner, name, then_die)


if __name__ == "__main__":
    die_after(sys.argv[1], Path(sys.argv[2]))
    run_role("web", read_settings())
