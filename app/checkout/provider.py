"""What Hawker asks of a payment provider, and how long it waits for the answer.

Every call may be repeated, and may have worked although no answer came. Owns the words and the patience; the
providers are app/checkout/simulated.py and app/checkout/stripe_provider.py.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Final, NoReturn, Protocol, TypeAlias, TypeVar, runtime_checkable

import msgspec
import structlog

log = structlog.get_logger()

Told = TypeVar("Told")


class Answer(StrEnum):
    """What a provider says of a payment."""

    AUTHORISED = "authorised"
    CHALLENGE = "challenge"  # the buyer has to answer their bank first
    DECLINED = "declined"
    CAPTURED = "captured"
    VOIDED = "voided"
    REFUNDED = "refunded"
    SILENT = "silent"  # it has not decided yet, or does not answer
    UNKNOWN = "unknown"  # it never heard of it
    BARRED = "barred"  # its card may not be tried now: no money was asked for


UNDECIDED: Final = frozenset({Answer.SILENT, Answer.CHALLENGE})
RESERVED: Final = frozenset({Answer.AUTHORISED, Answer.CAPTURED})

MayTry: TypeAlias = Callable[[str], Awaitable[bool]]
"""Whether a card may be tried, by what tells it from every other."""


async def any_card(card: str) -> bool:
    """Every card may."""
    del card
    return True


class ProviderAway(ConnectionError):  # noqa: N818  it says what the provider is
    """The provider cannot be reached, or refuses to talk to us at all. What was asked may have happened."""


class Payment(msgspec.Struct, frozen=True, gc=False):
    """What is to be paid, and by whom. `attempt` is the idempotency key of the authorisation. `keep`: the card shall be
    kept for this buyer; `kept`: `method` is one that is.
    """

    attempt: str
    method: str
    amount_minor: int
    currency: str
    buyer: str
    keep: bool = False
    kept: bool = False


class KeptCard(msgspec.Struct, frozen=True):
    """A card that the provider keeps for a buyer, as it may be shown to them: no number. `method` pays with it;
    `fingerprint` is the same for the same card, however often it was typed.
    """

    method: str
    brand: str
    last4: str
    exp_month: int
    exp_year: int
    fingerprint: str


class Refund(msgspec.Struct, frozen=True):
    """What is to be given back of a captured payment. `id` is the refund's idempotency key."""

    id: str
    attempt: str
    amount_minor: int
    currency: str


class GivenBack(msgspec.Struct, frozen=True):
    """Money that went back, in the provider's books. `refund` is the id under which Hawker asked for it, "" when
    somebody gave it back at the provider's own desk.
    """

    id: str
    refund: str
    amount_minor: int


class DisputeState(StrEnum):
    """How a dispute stands. inquiry: the bank asks, and no money has moved. open: the bank has taken the money until it
    decides. closed: an inquiry that came to nothing.
    """

    INQUIRY = "inquiry"
    OPEN = "open"
    WON = "won"  # by the shop: the money is back
    LOST = "lost"
    CLOSED = "closed"


class Dispute(msgspec.Struct, frozen=True):
    """A buyer's word against a payment, at their bank. `id` is the provider's."""

    id: str
    state: DisputeState
    amount_minor: int
    reason: str = ""


class Provider(Protocol):
    """A payment provider with two steps: reserve the money, then take it."""

    def knows(self, method: str) -> bool:
        """Whether a buyer may name this method."""

    def takes(self, amount_minor: int, currency: str) -> bool:
        """Whether the provider can be asked for exactly this amount."""

    def has_card(self, method: str) -> bool:
        """Whether a payment by this method is made with something that other accounts may use too."""

    def never_declines(self, method: str) -> bool:
        """Whether nobody can find out anything about a card by paying with this method."""

    async def card(self, attempt: str) -> str | None:
        """What tells its card from every other, the same for every account; None while the provider is silent."""

    async def authorise(self, payment: Payment, may_try: MayTry = any_card) -> Answer:
        """AUTHORISED, CHALLENGE, DECLINED or VOIDED. `may_try` is asked about the card before any money is, where the
        provider tells one card from another; BARRED where it says no.
        """

    async def look(self, attempt: str) -> Answer:
        """What became of an authorisation."""

    async def challenge(self, attempt: str) -> str:
        """What the buyer's page needs to put the bank's question; for an attempt that answers CHALLENGE."""

    async def capture(self, attempt: str, order: str) -> Answer:
        """CAPTURED, once per order however often it is asked; any other answer is a refusal. An order has the id of
        its attempt.
        """

    async def void(self, attempt: str) -> Answer:
        """VOIDED: the money is free and a late authorisation of the same attempt will be refused. Else what stands."""

    async def refund(self, refund: Refund) -> Answer:
        """REFUNDED, once per refund however often it is asked; SILENT while it is on its way; else refused."""

    async def given_back(self, attempt: str) -> list[GivenBack] | None:
        """All that went back of a payment, whoever asked for it; None while the provider is silent."""

    async def disputes(self, attempt: str) -> list[Dispute] | None:
        """All disputes there are or were about a payment; None while the provider is silent."""

    async def card_kept(self, attempt: str) -> KeptCard | Answer:
        """The card that it keeps since this payment; UNKNOWN for none."""

    async def kept_card(self, method: str) -> KeptCard | Answer:
        """A card that it keeps, as it is now; UNKNOWN when it keeps it no more."""

    async def forget_card(self, method: str) -> bool:
        """Keeps it no more; False to be asked again."""

    async def aclose(self) -> None:
        """Closes what is open towards the provider."""


@runtime_checkable
class DecidesAtOnce(Protocol):
    """A provider that is so near that it is asked for many payments in one call."""

    async def authorise_all(self, payments: Sequence[Payment]) -> list[Answer | None]:
        """As `authorise`, where that takes no time; None where it might: such a payment is to be asked for alone."""


class Absent:
    """No provider: nobody can pay, and about what was begun with one that is not configured any more it is silent."""

    def knows(self, method: str) -> bool:
        """None."""
        del method
        return False

    def takes(self, amount_minor: int, currency: str) -> bool:
        """Nothing."""
        del amount_minor, currency
        return False

    def has_card(self, method: str) -> bool:
        """Perhaps."""
        del method
        return True

    def never_declines(self, method: str) -> bool:
        """Perhaps not."""
        del method
        return False

    async def _away(self, *_asked: object) -> NoReturn:
        raise ProviderAway("no payment provider is configured here that knows this payment")

    authorise = card = look = challenge = capture = void = refund = given_back = disputes = _away
    card_kept = kept_card = forget_card = _away

    async def aclose(self) -> None:
        """Nothing is open."""


class Patience:
    """A provider that is waited for `timeout_s` at each call. Whoever is slower, or away, is SILENT.

    `others` are asked about payments that were begun with them, before this one was chosen.
    """

    def __init__(self, provider: Provider, timeout_s: float, others: Sequence[Provider] = ()) -> None:
        self._provider = provider
        self._timeout_s = timeout_s
        self._others = others
        self.knows = provider.knows
        self.takes = provider.takes
        self.has_card = provider.has_card
        self.never_declines = provider.never_declines

    def of(self, method: str) -> "Patience":
        """Who has the payment that was begun with `method`. Nobody else may say of it that it never came."""
        if self.knows(method):
            return self
        other = next((one for one in self._others if one.knows(method)), Absent())
        return Patience(other, self._timeout_s)

    async def authorise(self, payment: Payment, may_try: MayTry = any_card) -> Answer:
        """As the provider's; also SILENT."""
        return await self._wait("authorise", self._provider.authorise(payment, may_try), Answer.SILENT)

    async def authorise_all(self, payments: Sequence[Payment]) -> list[Answer | None]:
        """As the provider's; None of all where it decides nothing at once."""
        if not isinstance(self._provider, DecidesAtOnce):
            return [None] * len(payments)
        silence: list[Answer | None] = [Answer.SILENT] * len(payments)
        return await self._wait("authorise", self._provider.authorise_all(payments), silence)

    async def card(self, attempt: str) -> str | None:
        """As the provider's."""
        return await self._wait("card", self._provider.card(attempt), None)

    async def look(self, attempt: str) -> Answer:
        """As the provider's."""
        return await self._wait("look", self._provider.look(attempt), Answer.SILENT)

    async def challenge(self, attempt: str) -> str:
        """As the provider's; "" when it does not answer."""
        return await self._wait("challenge", self._provider.challenge(attempt), "")

    async def capture(self, attempt: str, order: str) -> Answer:
        """As the provider's; SILENT is no refusal."""
        return await self._wait("capture", self._provider.capture(attempt, order), Answer.SILENT)

    async def void(self, attempt: str) -> Answer:
        """As the provider's; also SILENT."""
        return await self._wait("void", self._provider.void(attempt), Answer.SILENT)

    async def refund(self, refund: Refund) -> Answer:
        """As the provider's."""
        return await self._wait("refund", self._provider.refund(refund), Answer.SILENT)

    async def given_back(self, attempt: str) -> list[GivenBack] | None:
        """As the provider's."""
        return await self._wait("given_back", self._provider.given_back(attempt), None)

    async def disputes(self, attempt: str) -> list[Dispute] | None:
        """As the provider's."""
        return await self._wait("disputes", self._provider.disputes(attempt), None)

    async def card_kept(self, attempt: str) -> KeptCard | Answer:
        """As the provider's; also SILENT."""
        return await self._wait("card_kept", self._provider.card_kept(attempt), Answer.SILENT)

    async def kept_card(self, method: str) -> KeptCard | Answer:
        """As the provider's; also SILENT."""
        return await self._wait("kept_card", self._provider.kept_card(method), Answer.SILENT)

    async def forget_card(self, method: str) -> bool:
        """As the provider's."""
        return await self._wait("forget_card", self._provider.forget_card(method), False)

    async def aclose(self) -> None:
        """As the provider's."""
        for one in (self._provider, *self._others):
            await one.aclose()

    async def _wait(self, what: str, call: Awaitable[Told], otherwise: Told) -> Told:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await call
        except (TimeoutError, ProviderAway) as error:
            log.warning("checkout.provider_silent", call=what, error=repr(error))
            return otherwise
