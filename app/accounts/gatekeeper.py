"""The HTTP edge's Gatekeeper: who calls, and whether a right holds where they act.

Owns the answers 401, 403 and 404 of the rights. Another shop's host learns nothing, not even that the thing is there.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from starlette.requests import HTTPConnection

from app.accounts.parts import Accounts
from app.accounts.standing import place_of
from app.http.credentials import bearer, cookie_secret
from app.person import Person, Right, Standing
from app.refusal import Refusal

_FREE: Final = frozenset({Right.ANYONE, Right.MEDIA_BEARER})
_SOMEBODY: Final = _FREE | {Right.SIGNED_IN}
_NEEDED: Final = {
    Right.SHOW_STAFF: frozenset({Standing.MODERATOR, Standing.LEAD, Standing.HOST}),
    Right.SHOW_LEAD: frozenset({Standing.LEAD, Standing.HOST}),
    Right.SHOW_HOST: frozenset({Standing.HOST}),
    Right.SHOP_HOST: frozenset({Standing.HOST}),
}
_NOT_FOUND: Final = Refusal("not_found", "There is no such thing here.")


class AccountsGatekeeper:
    """Implements app.http.endpoint.Gatekeeper over accounts."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def identify(self, request: HTTPConnection) -> Person | None:
        """The person of the bearer when the request has an Authorization header, else of the session cookie."""
        chosen = "authorization" in request.headers
        secret = bearer(request) if chosen else cookie_secret(request)
        return None if secret is None else await self._accounts.sessions.find(secret)

    async def find(self, secret: str) -> Person | None:
        """The person of the session with this secret."""
        return await self._accounts.sessions.find(secret)

    def known(self, right: Right, secret: str) -> Person | None:
        """Whom the cache knows, where being somebody is all that the right asks."""
        return self._accounts.sessions.known(secret) if right in _SOMEBODY else None

    def look_up(self, right: Right, secret: str) -> asyncio.Future[Sequence[Person | None]] | None:
        """Whom Postgres knows, where being somebody is all that the right asks."""
        return self._accounts.sessions.look_up(secret) if right in _SOMEBODY else None

    async def refuse(self, right: Right, person: Person | None, scope: Mapping[str, str]) -> Refusal | None:
        """None when the right holds. Rights of a show or shop need a scope of one name."""
        if right in _FREE:
            return None
        if person is None:
            return Refusal("sign_in", "Sign in first.")
        if right is Right.SIGNED_IN:
            return None
        return await self._refuse_place(_NEEDED[right], person, scope)

    async def _refuse_place(
        self, needed: frozenset[Standing], person: Person, scope: Mapping[str, str]
    ) -> Refusal | None:
        if not scope:
            return Refusal("malformed", "Say which shop or show this is about.")
        place = await place_of(self._accounts.pg, person, scope)
        if place is None:
            return _NOT_FOUND
        if place.standing in needed:
            return None
        if place.standing is Standing.VIEWER and place.hosts_elsewhere:
            return _NOT_FOUND
        return Refusal("forbidden", "Only the show's own staff may do this.")
