"""A door: what stands between a request on one path and the action that answers it.

Owns the order of the checks (method, origin, person, right, CSRF, key, body) and how failures look on the wire. It
never knows what an endpoint does, nor whether a right holds: accounts' Gatekeeper tells.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
import structlog
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app import clock
from app.http.body import content_type_refused, decode_body, read_body, strict_decoder
from app.http.credentials import by_cookie, csrf_holds
from app.http.endpoint import Call, Endpoint, Gatekeeper, Reply
from app.http.origin_rules import client_address, client_scheme, host_believable, networks, origin_allowed
from app.http.problems import problem_response
from app.outage import is_outage
from app.person import Person, Right
from app.refusal import Refusal
from app.settings import Settings

KEY_LENGTH_MAX: Final = 255
RETRY_AFTER_MS: Final = 1000
_ORIGIN_HEAD: Final = (b"origin", b"host", b"x-forwarded-proto")
_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_PATH_SCOPE: Final = ("show", "product", "shop")
_BODY_SCOPE: Final = ("show", "shop")
_NEEDS_PERSON: Final = frozenset({Right.SIGNED_IN, Right.SHOW_STAFF, Right.SHOW_HOST, Right.SHOP_HOST})
NOT_FOUND: Final = Refusal("not_found", "There is nothing at this address.")
_SIGN_IN: Final = Refusal("sign_in", "Sign in first.")

_log = structlog.get_logger("hawker.http")


class Surroundings:
    """What the edge knows of a request beyond its own words: origin and address, by the settings' proxies."""

    def __init__(self, settings: Settings) -> None:
        self._allowed = settings.allowed_origins
        self._trusted = networks(settings.trusted_proxies)

    @staticmethod
    def _peer(request: HTTPConnection) -> str:
        return request.client.host if request.client else ""

    def address(self, request: HTTPConnection) -> str:
        """The client's address; empty when the peer has none (a unix socket)."""
        return self.address_of(self._peer(request), request.headers.get("x-forwarded-for"))

    def address_of(self, peer: str, forwarded: str | None) -> str:
        """The same of what a request says: its peer, and its X-Forwarded-For."""
        return client_address(peer, forwarded, self._trusted) if self._trusted else peer

    def scheme(self, request: HTTPConnection) -> str:
        """The scheme, http or https, as the client used it."""
        forwarded = request.headers.get("x-forwarded-proto")
        return client_scheme(request.url.scheme, forwarded, self._peer(request), self._trusted)

    def origin_allowed(self, request: HTTPConnection) -> bool:
        """Whether the Origin, when present, is our own or on the list."""
        head, peer = request.headers, self._peer(request)
        return self.is_own(head.get("origin"), head.get("host", ""), self.scheme(request), peer)

    def origin_allowed_of(self, head: Mapping[bytes, bytes], scheme: str, peer: str) -> bool:
        """The same of what a request says: its head, the connection's scheme, and its peer."""
        said = {name: head[name].decode("latin-1") for name in _ORIGIN_HEAD if name in head}
        scheme = client_scheme(scheme, said.get(b"x-forwarded-proto"), peer, self._trusted)
        return self.is_own(said.get(b"origin"), said.get(b"host", ""), scheme, peer)

    def is_own(self, origin: str | None, host: str, scheme: str, peer: str) -> bool:
        """Whether an origin is our own, as the client called us, or on the list."""
        if origin is None:
            return True
        believed = host if host_believable(host, peer, self._trusted) else ""
        return origin_allowed(origin, scheme=scheme, host=believed, allowed=self._allowed)


class Door:
    """The ASGI application of one path: all its methods, and every check before an action."""

    def __init__(self, endpoints: Sequence[Endpoint], gatekeeper: Gatekeeper, surroundings: Surroundings) -> None:
        self.endpoints = {one.method: one for one in endpoints}
        self.decoders = {
            one.method: strict_decoder(one.body) for one in endpoints if one.body is not None and one.body is not bytes
        }
        self.gatekeeper = gatekeeper
        self.surroundings = surroundings
        methods = set(self.endpoints)
        self._allow = ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, whatever happens in it."""
        request = Request(scope, receive)
        try:
            answer = await self._answer(request)
        except ClientDisconnect:
            return
        except Exception as failure:  # noqa: BLE001 the outermost boundary: the caller learns no internals
            answer = failed(request.method, request.url.path, failure)
        await respond(answer, scope, receive, send)

    async def _answer(self, request: Request) -> Response | Refusal:
        endpoint = self.endpoints.get(request.method)
        if endpoint is None and request.method == "HEAD":
            endpoint = self.endpoints.get("GET")
        if endpoint is None:
            refusal = Refusal("method_not_allowed", f"This address takes {self._allow}.")
            return problem_response(refusal, {"Allow": self._allow})
        if not all(_ID.fullmatch(value) for value in request.path_params.values()):
            return NOT_FOUND
        person = await self._admit(endpoint, request)
        if isinstance(person, Refusal):
            return person
        key = request.headers.get("idempotency-key")
        if endpoint.idempotent and not key_fits(key):
            message = f"Send an Idempotency-Key header of 1 to {KEY_LENGTH_MAX} printable ASCII characters."
            return Refusal("idempotency_key", message)
        body = await self._body(endpoint, request, person)
        if isinstance(body, Refusal):
            return body
        outcome = await endpoint.action(
            Call(
                request=request,
                path=request.path_params,
                body=body,
                person=person,
                address=self.surroundings.address(request),
                idempotency_key=key if endpoint.idempotent else None,
                now_ms=clock.now_ms(),
            )
        )
        return response_of(outcome)

    async def _admit(self, endpoint: Endpoint, request: Request) -> Person | Refusal | None:
        """The person behind the request, with every check that needs no body; None for an anonymous call."""
        writes = request.method not in _READS
        own_origin = self.surroundings.origin_allowed(request)
        if endpoint.right is Right.MEDIA_BEARER:
            # Players and encoders on other sites may come with a bearer of their own, but not with our cookie.
            return await self.gatekeeper.identify(request) if own_origin else None
        if writes and not own_origin:
            return Refusal("foreign_origin", "This request comes from a page of another site.")
        person = await self.gatekeeper.identify(request)
        if person is None and endpoint.right in _NEEDS_PERSON:
            return _SIGN_IN
        if writes and person is not None and by_cookie(request) and not csrf_holds(request):
            return Refusal("csrf", "Send the session's token in the X-CSRF-Token header.")
        scope = _scope_of(request.path_params, _PATH_SCOPE)
        if scope or endpoint.body is None:
            refused = await self._refuse(endpoint.right, person, scope or _query_scope(request))
            if refused is not None:
                return refused
        return person

    async def _body(self, endpoint: Endpoint, request: Request, person: Person | None) -> Any | Refusal:
        """The decoded body, once the right holds in the scope that only the body or the query names."""
        if endpoint.body is None:
            return None
        late_scope = endpoint.right is not Right.MEDIA_BEARER and not _scope_of(request.path_params, _PATH_SCOPE)
        if late_scope and endpoint.body is bytes:
            refused = await self._refuse(endpoint.right, person, _query_scope(request))
            if refused is not None:
                return refused
        refused = content_type_refused(endpoint, request)
        if refused is not None:
            return refused
        raw = await read_body(request, endpoint.body_bytes_max)
        if isinstance(raw, Refusal) or endpoint.body is bytes:
            return raw
        body = decode_body(self.decoders[endpoint.method], raw)
        if isinstance(body, Refusal) or not late_scope:
            return body
        refused = await self.refuse_in_body(endpoint.right, person, body, _query_scope(request))
        return body if refused is None else refused

    @staticmethod
    def scope_fits(body: Any) -> bool:
        """Whether the scope that the body names, if any, is spelled as ids are."""
        named = (getattr(body, name, None) for name in _BODY_SCOPE)
        return all(_ID.fullmatch(value) for value in named if isinstance(value, str))

    async def refuse_in_body(
        self, right: Right, person: Person | None, body: Any, query: Mapping[str, str]
    ) -> Refusal | None:
        """Whether the right holds in the scope that the body names, else in the query's."""
        for name in _BODY_SCOPE:
            value = getattr(body, name, None)
            if isinstance(value, str):
                return await self._refuse(right, person, {name: value})
        return await self._refuse(right, person, query)

    async def _refuse(self, right: Right, person: Person | None, scope: Mapping[str, str]) -> Refusal | None:
        if not all(_ID.fullmatch(value) for value in scope.values()):
            return NOT_FOUND
        return await self.gatekeeper.refuse(right, person, scope)


def _scope_of(named: Mapping[str, str], order: Iterable[str]) -> dict[str, str]:
    """The first of the names that is there, as a scope of one."""
    for name in order:
        if name in named:
            return {name: named[name]}
    return {}


def _query_scope(request: Request) -> dict[str, str]:
    shop = request.query_params.get("shop")
    return {} if shop is None else {"shop": shop}


async def respond(answer: Response | Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    """Sends the answer."""
    response = problem_response(answer) if isinstance(answer, Refusal) else answer
    await response(scope, receive, send)


def key_fits(key: str | None) -> bool:
    """Whether it may be an idempotency key."""
    return bool(key) and key is not None and len(key) <= KEY_LENGTH_MAX and key.isascii() and key.isprintable()


def response_of(outcome: Reply | Refusal | Response) -> Response | Refusal:
    """An action's outcome as it is sent."""
    if not isinstance(outcome, Reply):
        return outcome
    if outcome.body is None:
        return Response(status_code=204 if outcome.status == 200 else outcome.status, headers=outcome.headers)
    if isinstance(outcome.body, bytes):
        return Response(outcome.body, outcome.status, outcome.headers, outcome.content_type)
    return Response(msgspec.json.encode(outcome.body), outcome.status, outcome.headers, outcome.content_type)


def failed(method: str, path: str, failure: Exception) -> Refusal:
    """What the caller learns of a failure; the log learns all."""
    where = {"method": method, "path": path}
    if is_outage(failure):
        _log.warning("infrastructure_away", error=repr(failure), **where)
        return Refusal("unavailable", "A part of the service is restarting; try again.", retry_after_ms=RETRY_AFTER_MS)
    _log.error("request_failed", exc_info=failure, **where)
    return Refusal("internal", "Something broke on our side; it has been noted.")
