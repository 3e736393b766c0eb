"""What the actions of checkout need, and how it is put together and taken apart."""

from dataclasses import dataclass
from functools import partial

import asyncpg

from app.checkout.attempts import NewAttempt, Written, write_attempts
from app.checkout.commit import Commitment, Outcome, commit_orders
from app.checkout.effects import make_effects
from app.checkout.outbox import Outbox
from app.checkout.provider import Provider
from app.checkout.simulated import SimulatedProvider
from app.flash_sales.gate import Gate
from app.rooms.bus import Rooms
from app.settings import Settings
from app.storage.group_commit import GroupCommit


@dataclass(frozen=True, slots=True)
class Checkout:
    """Made by `open_checkout`."""

    pg: asyncpg.Pool
    settings: Settings
    gate: Gate
    provider: Provider
    attempts: GroupCommit[NewAttempt, Written]
    commits: GroupCommit[Commitment, Outcome]
    outbox: Outbox

    async def close(self) -> None:
        """Finishes what is in flight. Before flash_sales' parts, rooms, Valkey and Postgres."""
        await self.attempts.drain()
        await self.commits.drain()
        await self.outbox.close()


def open_checkout(
    pg: asyncpg.Pool, gate: Gate, rooms: Rooms, settings: Settings, provider: Provider | None = None
) -> Checkout:
    """Connects nothing and starts nothing. Without a provider: the simulated one."""
    chosen = provider or SimulatedProvider(pg, silence_s=2.0 * settings.payment_timeout_s)
    return Checkout(
        pg=pg,
        settings=settings,
        gate=gate,
        provider=chosen,
        attempts=GroupCommit(partial(write_attempts, pg)),
        commits=GroupCommit(partial(commit_orders, pg)),
        outbox=Outbox(pg, make_effects(pg, gate, rooms, chosen)),
    )
