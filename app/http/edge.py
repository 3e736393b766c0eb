"""The HTTP edge: turns the table of endpoints into routes, and stands at each door.

Owns the order of the checks (method, origin, person, right, CSRF, key, body) and how failures look on the wire. It
never knows what an endpoint does, nor whether a right holds: accounts' Gatekeeper tells.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import msgspec
import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from app import clock
from app.http.body import content_type_refused, decode_body, read_body, strict_decoder
from app.http.credentials import by_cookie, csrf_holds
from app.http.endpoint import Call, Endpoint, Gatekeeper, Reply
from app.http.origin_rules import client_address, client_scheme, host_believable, networks, origin_allowed
from app.http.pages import lost_page
from app.http.problems import problem_response
from app.outage import is_outage
from app.person import Person, Right
from app.refusal import Refusal
from app.settings import Settings

KEY_LENGTH_MAX: Final = 255
RETRY_AFTER_MS: Final = 1000
_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_PATH_SCOPE: Final = ("show", "product", "shop")
_BODY_SCOPE: Final = ("show", "shop")
_NEEDS_PERSON: Final = frozenset({Right.SIGNED_IN, Right.SHOW_STAFF, Right.SHOW_HOST, Right.SHOP_HOST})
_NOT_FOUND: Final = Refusal("not_found", "There is nothing at this address.")
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
        return client_address(self._peer(request), request.headers.get("x-forwarded-for"), self._trusted)

    def scheme(self, request: HTTPConnection) -> str:
        """The scheme, http or https, as the client used it."""
        forwarded = request.headers.get("x-forwarded-proto")
        return client_scheme(request.url.scheme, forwarded, self._peer(request), self._trusted)

    def origin_allowed(self, request: HTTPConnection) -> bool:
        """Whether the Origin, when present, is our own or on the list."""
        origin = request.headers.get("origin")
        if origin is None:
            return True
        host = request.headers.get("host", "")
        return origin_allowed(
            origin,
            scheme=self.scheme(request),
            host=host if host_believable(host, self._peer(request), self._trusted) else "",
            allowed=self._allowed,
        )


class Door:
    """The ASGI application of one path: all its methods, and every check before an action."""

    def __init__(self, endpoints: Sequence[Endpoint], gatekeeper: Gatekeeper, surroundings: Surroundings) -> None:
        self.endpoints = {one.method: one for one in endpoints}
        self._decoders = {
            one.method: strict_decoder(one.body) for one in endpoints if one.body is not None and one.body is not bytes
        }
        self._gatekeeper = gatekeeper
        self._surroundings = surroundings
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
            answer = _failed(request, failure)
        if isinstance(answer, Refusal):
            answer = problem_response(answer)
        await answer(scope, receive, send)

    async def _answer(self, request: Request) -> Response | Refusal:
        endpoint = self.endpoints.get(request.method)
        if endpoint is None and request.method == "HEAD":
            endpoint = self.endpoints.get("GET")
        if endpoint is None:
            refusal = Refusal("method_not_allowed", f"This address takes {self._allow}.")
            return problem_response(refusal, {"Allow": self._allow})
        if not all(_ID.fullmatch(value) for value in request.path_params.values()):
            return _NOT_FOUND
        person = await self._admit(endpoint, request)
        if isinstance(person, Refusal):
            return person
        key = request.headers.get("idempotency-key")
        if endpoint.idempotent and not (key and len(key) <= KEY_LENGTH_MAX and key.isascii() and key.isprintable()):
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
                address=self._surroundings.address(request),
                idempotency_key=key if endpoint.idempotent else None,
                now_ms=clock.now_ms(),
            )
        )
        return _response_of(outcome)

    async def _admit(self, endpoint: Endpoint, request: Request) -> Person | Refusal | None:
        """The person behind the request, with every check that needs no body; None for an anonymous call."""
        writes = request.method not in _READS
        own_origin = self._surroundings.origin_allowed(request)
        if endpoint.right is Right.MEDIA_BEARER:
            # Players and encoders on other sites may come with a bearer of their own, but not with our cookie.
            return await self._gatekeeper.identify(request) if own_origin else None
        if writes and not own_origin:
            return Refusal("foreign_origin", "This request comes from a page of another site.")
        person = await self._gatekeeper.identify(request)
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
        body = decode_body(self._decoders[endpoint.method], raw)
        if isinstance(body, Refusal) or not late_scope:
            return body
        named = {name: getattr(body, name, None) for name in _BODY_SCOPE}
        scope = _scope_of({name: value for name, value in named.items() if isinstance(value, str)}, _BODY_SCOPE)
        refused = await self._refuse(endpoint.right, person, scope or _query_scope(request))
        return body if refused is None else refused

    async def _refuse(self, right: Right, person: Person | None, scope: Mapping[str, str]) -> Refusal | None:
        if not all(_ID.fullmatch(value) for value in scope.values()):
            return _NOT_FOUND
        return await self._gatekeeper.refuse(right, person, scope)


def _scope_of(named: Mapping[str, str], order: Iterable[str]) -> dict[str, str]:
    """The first of the names that is there, as a scope of one."""
    for name in order:
        if name in named:
            return {name: named[name]}
    return {}


def _query_scope(request: Request) -> dict[str, str]:
    shop = request.query_params.get("shop")
    return {} if shop is None else {"shop": shop}


def _response_of(outcome: Reply | Refusal | Response) -> Response | Refusal:
    if not isinstance(outcome, Reply):
        return outcome
    if outcome.body is None:
        return Response(status_code=204 if outcome.status == 200 else outcome.status, headers=outcome.headers)
    if isinstance(outcome.body, bytes):
        return Response(outcome.body, outcome.status, outcome.headers, outcome.content_type)
    return Response(msgspec.json.encode(outcome.body), outcome.status, outcome.headers, outcome.content_type)


def _failed(request: Request, failure: Exception) -> Refusal:
    where = {"method": request.method, "path": request.url.path}
    if is_outage(failure):
        _log.warning("infrastructure_away", error=repr(failure), **where)
        return Refusal("unavailable", "A part of the service is restarting; try again.", retry_after_ms=RETRY_AFTER_MS)
    _log.error("request_failed", exc_info=failure, **where)
    return Refusal("internal", "Something broke on our side; it has been noted.")


def build_routes(endpoints: Sequence[Endpoint], gatekeeper: Gatekeeper, settings: Settings) -> list[Route]:
    """One route a path, literal paths before those with parameters. Two endpoints for one method: AssertionError."""
    surroundings = Surroundings(settings)
    by_path: dict[str, list[Endpoint]] = {}
    for one in endpoints:
        assert all(one.method != other.method for other in by_path.get(one.path, ())), f"{one.method} {one.path} twice"
        by_path.setdefault(one.path, []).append(one)
    paths = sorted(by_path, key=lambda path: (path.count("{"), path))
    return [Route(path, Door(by_path[path], gatekeeper, surroundings)) for path in paths]


def _is_direct(app: Any) -> bool:
    """Whether all that stands behind a route is to be answered without it."""
    return isinstance(app, Door) and all(one.direct and "{" not in one.path for one in app.endpoints.values())


class _Application(Starlette):
    """Starlette, in front of which stand the doors of paths that do not wait for routing: the same doors, with the
    same checks, that the routes lead to.
    """

    doors: Mapping[str, ASGIApp] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        door = self.doors.get(scope["path"]) if scope["type"] == "http" else None
        if door is None:
            await super().__call__(scope, receive, send)
            return
        scope["path_params"] = {}
        await door(scope, receive, send)


Lifespan = Callable[[Any], AbstractAsyncContextManager[None]]


def build_asgi(routes: Sequence[BaseRoute], lifespan: Lifespan | None = None) -> Starlette:
    """The application over the routes: an unknown path is a problem or a page, and no slash is ever redirected."""

    async def not_found(request: Request, failure: Exception) -> Response:
        del failure
        return await lost_page(request) or problem_response(_NOT_FOUND)

    async def wrong(request: Request, failure: Exception) -> Response:
        return problem_response(_failed(request, failure))

    handlers: Mapping[Any, Any] = {404: not_found, HTTPException: not_found, Exception: wrong}
    application = _Application(routes=list(routes), exception_handlers=handlers, lifespan=lifespan)
    application.router.redirect_slashes = False
    application.doors = {
        route.path: route.app for route in routes if isinstance(route, Route) and _is_direct(route.app)
    }
    return application
