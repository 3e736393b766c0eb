"""What the actions of checkout need, and how it is put together and taken apart."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import asyncpg
import structlog
from redis.asyncio import Redis

from app.checkout.attempts import NewAttempt, Written, write_attempts
from app.checkout.commit import Outcome, commit_orders, commit_with_coupons
from app.checkout.conditions import KnownConditions
from app.checkout.coupons import Coupons
from app.checkout.declines import Declines
from app.checkout.effects import make_effects
from app.checkout.mails import send_mail
from app.checkout.outbox import Effect, Lane, Outbox
from app.checkout.provider import Absent, Patience, Provider
from app.checkout.simulated import Method, SimulatedProvider
from app.checkout.views import PaymentOffer
from app.flash_sales.gate import Gate
from app.flash_sales.parts import FlashSales
from app.mail.postman import open_postman
from app.rooms.bus import Rooms
from app.settings import NO_PROVIDER, Settings
from app.storage.group_commit import GroupCommit
from app.storage.own_connection import OwnConnection

TOLD_SIDE_BY_SIDE_MAX: Final = 8
TOLD_PAUSE_MAX_S: Final = 60.0
ASKED_SIDE_BY_SIDE_MAX: Final = 32
ASKED_PAUSE_MAX_S: Final = 3600.0
MAILED_SIDE_BY_SIDE_MAX: Final = 4
STRIPE_SCRIPT: Final = "https://js.stripe.com/v3/"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Checkout:
    """Made by `open_checkout`."""

    pg: asyncpg.Pool
    valkey: Redis
    settings: Settings
    gate: Gate
    provider: Patience
    simulated: SimulatedProvider | None
    offer: PaymentOffer
    attempts: GroupCommit[NewAttempt, Written]
    commits: GroupCommit[str, Outcome]
    coupon_commits: GroupCommit[str, Outcome]  # of payments with a coupon; the others pay nothing for there being any
    outbox: Outbox
    connections: tuple[OwnConnection, ...]
    conditions: KnownConditions
    coupons: Coupons
    declines: Declines
    before_close: list[Callable[[], Awaitable[None]]] = field(default_factory=list)

    async def close(self) -> None:
        """Finishes what is in flight. Before flash_sales' parts, rooms, Valkey and Postgres."""
        for finish in self.before_close:
            await finish()
        await self.attempts.drain()
        await self.commits.drain()
        await self.coupon_commits.drain()
        for connection in self.connections:
            await connection.close()
        await self.outbox.close()
        await self.provider.aclose()


def open_checkout(
    pg: asyncpg.Pool,
    valkey: Redis,
    sales: FlashSales,
    rooms: Rooms,
    settings: Settings,
    *,
    provider: Provider | None = None,
) -> Checkout:
    """Connects nothing and starts nothing. Without a provider: the one that the settings ask for."""
    chosen = provider or _open_provider(pg, settings)
    # The simulated one's books are always there: what was begun with it is finished with it.
    patient = Patience(chosen, settings.payment_timeout_s, others=(_open_simulated(pg, settings),))

    async def look_again_here(payment: str) -> bool:
        from app.checkout.settle import look_again  # it needs all the parts, and these need it

        return await look_again(checkout, payment)

    told, asked = make_effects(pg, sales.gate, sales.door, rooms, patient)
    asked["payment.look"] = look_again_here
    mailed: dict[str, Effect] = {"mail": partial(send_mail, pg, open_postman(settings), settings)}
    lanes = [
        Lane("house", told, TOLD_SIDE_BY_SIDE_MAX, TOLD_PAUSE_MAX_S),
        Lane("provider", asked, ASKED_SIDE_BY_SIDE_MAX, ASKED_PAUSE_MAX_S),
        Lane("mail", mailed, MAILED_SIDE_BY_SIDE_MAX, ASKED_PAUSE_MAX_S, kicked=False),
    ]
    connections = (OwnConnection(pg), OwnConnection(pg), OwnConnection(pg))
    checkout = Checkout(
        pg=pg,
        valkey=valkey,
        settings=settings,
        gate=sales.gate,
        provider=patient,
        simulated=chosen if isinstance(chosen, SimulatedProvider) else None,
        offer=_offer(settings),
        attempts=GroupCommit(partial(write_attempts, connections[0])),
        commits=GroupCommit(partial(commit_orders, connections[1])),
        coupon_commits=GroupCommit(partial(commit_with_coupons, connections[2])),
        outbox=Outbox(pg, lanes),
        connections=connections,
        conditions=KnownConditions(pg),
        coupons=Coupons(pg, valkey),
        declines=Declines(pg, settings.payment_declines_max),
    )
    sales.payers.payments = checkout.declines
    return checkout


def _open_provider(pg: asyncpg.Pool, settings: Settings) -> Provider:
    if settings.simulates_payments:
        return _open_simulated(pg, settings)
    if settings.stripe is None:
        log.warning("checkout.no_provider", advice=NO_PROVIDER)
        return Absent()
    from app.checkout.stripe_provider import StripeProvider

    return StripeProvider(pg, settings.stripe.secret_key, settings.stripe.api_base)


def _open_simulated(pg: asyncpg.Pool, settings: Settings) -> SimulatedProvider:
    return SimulatedProvider(pg, silence_s=2.0 * settings.payment_timeout_s)


def _offer(settings: Settings) -> PaymentOffer:
    if settings.simulates_payments:
        return PaymentOffer("simulated", list(Method))
    if settings.stripe is None:
        return PaymentOffer("none")
    return PaymentOffer("stripe", script=STRIPE_SCRIPT, publishable_key=settings.stripe.publishable_key)
