"""Security headers on every answer: an ASGI shell around the whole application.

Owns the policy (what a page may load, frame and ask the browser for; what may be cached). A response that sets one
of these headers itself keeps its own.
"""

import re
from collections.abc import Sequence
from typing import Final

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HSTS_S: Final = 365 * 24 * 3600
_HOSTS_KEPT_MAX: Final = 256
_HOST: Final = re.compile(r"[A-Za-z0-9._-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")
_FIXED: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": (
        "camera=(self), microphone=(self), display-capture=(self), autoplay=(self), fullscreen=(self), "
        "geolocation=(), payment=(), usb=(), serial=(), midi=()"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",  # personal unless its author says otherwise
}


class Guests(msgspec.Struct, frozen=True):
    """Other sites that pages below `prefix` may use, as sources of the policy."""

    prefix: str
    scripts: str
    frames: str
    connections: str


def content_security_policy(host: str, guests: Guests | None = None) -> str:
    """The policy of every page. Older browsers do not count sockets as 'self', so the host is named for them."""
    sockets = f" ws://{host} wss://{host}" if _HOST.fullmatch(host) else ""
    scripts = f" {guests.scripts}" if guests else ""
    connections = f" {guests.connections}" if guests else ""
    frames = f"frame-src {guests.frames}; " if guests else ""
    return (
        f"default-src 'self'; script-src 'self'{scripts}; style-src 'self'; object-src 'none'; {frames}"
        "img-src 'self' data: blob:; media-src 'self' blob:; "
        f"connect-src 'self'{sockets}{connections}; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    )


class _Lines(msgspec.Struct, frozen=True):
    """Headers, and the same as they go over the wire."""

    headers: list[tuple[bytes, bytes]]
    encoded: bytes


def _lines(headers: list[tuple[bytes, bytes]]) -> _Lines:
    return _Lines(headers, b"".join(b"%b: %b\r\n" % one for one in headers))


class SecurityHeaders:
    """Wraps an ASGI application. `tls` says that people reach it by https, so browsers may be told to insist.

    `guests` is the one exception in the policy of some pages.
    """

    def __init__(self, app: ASGIApp, *, tls: bool, guests: Guests | None = None) -> None:
        self.app = app
        self._guests = guests
        self._fixed = {**_FIXED, "Strict-Transport-Security": f"max-age={HSTS_S}"} if tls else _FIXED
        self._names = {name.lower().encode() for name in (*self._fixed, "Content-Security-Policy")}
        self._known: dict[tuple[bytes, bool], _Lines] = {}  # by host, and whether guests are welcome

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on and completes the headers of its answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        lines = self._lines_of(scope)

        async def complete(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = list(message.get("headers", ()))
                message["headers"] = given + self._beside(given, lines).headers
            await send(message)

        await self.app(scope, receive, complete)

    def lines_beside(self, given: Sequence[tuple[bytes, bytes]], scope: Scope) -> bytes:
        """What completes a head that has the headers `given`, as it goes over the wire: for who answers past us."""
        return self._beside(given, self._lines_of(scope)).encoded

    def lines_for(self, host: bytes, path: str) -> bytes:
        """The same where the head has nothing of ours, by what was asked."""
        return self._lines_for(host, path).encoded

    def _beside(self, given: Sequence[tuple[bytes, bytes]], lines: _Lines) -> _Lines:
        names = {name.lower() for name, _ in given}
        if names.isdisjoint(self._names):
            return lines
        return _lines([one for one in lines.headers if one[0] not in names])

    def _lines_of(self, scope: Scope) -> _Lines:
        """What every answer to this host and address has: the same few for all requests."""
        host = b""
        for name, value in scope["headers"]:
            if name == b"host":
                host = value
                break
        return self._lines_for(host, scope["path"])

    def _lines_for(self, host: bytes, path: str) -> _Lines:
        welcome = self._guests is not None and path.startswith(self._guests.prefix)
        known = self._known.get((host, welcome))
        if known is None:
            policy = content_security_policy(host.decode("latin-1"), self._guests if welcome else None)
            named = {**self._fixed, "Content-Security-Policy": policy}
            known = _lines([(name.lower().encode(), value.encode("latin-1")) for name, value in named.items()])
            if len(self._known) >= _HOSTS_KEPT_MAX:
                self._known.clear()
            self._known[host, welcome] = known
        return known
