"""The short way through a door, for who comes as a page of ours does: by session cookie, with a key and a JSON body.

Owns no check and no refusal of its own: whatever is unusual about a request sends it the long way (app/http/door.py),
which asks everything in its order. The usual is read from the head as it came, in one pass, and a plain answer goes
out in one piece; it is the same answer.
"""

import hmac
import re
from typing import Any, Final

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app import clock
from app.http.body import decode_body, read_chunks
from app.http.credentials import SESSION_COOKIE, csrf_token
from app.http.door import Door, failed, key_fits, respond, response_of
from app.http.endpoint import Call, Endpoint, Reply
from app.http.headers import HEAD_LINES
from app.http.request_protocol import WHOLE
from app.person import Person, Right
from app.refusal import Refusal

_COOKIE: Final = re.compile(SESSION_COOKIE.encode() + rb"=([A-Za-z0-9_-]{43})")
_UNUSUAL: Final = frozenset({b"authorization", b"transfer-encoding", b"expect"})
_JSON: Final = b"application/json"
_TYPE: Final = (b"content-type", _JSON)
_TYPE_LINE: Final = b"%b: %b\r\n" % _TYPE


def goes_quick(endpoint: Endpoint) -> bool:
    """Whether the endpoint's usual request is of the kind that the short way knows."""
    return endpoint.direct and endpoint.method == "POST" and endpoint.right is Right.SIGNED_IN and endpoint.idempotent


class QuickDoor(Door):
    """A door with a short way to the endpoint behind it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, whatever happens in it."""
        endpoint = self.endpoints.get(scope["method"])
        head: dict[bytes, bytes] = dict(scope["headers"])
        if endpoint is None or not _is_usual(scope, head, endpoint):
            await super().__call__(scope, receive, send)
            return
        request = Request(scope, receive)
        outcome: Reply | Refusal | Response | None
        try:
            outcome = await self._answer_usual(request, head, endpoint)
        except ClientDisconnect:
            return
        except Exception as failure:  # noqa: BLE001 the outermost boundary: the caller learns no internals
            outcome = failed(request, failure)
        if outcome is None:
            await super().__call__(scope, receive, send)
        elif isinstance(outcome, Reply) and _is_plain(outcome):
            await _send(scope, send, outcome)
        else:
            await respond(response_of(outcome), scope, receive, send)

    async def _answer_usual(
        self, request: Request, head: dict[bytes, bytes], endpoint: Endpoint
    ) -> Reply | Refusal | Response | None:
        """The action's outcome; None for the long way, and then nothing was read of the body."""
        person = await self._find(request, head)
        key = head.get(b"idempotency-key", b"").decode("latin-1")
        if person is None or not key_fits(key):
            return None
        whole = _whole(request.scope)
        raw = await read_chunks(request, endpoint.body_bytes_max) if whole is None else whole["body"]
        body = raw if isinstance(raw, Refusal) else decode_body(self.decoders[endpoint.method], raw)
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

    async def _find(self, request: Request, head: dict[bytes, bytes]) -> Person | None:
        """The person of the session cookie, whose CSRF token came along, and from an origin of ours."""
        cookie = _COOKIE.fullmatch(head.get(b"cookie", b""))
        if cookie is None or (b"origin" in head and not self.surroundings.origin_allowed(request)):
            return None
        secret = cookie.group(1).decode()
        if not hmac.compare_digest(head.get(b"x-csrf-token", b""), csrf_token(secret).encode()):
            return None
        return await self.gatekeeper.find(secret)


def _is_usual(scope: Scope, head: dict[bytes, bytes], endpoint: Endpoint) -> bool:
    length = head.get(b"content-length", b"")
    return (
        len(head) == len(scope["headers"])
        and not scope["query_string"]
        and _UNUSUAL.isdisjoint(head)
        and head.get(b"content-type") == _JSON
        and length.isdigit()
        and int(length) <= endpoint.body_bytes_max
    )


def _is_plain(reply: Reply) -> bool:
    return reply.body is not None and not isinstance(reply.body, bytes) and not reply.headers


def _whole(scope: Scope) -> Any | None:
    """What the protocol offers for a request that is all there."""
    return scope.get("extensions", {}).get(WHOLE)


async def _send(scope: Scope, send: Send, reply: Reply) -> None:
    """The answer, in one write where that can be done and nothing of its head is missing."""
    body = msgspec.json.encode(reply.body)
    lines, whole = scope.get(HEAD_LINES), _whole(scope)
    if lines is not None and whole is not None and whole["answer"](reply.status, _TYPE_LINE + lines, body):
        return
    headers = [_TYPE, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
