"""The short way to a door, for who comes as our pages do: by session cookie, with a key and a JSON body.

Owns no check and no refusal of its own: whatever is unusual about a request sends it the long way (app/http/door.py),
which asks everything in its order. The usual comes whole from the protocol (app/http/whole_request.py), past ASGI and
all that stands around the doors, and goes back in one piece; it is the same answer.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Scope

from app import clock
from app.http.body import decode_body
from app.http.credentials import csrf_token, secret_in
from app.http.door import Door, Surroundings, failed, key_fits, response_of
from app.http.endpoint import AtOnce, Begun, Call, Endpoint, Gatekeeper, Reply
from app.http.headers import SecurityHeaders
from app.http.problems import problem_response
from app.http.whole_request import Tell, WholeAnswer, WholeRequest
from app.person import Person, Right
from app.refusal import Refusal

_JSON: Final = b"application/json"
_TYPE_LINE: Final = b"content-type: application/json\r\n"
_LENGTH: Final = b"content-length"
_PROOFS_MAX: Final = 4096
_COOKIES_KEPT_MAX: Final = 1024  # bytes of a header that is kept with its proof
_encode: Final = msgspec.json.Encoder().encode


def goes_quick(endpoint: Endpoint) -> bool:
    """Whether the endpoint's usual request is of the kind that the short way knows."""
    return endpoint.direct and endpoint.method == "POST" and endpoint.right is Right.SIGNED_IN and endpoint.idempotent


class QuickDoor(Door):
    """A door whose usual request, a POST that goes quick, is answered without being asked as ASGI does."""

    def __init__(self, endpoints: Sequence[Endpoint], gatekeeper: Gatekeeper, surroundings: Surroundings) -> None:
        super().__init__(endpoints, gatekeeper, surroundings)
        self._proofs: dict[bytes, tuple[str, bytes]] = {}

    def takes(self, asked: WholeRequest) -> bool:
        """Whether the request is usual."""
        head = asked.head
        return (
            head.get(b"content-type") == _JSON
            and b"authorization" not in head
            and len(asked.body) + asked.lacks <= self.endpoints["POST"].body_bytes_max
        )

    def begin_usual(self, asked: WholeRequest, peer: str, scope_of: Callable[[], Scope]) -> Begun | None:
        """What the action begins, if need be once it is known who calls; None for `answer_usual`."""
        endpoint, head = self.endpoints["POST"], asked.head
        if endpoint.at_once is None:
            return None
        secret = self._secret(head, scope_of)
        key = head.get(b"idempotency-key", b"").decode("latin-1")
        if secret is None or not key_fits(key):
            return None
        body = decode_body(self.decoders["POST"], asked.body)
        if isinstance(body, Refusal) or not self.scope_fits(body):
            return None
        forwarded = head.get(b"x-forwarded-for")
        address = self.surroundings.address_of(peer, None if forwarded is None else forwarded.decode("latin-1"))
        person = self.gatekeeper.known(endpoint.right, secret)
        if person is not None:
            return endpoint.at_once(person, body, key, address)
        found = self.gatekeeper.look_up(endpoint.right, secret)
        return None if found is None else Begun(found, partial(_begin_for, endpoint.at_once, body, key, address))

    async def answer_usual(self, request: Request, asked: WholeRequest) -> Reply | Refusal | Response | None:
        """The action's outcome; None for the long way, and then nothing has happened."""
        endpoint = self.endpoints["POST"]
        secret = self._secret(asked.head, lambda: request.scope)
        person = None if secret is None else await self.gatekeeper.find(secret)
        key = asked.head.get(b"idempotency-key", b"").decode("latin-1")
        if person is None or not key_fits(key):
            return None
        body = decode_body(self.decoders[endpoint.method], asked.body)
        if isinstance(body, Refusal):
            return body
        refused = await self.refuse_in_body(endpoint.right, person, body, {})
        if refused is not None:
            return refused
        return await endpoint.action(
            Call(
                request=request,
                path={},
                body=body,
                person=person,
                address=self.surroundings.address(request),
                idempotency_key=key,
                now_ms=clock.now_ms(),
            )
        )

    def _secret(self, head: dict[bytes, bytes], scope_of: Callable[[], Scope]) -> str | None:
        """The secret of the session cookie, whose CSRF token came along, and from an origin of ours."""
        secret, token = self._proof(head.get(b"cookie", b""))
        if not secret or not hmac.compare_digest(head.get(b"x-csrf-token", b""), token):
            return None
        if b"origin" in head:
            scope = scope_of()
            peer = scope["client"][0] if scope["client"] else ""
            if not self.surroundings.origin_allowed_of(head, scope["scheme"], peer):
                return None
        return secret

    def _proof(self, cookie: bytes) -> tuple[str, bytes]:
        """The secret in a cookie, and the CSRF token that belongs to it; nothing when there is none. Who buys comes
        again, and what follows from a secret never changes.
        """
        known = self._proofs.get(cookie)
        if known is not None:
            return known
        secret = secret_in(cookie.decode("latin-1"))
        if secret is None:
            return "", b""
        known = secret, csrf_token(secret).encode()
        if len(cookie) <= _COOKIES_KEPT_MAX:
            if len(self._proofs) >= _PROOFS_MAX:
                self._proofs.clear()
            self._proofs[cookie] = known
        return known


class QuickWay:
    """The short way (whole_request.ShortWay) to the quick doors of an application, by path, within its shell."""

    def __init__(self, doors: Mapping[str, QuickDoor], shell: SecurityHeaders) -> None:
        self._doors = doors
        self._shell = shell

    def takes(self, asked: WholeRequest) -> bool:
        """As ShortWay's."""
        door = self._doors.get(asked.path)
        return door is not None and door.takes(asked)

    def begin(self, asked: WholeRequest, peer: str, scope_of: Callable[[], Scope], tell: Tell) -> bool:
        """As ShortWay's."""
        try:
            begun = self._doors[asked.path].begin_usual(asked, peer, scope_of)
        except Exception as failure:  # noqa: BLE001 as in `answer`
            asyncio.get_running_loop().call_soon(tell, self._failed(asked, scope_of, failure))
            return True
        if begun is not None:
            begun.waits.add_done_callback(partial(self._tell, asked, scope_of, tell, begun))
        return begun is not None

    def _tell(
        self,
        asked: WholeRequest,
        scope_of: Callable[[], Scope],
        tell: Tell,
        begun: Begun,
        waits: asyncio.Future[Any],
    ) -> None:
        """Makes the answer of what was begun, and tells it."""
        try:
            outcome = begun.tell(waits.result())
            answer: WholeAnswer | Awaitable[WholeAnswer | None]
            if isinstance(outcome, Reply) and _is_plain(outcome):
                lines = _TYPE_LINE + self._shell.lines_for(asked.head[b"host"], asked.path)
                answer = WholeAnswer(outcome.status, lines, _encode(outcome.body))
            elif isinstance(outcome, Begun):
                outcome.waits.add_done_callback(partial(self._tell, asked, scope_of, tell, outcome))
                return
            elif outcome is None:
                answer = self.answer(asked, scope_of())
            else:
                answer = self._awaited(asked, scope_of, outcome)
        except Exception as failure:  # noqa: BLE001 as in `answer`
            answer = self._failed(asked, scope_of, failure)
        tell(answer)

    async def _awaited(
        self,
        asked: WholeRequest,
        scope_of: Callable[[], Scope],
        outcome: Reply | Refusal | Awaitable[Reply | Refusal],
    ) -> WholeAnswer:
        try:
            said = outcome if isinstance(outcome, Reply | Refusal) else await outcome
            return self._answer_of(said, scope_of())
        except Exception as failure:  # noqa: BLE001 as in `answer`
            return self._failed(asked, scope_of, failure)

    def _failed(self, asked: WholeRequest, scope_of: Callable[[], Scope], failure: Exception) -> WholeAnswer:
        return self._answer_of(failed("POST", asked.path, failure), scope_of())

    async def answer(self, asked: WholeRequest, scope: Scope) -> WholeAnswer | None:
        """As ShortWay's."""
        request = Request(scope, _nothing_more)
        try:
            outcome = await self._doors[asked.path].answer_usual(request, asked)
            return None if outcome is None else self._answer_of(outcome, scope)
        except Exception as failure:  # noqa: BLE001 the outermost boundary: the caller learns no internals
            return self._answer_of(failed("POST", asked.path, failure), scope)

    def _answer_of(self, outcome: Reply | Refusal | Response, scope: Scope) -> WholeAnswer:
        if isinstance(outcome, Reply) and _is_plain(outcome):
            lines = _TYPE_LINE + self._shell.lines_beside((), scope)
            return WholeAnswer(outcome.status, lines, _encode(outcome.body))
        answer = response_of(outcome)
        return self._said(problem_response(answer) if isinstance(answer, Refusal) else answer, scope)

    def _said(self, response: Response, scope: Scope) -> WholeAnswer:
        given = [one for one in response.raw_headers if one[0] != _LENGTH]
        lines = b"".join(b"%b: %b\r\n" % one for one in given)
        return WholeAnswer(response.status_code, lines + self._shell.lines_beside(given, scope), bytes(response.body))


def _begin_for(at_once: AtOnce, body: Any, key: str, address: str, found: Sequence[Person | None]) -> Begun | None:
    """What the action begins for who was looked up, if anybody was found."""
    return None if found[0] is None else at_once(found[0], body, key, address)


def short_way_of(app: ASGIApp) -> QuickWay | None:
    """The short way through an application, if it has one: it is that of build_asgi in its shell."""
    doors: Mapping[str, Any] = getattr(getattr(app, "app", None), "doors", {})
    quick = {path: door for path, door in doors.items() if isinstance(door, QuickDoor)}
    return QuickWay(quick, app) if isinstance(app, SecurityHeaders) and quick else None


async def _nothing_more() -> Message:
    return {"type": "http.disconnect"}


def _is_plain(reply: Reply) -> bool:
    return reply.body is not None and not isinstance(reply.body, bytes) and not reply.headers
