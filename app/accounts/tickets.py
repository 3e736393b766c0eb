"""Tickets for a room's socket where no cookie travels: one use, 30 seconds, one person, one show.

Owns their shape and their place in Valkey. A lost Valkey loses tickets that would have ended by themselves.
"""

import hashlib
from typing import Final

import msgspec
from redis.asyncio import Redis

from app import clock
from app.person import Person

TICKET_MS: Final = 30_000


class _Kept(msgspec.Struct, frozen=True):
    person: Person
    show: str


_decoder: Final = msgspec.json.Decoder(_Kept)


def _key(ticket: str) -> str:
    return f"ticket:{hashlib.sha256(ticket.encode()).hexdigest()}"


async def issue_ticket(valkey: Redis, person: Person, show: str) -> str:
    """A fresh ticket of the person for the show."""
    ticket = clock.new_secret()
    await valkey.set(_key(ticket), msgspec.json.encode(_Kept(person, show)), px=TICKET_MS)
    return ticket


async def redeem_ticket(valkey: Redis, ticket: str, show: str) -> Person | None:
    """The person of a ticket, which is used up by this, also when it was for another show."""
    kept = await valkey.getdel(_key(ticket))
    if kept is None:
        return None
    found = _decoder.decode(kept)
    return found.person if found.show == show else None
