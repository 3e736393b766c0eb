"""Declined payments, counted against account, network and card, in Postgres; and who has to wait for how long.

Owns payment_tries and payment_waits. A payment counts as a try from before the provider is asked until it says yes;
what is declined stays for a day. Every process knows from memory which accounts wait: its own declines at once, the
others' within a second; so a purchase asks nobody. Whoever gets as far as the provider all the same is counted there.
"""

from typing import Any, Final

import asyncpg

from app import clock
from app.checkout.address_rules import mark_of
from app.checkout.decline_rules import (
    FEW_IN_S,
    MANY_IN_S,
    NEW_FOR_S,
    UNDECIDED_S,
    Buyer,
    Kind,
    Repute,
    Try,
    allowance,
    buyer_of,
    is_shared,
    newcomers_wait_ms,
    refusal_of,
    repute_of,
    tries_read,
    wait_ms,
)
from app.flash_sales.address_rules import network_of
from app.refusal import Refusal

WAITS_MAX: Final = 10_000
FORGOTTEN_AT_ONCE: Final = 1000

_BEGIN: Final = """
    INSERT INTO payment_tries (attempt_id, kind, mark) SELECT $1, * FROM unnest($2::text[], $3::bytea[])
    ON CONFLICT DO NOTHING"""

_READ: Final = """
    SELECT declined_at IS NOT NULL AS declined,
           greatest(extract(epoch FROM now() - coalesce(declined_at, begun_at))::float8, 0) AS age_s
      FROM payment_tries
     WHERE kind = $1 AND mark = $2 AND attempt_id <> $3 AND begun_at > now() - make_interval(secs => $4)
     ORDER BY begun_at DESC LIMIT $5"""

# Of a network, by the hour of the decline.
_COUNT: Final = """
    SELECT count(*) FILTER (WHERE declined_at > now() - make_interval(secs => $3)) AS late,
           count(*) FILTER (WHERE declined_at > now() - make_interval(secs => $4)) AS a_day,
           count(*) FILTER (WHERE declined_at IS NULL AND begun_at > now() - make_interval(secs => $5)) AS undecided
      FROM (SELECT declined_at, begun_at FROM payment_tries
             WHERE kind = 'network' AND mark = $1 AND attempt_id <> $2 AND begun_at > now() - make_interval(secs => $4)
             ORDER BY begun_at DESC LIMIT $6) t"""

_FORGIVE: Final = "DELETE FROM payment_tries WHERE attempt_id = $1"

_DECLINED: Final = """
    UPDATE payment_tries SET declined_at = now() WHERE attempt_id = $1 AND declined_at IS NULL RETURNING kind, mark"""

_WAIT: Final = """
    INSERT INTO payment_waits AS w (kind, mark, until) VALUES ($1, $2, now() + make_interval(secs => $3))
    ON CONFLICT (kind, mark) DO UPDATE SET until = greatest(w.until, excluded.until)"""

# By Postgres's clock: the processes' own may differ.
_WAITING: Final = """
    SELECT mark, extract(epoch FROM until - now())::float8 AS left_s FROM payment_waits
     WHERE kind = 'account' AND until > now() ORDER BY until DESC LIMIT $1"""

_WHOSE: Final = "SELECT account_id FROM payment_attempts WHERE id = $1 AND line = 1"

# Whoever is known here may fail as often as anybody, whatever goes on in their network.
_BUYER: Final = """
    SELECT EXISTS (SELECT FROM shop_members WHERE account_id = a.id)
        OR EXISTS (SELECT FROM show_moderators WHERE account_id = a.id)
        OR EXISTS (SELECT FROM orders
                    WHERE account_id = a.id AND state = 'paid' AND paid_at < now() - interval '1 day') AS known,
           extract(epoch FROM now() - a.created_at)::float8 AS age_s,
           EXISTS (SELECT FROM orders WHERE account_id = a.id AND state = 'paid') AS paid
      FROM accounts a WHERE a.id = $1"""

# Of all who are new in a network: what was declined lately, or is not decided yet.
_READ_NEW: Final = """
    SELECT t.declined_at IS NOT NULL AS declined,
           greatest(extract(epoch FROM now() - coalesce(t.declined_at, t.begun_at))::float8, 0) AS age_s
      FROM (SELECT attempt_id, declined_at, begun_at FROM payment_tries
             WHERE kind = 'network' AND mark = $1 AND attempt_id <> $2 AND begun_at > now() - make_interval(secs => $3)
             ORDER BY begun_at DESC LIMIT $4) t
      JOIN payment_attempts p ON p.id = t.attempt_id AND p.line = 1
      JOIN accounts a ON a.id = p.account_id
     WHERE coalesce(t.declined_at, t.begun_at) > now() - make_interval(secs => $5)
       AND a.created_at > now() - make_interval(secs => $6)
       AND NOT EXISTS (SELECT FROM orders WHERE account_id = a.id AND state = 'paid')"""

_FORGET_TRIES: Final = """
    DELETE FROM payment_tries WHERE (attempt_id, kind) IN (
        SELECT attempt_id, kind FROM payment_tries WHERE begun_at < now() - make_interval(secs => $1) LIMIT $2)"""
_FORGET_WAITS: Final = "DELETE FROM payment_waits WHERE until < now()"


class Declines:
    """Who has failed how often, as one process sees it. `account_max`: declined payments free in a quarter of an hour;
    the others' allowances follow from it.
    """

    def __init__(self, pg: asyncpg.Pool, account_max: int) -> None:
        self._pg = pg
        self._account_max = account_max
        self._waits: dict[bytes, float] = {}  # accounts: until when, on the monotonic clock; at most WAITS_MAX

    async def refresh(self) -> None:
        """Learns who waits, from Postgres."""
        now_s = clock.monotonic_s()
        rows = await self._pg.fetch(_WAITING, WAITS_MAX)
        self._waits = {row["mark"]: now_s + row["left_s"] for row in rows}

    def refuse(self, person: str) -> Refusal | None:
        """Why this person cannot pay now; None for go on. From memory."""
        left_s = self._waits.get(mark_of(person), 0.0) - clock.monotonic_s() if self._waits else 0.0
        return refusal_of(Kind.ACCOUNT, round(left_s * 1000) + 1) if left_s > 0 else None

    async def begin(self, attempt: str, person: str, address: str) -> Refusal | None:
        """Counts the payment as a try until it is forgiven, or says why it must not be asked for and counts nothing."""
        account, network = mark_of(person), _network_of(address)
        await self._write(attempt, {Kind.ACCOUNT: account, **({Kind.NETWORK: network} if network else {})})
        repute, buyer = await self._taken_for(person, network, attempt)
        account_max = allowance(self._account_max, repute, buyer)
        barred = await self._bar(attempt, Kind.ACCOUNT, await self._wait(Kind.ACCOUNT, account, account_max, attempt))
        if barred is None and network is not None and is_shared(repute, buyer):
            return await self._bar(attempt, Kind.NETWORK, await self._newcomers_wait(network, attempt))
        return barred

    def at_card(self, attempt: str) -> "AtCard":
        """For the provider to ask, once it knows which card would pay."""
        return AtCard(self, attempt)

    async def begin_card(self, attempt: str, card: str) -> Refusal | None:
        """As `begin`, by what tells the card from every other."""
        mark = mark_of(card)
        await self._write(attempt, {Kind.CARD: mark})
        return await self._bar(attempt, Kind.CARD, await self._wait(Kind.CARD, mark, self._account_max, attempt))

    async def forgive(self, attempt: str) -> None:
        """The provider said yes."""
        await self._pg.execute(_FORGIVE, attempt)

    async def note(self, attempt: str) -> None:
        """The payment was declined, or its buyer never answered the bank. Idempotent."""
        marks = {row["kind"]: row["mark"] for row in await self._pg.fetch(_DECLINED, attempt)}
        account = marks.get(Kind.ACCOUNT)
        if account is None:
            return
        person = await self._pg.fetchval(_WHOSE, attempt)
        repute, buyer = await self._taken_for(person or "", marks.get(Kind.NETWORK))
        waits_ms = await self._wait(Kind.ACCOUNT, account, allowance(self._account_max, repute, buyer))
        if waits_ms:
            await self._pg.execute(_WAIT, Kind.ACCOUNT, account, waits_ms / 1000)
            self._remember(account, waits_ms)

    async def forget(self) -> None:
        """Forgets what counts no more."""
        await self._pg.execute(_FORGET_WAITS)
        while await self._pg.execute(_FORGET_TRIES, MANY_IN_S, FORGOTTEN_AT_ONCE) == f"DELETE {FORGOTTEN_AT_ONCE}":
            pass

    async def _write(self, attempt: str, marks: dict[Kind, bytes]) -> None:
        # Written first, read then, in two statements: of two at once at least one sees the other.
        await self._pg.execute(_BEGIN, attempt, list(marks), list(marks.values()))

    async def _bar(self, attempt: str, kind: Kind, waits_ms: int) -> Refusal | None:
        if not waits_ms:
            return None
        await self.forgive(attempt)  # it is not asked for
        return refusal_of(kind, waits_ms)

    async def _wait(self, kind: Kind, mark: bytes, account_max: int, but: str = "") -> int:
        most = tries_read(kind, account_max)
        rows: list[Any] = await self._pg.fetch(_READ, kind, mark, but, MANY_IN_S, most)
        return wait_ms(kind, [Try(row["age_s"], row["declined"]) for row in rows], account_max)

    async def _newcomers_wait(self, network: bytes, but: str) -> int:
        most = tries_read(Kind.NETWORK, self._account_max)
        rows: list[Any] = await self._pg.fetch(_READ_NEW, network, but, MANY_IN_S, most, FEW_IN_S, NEW_FOR_S)
        return newcomers_wait_ms([Try(row["age_s"], row["declined"]) for row in rows], self._account_max)

    async def _taken_for(self, person: str, network: bytes | None, but: str = "") -> tuple[Repute, Buyer]:
        """What the network is taken for, and who this person is there; nobody is asked about where it is calm."""
        if network is None:
            return Repute.CALM, Buyer.PASSING
        most = tries_read(Kind.NETWORK, self._account_max)
        late, a_day, undecided = await self._pg.fetchrow(_COUNT, network, but, FEW_IN_S, MANY_IN_S, UNDECIDED_S, most)
        repute = repute_of(late, a_day, undecided, self._account_max)
        row = None if repute is Repute.CALM else await self._pg.fetchrow(_BUYER, person)
        if row is None:
            return repute, Buyer.PASSING
        return repute, buyer_of(known=row["known"], age_s=row["age_s"], paid=row["paid"])

    def _remember(self, account: bytes, waits_ms: int) -> None:
        if len(self._waits) < WAITS_MAX:
            self._waits[account] = clock.monotonic_s() + waits_ms / 1000


class AtCard:
    """Judges the card of one payment before any money is asked for. `refused` says why not."""

    def __init__(self, declines: Declines, attempt: str) -> None:
        self._declines = declines
        self._attempt = attempt
        self.refused: Refusal | None = None

    async def __call__(self, card: str) -> bool:
        """Whether the card may be tried."""
        self.refused = await self._declines.begin_card(self._attempt, card)
        return self.refused is None


def _network_of(address: str) -> bytes | None:
    """Hashed, as all marks are: of one length, and no address in the clear."""
    network = network_of(address)
    return mark_of(network) if network else None
