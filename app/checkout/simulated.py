"""The simulated payment provider: methods chosen by button, books of its own, no money.

Its tables stand for the provider's side. Hawker's other code never reads them: it asks by the Provider's calls.
"""

import asyncio
import re
from collections.abc import Sequence
from enum import StrEnum
from functools import partial
from typing import Any, Final

import asyncpg

from app.checkout.provider import (
    Answer,
    Dispute,
    DisputeState,
    GivenBack,
    KeptCard,
    MayTry,
    Payment,
    Refund,
    any_card,
)
from app.storage.group_commit import GroupCommit
from app.storage.own_connection import OwnConnection, insisting


class Method(StrEnum):
    """How the payment ends."""

    WORKS = "works"
    DECLINES = "declines"
    CHALLENGES = "challenges"  # the bank asks the buyer, who answers by `answer`
    HANGS = "hangs"  # never decides
    LATE = "late"  # decides only after Hawker has stopped waiting
    TWICE = "twice"  # authorises, and says so twice more by itself
    LENT = "lent"  # works, with a card that everybody who chooses it has in common


DESK: Final = "desk_"
"""How the id of a refund begins that was made in the books themselves, without Hawker."""

_STATE_OF: Final = {Method.DECLINES: Answer.DECLINED, Method.CHALLENGES: Answer.CHALLENGE}
_METHODS: Final = frozenset(Method)
_KEPT: Final = re.compile(rf"sim_({'|'.join(Method)})_[a-z0-9]{{1,40}}")
"""The name of a card that is kept: how it pays, and the payment that it was kept with."""
_KEPT_THAT_WORKS: Final = f"sim_{Method.WORKS}_"
_LAST4: Final = {Method.WORKS: "4242", Method.CHALLENGES: "3155", Method.LENT: "1111", Method.LATE: "0077"}
_NONE_KEPT: Final[frozenset[tuple[str, str]]] = frozenset()
_LENT_CARD: Final = "simulated: lent"
_TELLS_AGAIN: Final = 2
_FOR_EVER_S: Final = 1e9

_AUTHORISE: Final = """
    INSERT INTO simulated_payments (attempt_id, method, amount_minor, currency, state, answers_at)
    SELECT attempt, method, amount, currency, state, clock_timestamp() + make_interval(secs => silent_s)
      FROM unnest($1::text[], $2::int[]) AS t (attempt, common)
      JOIN unnest($3::text[], $4::bigint[], $5::text[], $6::text[], $7::float8[]) WITH ORDINALITY
           AS c (method, amount, currency, state, silent_s, number) ON c.number = t.common
    ON CONFLICT (attempt_id) DO NOTHING RETURNING attempt_id, answers_at <= clock_timestamp() AS decided"""

# What a webhook of this provider would leave behind.
_TELL: Final = "INSERT INTO outbox (topic, subject) SELECT 'payment.look', $1 FROM generate_series(1, $2)"

_LOOK: Final = """
    SELECT CASE WHEN state = 'voided' OR answers_at <= clock_timestamp() THEN state ELSE 'silent' END
      FROM simulated_payments WHERE attempt_id = $1"""

_ANSWER: Final = "UPDATE simulated_payments SET state = $2 WHERE attempt_id = $1 AND state = 'challenge'"

_CAPTURE: Final = """
    UPDATE simulated_payments SET state = 'captured', order_id = $2, captures = captures + 1, captured_at = now()
     WHERE attempt_id = $1 AND state = 'authorised'"""

# A void of what never came leaves a note, so that a late authorisation finds it and is refused.
_VOID: Final = """
    INSERT INTO simulated_payments (attempt_id, method, amount_minor, currency, state)
    VALUES ($1, '', 0, '', 'voided')
    ON CONFLICT (attempt_id) DO UPDATE SET state = 'voided'
     WHERE simulated_payments.state IN ('authorised', 'challenge')"""

# Never more than was captured, whoever asks.
_REFUND: Final = """
    INSERT INTO simulated_refunds (id, attempt_id, amount_minor)
    SELECT $1, p.attempt_id, $3::bigint FROM simulated_payments p
     WHERE p.attempt_id = $2 AND p.state = 'captured' AND p.currency = $4
       AND $3::bigint + (SELECT coalesce(sum(r.amount_minor), 0) FROM simulated_refunds r WHERE r.attempt_id = $2)
           <= p.amount_minor
    ON CONFLICT (id) DO NOTHING"""

_REFUNDED: Final = "SELECT EXISTS (SELECT FROM simulated_refunds WHERE id = $1)"

_GIVEN: Final = "SELECT id, amount_minor FROM simulated_refunds WHERE attempt_id = $1 ORDER BY id"


_KEEP: Final = "INSERT INTO simulated_cards (id, attempt_id, account_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"

_ARE_KEPT: Final = """
    SELECT c.id, c.account_id FROM unnest($1::text[], $2::text[]) AS t (id, account_id)
      JOIN simulated_cards c ON c.id = t.id AND c.account_id = t.account_id
     WHERE c.kept_at IS NOT NULL AND c.detached_at IS NULL"""

# Kept once its payment went through, whatever becomes of that later.
_NOTE_KEPT: Final = """
    UPDATE simulated_cards c SET kept_at = coalesce(c.kept_at, now()) FROM simulated_payments p
     WHERE c.attempt_id = $1 AND p.attempt_id = c.attempt_id AND p.state IN ('authorised', 'captured')"""

_READ_KEPT: Final = """
    SELECT id, extract(year FROM kept_at)::int + 3 AS exp_year FROM simulated_cards
     WHERE (attempt_id = $1 OR id = $2) AND kept_at IS NOT NULL AND detached_at IS NULL"""

_DETACH: Final = "UPDATE simulated_cards SET detached_at = now() WHERE id = $1 AND detached_at IS NULL"

_DISPUTES: Final = "SELECT id, state, amount_minor FROM simulated_disputes WHERE attempt_id = $1 ORDER BY id"


class SimulatedProvider:
    """`silence_s` is how long the method that is late takes to decide; longer than Hawker's payment timeout."""

    def __init__(self, pg: asyncpg.Pool, silence_s: float) -> None:
        self._pg = pg
        self._silence_s = silence_s
        self._own = OwnConnection(pg)
        self._books: GroupCommit[Payment, bool] = GroupCommit(partial(insisting, self._own, self._write))

    def knows(self, method: str) -> bool:
        """The words of Method, and the names of cards that are kept."""
        return method in _METHODS or _KEPT.fullmatch(method) is not None

    def takes(self, amount_minor: int, currency: str) -> bool:
        """Everything."""
        del amount_minor, currency
        return True

    def has_card(self, method: str) -> bool:
        """The other methods have no card: whoever tries the demo is somebody else each time."""
        return method == Method.LENT or method.startswith(f"sim_{Method.LENT}_")

    def never_declines(self, method: str) -> bool:
        """The one that works, and the same as a card that is kept: about that there is nothing to find out."""
        return method == Method.WORKS or method.startswith(_KEPT_THAT_WORKS)

    async def card(self, attempt: str) -> str | None:
        """The one card that is lent."""
        del attempt
        return _LENT_CARD

    async def authorise(self, payment: Payment, may_try: MayTry = any_card) -> Answer:
        """Decides by the method, once per attempt."""
        if self.has_card(payment.method) and not await may_try(_LENT_CARD):
            return Answer.BARRED
        method = _way(payment.method)
        if payment.method != method and not await self._kept_among([payment]):
            return Answer.DECLINED
        if payment.keep:
            await self._pg.execute(_KEEP, f"sim_{method}_{payment.attempt}", payment.attempt, payment.buyer)
        decided = await self._books.submit(payment)
        if method is Method.TWICE:
            await self._pg.execute(_TELL, payment.attempt, _TELLS_AGAIN)
        if decided:
            return _STATE_OF.get(method, Answer.AUTHORISED)
        answer = await self.look(payment.attempt)
        while answer is Answer.SILENT:
            await asyncio.sleep(self._silence_s)
            answer = await self.look(payment.attempt)
        return answer

    async def authorise_all(self, payments: Sequence[Payment]) -> list[Answer | None]:
        """Those whose method works, also as a card that their buyer keeps. One that was there before, or whose card is
        to be kept, is asked about alone.
        """
        kept = await self._kept_among([one for one in payments if one.method.startswith(_KEPT_THAT_WORKS)])
        works = [one for one in payments if _is_plain(one, kept)]
        decided = iter(await self._books.submit_all(works) if works else ())
        return [Answer.AUTHORISED if _is_plain(one, kept) and next(decided) else None for one in payments]

    async def _kept_among(self, payments: Sequence[Payment]) -> frozenset[tuple[str, str]]:
        """Of payments with a card that is kept those whose buyer keeps it: its name and the buyer."""
        if not payments:
            return _NONE_KEPT
        rows = await self._pg.fetch(_ARE_KEPT, [one.method for one in payments], [one.buyer for one in payments])
        return frozenset((row["id"], row["account_id"]) for row in rows)

    async def _write(self, connection: Any, payments: list[Payment]) -> list[bool]:
        """Whether each was new and is decided at once; about any other the books are to be asked."""
        silent_s = {Method.HANGS: _FOR_EVER_S, Method.LATE: self._silence_s}
        commons: dict[tuple[str, int, str], int] = {}  # what several have in common goes over once
        of = [commons.setdefault((one.method, one.amount_minor, one.currency), len(commons) + 1) for one in payments]
        rows = await connection.fetch(
            _AUTHORISE,
            [one.attempt for one in payments],
            of,
            *map(list, zip(*commons, strict=True)),
            [_STATE_OF.get(_way(method), Answer.AUTHORISED) for method, _, _ in commons],
            [silent_s.get(_way(method), 0.0) for method, _, _ in commons],
        )
        decided = {row["attempt_id"] for row in rows if row["decided"]}
        return [one.attempt in decided for one in payments]

    async def look(self, attempt: str) -> Answer:
        """The state in the books, SILENT while it hangs."""
        state = await self._pg.fetchval(_LOOK, attempt)
        return Answer.UNKNOWN if state is None else Answer(state)

    async def challenge(self, attempt: str) -> str:
        """The page has the question itself."""
        return attempt

    async def answer(self, attempt: str, *, approve: bool) -> None:
        """The buyer told their bank: it was me, or it was not."""
        await self._pg.execute(_ANSWER, attempt, Answer.AUTHORISED if approve else Answer.DECLINED)

    async def capture(self, attempt: str, order: str) -> Answer:
        """Counts every real capture, so that a second one would be seen in the books."""
        await self._pg.execute(_CAPTURE, attempt, order)
        return await self.look(attempt)

    async def void(self, attempt: str) -> Answer:
        """Frees the money; what is captured stays captured."""
        await self._pg.execute(_VOID, attempt)
        return await self.look(attempt)

    async def refund(self, refund: Refund) -> Answer:
        """Gives back at once."""
        await self._pg.execute(_REFUND, refund.id, refund.attempt, refund.amount_minor, refund.currency)
        return Answer.REFUNDED if await self._pg.fetchval(_REFUNDED, refund.id) else Answer.DECLINED

    async def given_back(self, attempt: str) -> list[GivenBack]:
        """As the books say."""
        rows = await self._pg.fetch(_GIVEN, attempt)
        return [
            GivenBack(row["id"], "" if row["id"].startswith(DESK) else row["id"], row["amount_minor"]) for row in rows
        ]

    async def disputes(self, attempt: str) -> list[Dispute]:
        """As the bank's books say."""
        rows = await self._pg.fetch(_DISPUTES, attempt)
        return [Dispute(row["id"], DisputeState(row["state"]), row["amount_minor"], "simulated") for row in rows]

    async def card_kept(self, attempt: str) -> KeptCard | Answer:
        """As the books say."""
        await self._pg.execute(_NOTE_KEPT, attempt)
        return _kept(await self._pg.fetchrow(_READ_KEPT, attempt, ""))

    async def kept_card(self, method: str) -> KeptCard | Answer:
        """As the books say."""
        return _kept(await self._pg.fetchrow(_READ_KEPT, "", method))

    async def forget_card(self, method: str) -> bool:
        """At once."""
        await self._pg.execute(_DETACH, method)
        return True

    async def aclose(self) -> None:
        """The pool is its owner's."""
        await self._books.drain()
        await self._own.close()


def _way(method: str) -> Method:
    """How a method pays, also when it is a card that is kept."""
    kept = _KEPT.fullmatch(method)
    return Method(method if kept is None else kept.group(1))


def _is_plain(payment: Payment, kept: frozenset[tuple[str, str]]) -> bool:
    return not payment.keep and (payment.method == Method.WORKS or (payment.method, payment.buyer) in kept)


def _kept(row: Any) -> KeptCard | Answer:
    """Every card of one way to pay is the same card."""
    if row is None:
        return Answer.UNKNOWN
    way = _way(row["id"])
    return KeptCard(row["id"], "simulated", _LAST4.get(way, "0000"), 12, row["exp_year"], f"simulated: {way}")
