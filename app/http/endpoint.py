"""What a feature hands to the HTTP edge: endpoints, the call they receive and the reply they give.

Owns these types only; it never routes, decodes or authenticates (app/http/edge.py does).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeAlias

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from app.person import Person, Right
from app.refusal import Refusal

BODY_BYTES_MAX: Final = 16 * 1024


class Reply(msgspec.Struct, frozen=True):
    """An answer: `body` is a msgspec value that becomes JSON, or bytes sent as they are, or None for no content."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = {}
    content_type: str = "application/json"


class Call(msgspec.Struct, frozen=True):
    """One request, already admitted and decoded.

    `body` is of the endpoint's `body` type (bytes when that is `bytes`); `person` is None for an anonymous call;
    `address` is the client's address as far as the trusted proxies allow to tell; `now_ms` is read once per call.
    """

    request: Request
    path: Mapping[str, str]
    body: Any
    person: Person | None
    address: str
    idempotency_key: str | None
    now_ms: int

    @property
    def signed_in(self) -> Person:
        """The person of a call whose right is SIGNED_IN or more."""
        assert self.person is not None
        return self.person


Action: TypeAlias = Callable[[Call], Awaitable[Reply | Refusal | Response]]


class Begun(msgspec.Struct, frozen=True, gc=False):
    """What has begun without a task: of what `waits` comes to, `tell` makes the outcome, or what has to be waited for
    on the way there; None where nothing has happened and the request is to be asked as any other.
    """

    waits: asyncio.Future[Any]
    tell: "Callable[[Any], Reply | Refusal | Begun | Awaitable[Reply | Refusal] | None]"


AtOnce: TypeAlias = Callable[[Person, Any, str, str], Begun | None]
"""As an action, for person, body, idempotency key and address; None where the action has to be asked."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One method on one path.

    `path` in Starlette's form (`/api/shows/{show}`); `body` a msgspec type, `bytes` for a raw body, None for none;
    `answer` the type of a 2xx body and `query` the names that it needs in the query, for OpenAPI; `idempotent`
    demands the Idempotency-Key header (missing: 400); `direct` answers before any routing (app/http/edge.py), where a
    path has no parameters and routing would cost as much as the work; some of these go quick (app/http/quick.py), and
    what `at_once` begins needs no task of its own.
    """

    method: str
    path: str
    right: Right
    action: Action
    summary: str
    body: Any = None
    answer: Any = None
    query: tuple[str, ...] = ()
    idempotent: bool = False
    direct: bool = False
    at_once: AtOnce | None = None
    body_bytes_max: int = BODY_BYTES_MAX
    content_types: tuple[str, ...] = ("application/json",)


class Gatekeeper(Protocol):
    """Implemented by accounts: proves who calls and whether the right holds in the request's scope."""

    async def identify(self, request: Request) -> Person | None:
        """The person of a valid session cookie or bearer, else None."""

    async def find(self, secret: str) -> Person | None:
        """The person of the session with this secret, else None."""

    def known(self, right: Right, secret: str) -> Person | None:
        """As `find`, of whom nobody has to be asked for, and who holds `right` wherever it is needed; else None."""

    def look_up(self, right: Right, secret: str) -> asyncio.Future[Sequence[Person | None]] | None:
        """As `find`, alone in a list, of who holds `right` wherever it is needed; None where more has to be asked."""

    async def refuse(self, right: Right, person: Person | None, scope: Mapping[str, str]) -> Refusal | None:
        """None when `person` holds `right` in `scope` ({"show": id} and the like), else why not."""
