"""The HTTP edge: turns the table of endpoints into routes, and what nobody answers into a problem or a page.

Owns the application around the doors (app/http/door.py), which do all that is done about a request.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from app.http.door import NOT_FOUND, Door, Surroundings, failed
from app.http.endpoint import Endpoint, Gatekeeper
from app.http.pages import lost_page
from app.http.problems import problem_response
from app.http.quick import QuickDoor, goes_quick
from app.settings import Settings


def build_routes(endpoints: Sequence[Endpoint], gatekeeper: Gatekeeper, settings: Settings) -> list[Route]:
    """One route a path, literal paths before those with parameters. Two endpoints for one method: AssertionError."""
    surroundings = Surroundings(settings)
    by_path: dict[str, list[Endpoint]] = {}
    for one in endpoints:
        assert all(one.method != other.method for other in by_path.get(one.path, ())), f"{one.method} {one.path} twice"
        by_path.setdefault(one.path, []).append(one)
    paths = sorted(by_path, key=lambda path: (path.count("{"), path))
    return [Route(path, _door_of(by_path[path])(by_path[path], gatekeeper, surroundings)) for path in paths]


def _door_of(endpoints: Sequence[Endpoint]) -> type[Door]:
    return QuickDoor if any(goes_quick(one) for one in endpoints) else Door


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
        return await lost_page(request) or problem_response(NOT_FOUND)

    async def wrong(request: Request, failure: Exception) -> Response:
        return problem_response(failed(request.method, request.url.path, failure))

    handlers: Mapping[Any, Any] = {404: not_found, HTTPException: not_found, Exception: wrong}
    application = _Application(routes=list(routes), exception_handlers=handlers, lifespan=lifespan)
    application.router.redirect_slashes = False
    application.doors = {
        route.path: route.app for route in routes if isinstance(route, Route) and _is_direct(route.app)
    }
    return application
