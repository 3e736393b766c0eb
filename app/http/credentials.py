"""What a request carries to prove who calls: the session cookie, a bearer, and the CSRF token derived from it.

Owns the cookie's name and shape and the derivation. It never looks a session up (app/accounts does).
"""

import hmac
import re
from collections.abc import Mapping
from typing import Final

from starlette.requests import HTTPConnection, cookie_parser

SESSION_COOKIE: Final = "__Host-hawker"
CSRF_HEADER: Final = "x-csrf-token"
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{43}")


def cookie_secret(connection: HTTPConnection) -> str | None:
    """The session secret of the cookie, None when there is none of the right shape."""
    return _secret_of(connection.cookies)


def secret_in(cookies: str) -> str | None:
    """The same of a whole Cookie header, when a request has one."""
    return _secret_of(cookie_parser(cookies))


def _secret_of(cookies: Mapping[str, str]) -> str | None:
    value = cookies.get(SESSION_COOKIE, "")
    return value if _SECRET.fullmatch(value) else None


def bearer(connection: HTTPConnection) -> str | None:
    """The token of `Authorization: Bearer …`, None without one."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def by_cookie(connection: HTTPConnection) -> bool:
    """Whether the browser attached the proof by itself. An Authorization header, good or bad, is a choice."""
    return "authorization" not in connection.headers and cookie_secret(connection) is not None


def csrf_token(secret: str) -> str:
    """The CSRF token of a session: an HMAC-SHA256 under the session's secret, so it lives and ends with it."""
    return hmac.digest(secret.encode(), b"hawker csrf", "sha256").hex()


def csrf_holds(connection: HTTPConnection) -> bool:
    """Whether the request repeats its cookie session's CSRF token in X-CSRF-Token. Compared in constant time."""
    secret = cookie_secret(connection)
    sent = connection.headers.get(CSRF_HEADER, "")
    return secret is not None and hmac.compare_digest(sent.encode(), csrf_token(secret).encode())


def set_cookie(secret: str, max_age_s: int) -> str:
    """The Set-Cookie value that signs a browser in."""
    return f"{SESSION_COOKIE}={secret}; Path=/; Max-Age={max_age_s}; HttpOnly; Secure; SameSite=Lax"


def clear_cookie() -> str:
    """The Set-Cookie value that forgets the session."""
    return f"{SESSION_COOKIE}=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"
