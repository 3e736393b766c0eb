"""Who opens a room's socket: accounts' answer to app.rooms.sources.Identity."""

from collections.abc import Sequence

from starlette.requests import HTTPConnection

from app.accounts.gatekeeper import AccountsGatekeeper
from app.accounts.parts import Accounts
from app.accounts.standing import standing
from app.accounts.tickets import redeem_ticket
from app.person import Person, Standing

# Of some sessions, by their public ids, those that do not stand.
_ENDED = """
SELECT asked.id FROM unnest($1::text[]) AS asked (id)
WHERE NOT EXISTS (SELECT 1 FROM sessions s WHERE s.id = asked.id AND s.ended_at IS NULL AND s.expires_at > now())
"""


class SocketIdentity:
    """Implements the rooms' Identity over accounts."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._gatekeeper = AccountsGatekeeper(accounts)

    async def identify(self, connection: HTTPConnection) -> Person | None:
        """The person of a valid session, else None. The socket's Origin is its server's to check."""
        return await self._gatekeeper.identify(connection)

    async def redeem_ticket(self, ticket: str, show: str) -> Person | None:
        """The person of a ticket for this show whose session still stands. The ticket is spent either way."""
        person = await redeem_ticket(self._accounts.valkey, ticket, show)
        if person is None or not await self._accounts.sessions.stands(person.session):
            return None
        return person

    async def ended_sessions(self, sessions: Sequence[str]) -> Sequence[str]:
        """Those of these sessions that have ended or expired."""
        return [row["id"] for row in await self._accounts.pg.fetch(_ENDED, list(sessions))]

    async def standing(self, show: str, person: Person | None) -> Standing | None:
        """What the person is in the show; None when there is no such show."""
        return await standing(self._accounts.pg, show, person)
