"""What Hawker asks of a payment provider. Every call may be repeated, and may have worked although no answer came."""

from enum import StrEnum
from typing import Protocol

import msgspec


class Answer(StrEnum):
    """What a provider says of a payment."""

    AUTHORISED = "authorised"
    DECLINED = "declined"
    CAPTURED = "captured"
    VOIDED = "voided"
    SILENT = "silent"  # it has not decided yet
    UNKNOWN = "unknown"  # it never heard of it


class Payment(msgspec.Struct, frozen=True):
    """What is to be paid. `attempt` is the idempotency key of the authorisation."""

    attempt: str
    method: str
    amount_minor: int
    currency: str


class Provider(Protocol):
    """A payment provider with two steps: reserve the money, then take it."""

    async def authorise(self, payment: Payment) -> Answer:
        """AUTHORISED, DECLINED or VOIDED. May take for ever: the caller brings the timeout."""

    async def look(self, attempt: str) -> Answer:
        """What became of an authorisation."""

    async def capture(self, attempt: str, order: str) -> Answer:
        """CAPTURED, once per order however often it is asked; any other answer is a refusal."""

    async def void(self, attempt: str) -> Answer:
        """VOIDED: the money is free and a late authorisation of the same attempt will be refused. Else what stands."""
