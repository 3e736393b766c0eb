"""Callers for the HTTP tests: an application over real stores, and a person with a cookie jar of their own."""

import asyncpg
import httpx
from redis.asyncio import Redis
from starlette.types import ASGIApp

from app.accounts.parts import Accounts, build_accounts
from app.accounts.register import create_account
from app.http.credentials import SESSION_COOKIE, csrf_token
from app.settings import Settings

HOST = "shop.example"


class Caller:
    """One browser: keeps its session secret and sends it the way a page does."""

    def __init__(self, app: ASGIApp, secret: str | None = None, *, account: str = "", address: str = "203.0.113.5"):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 40000))
        self._http = httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}")
        self.secret = secret
        self.account = account

    async def ask(self, method: str, path: str, body=None, **options) -> httpx.Response:
        """Sends JSON with cookie and CSRF token; `headers` add to or (None) take away from that."""
        headers = {}
        if self.secret:
            headers["Cookie"] = f"{SESSION_COOKIE}={self.secret}"
            headers["X-CSRF-Token"] = csrf_token(self.secret)
        headers.update(options.pop("headers", {}))
        if body is not None:
            options["json"] = body
        headers = {name: value for name, value in headers.items() if value is not None}
        answer = await self._http.request(method, path, headers=headers, **options)
        self._http.cookies.clear()
        cookie = answer.headers.get("set-cookie", "")
        if cookie.startswith(f"{SESSION_COOKIE}="):
            self.secret = cookie.split(";")[0].partition("=")[2] or None
        return answer

    async def get(self, path: str, **options) -> httpx.Response:
        return await self.ask("GET", path, **options)

    async def post(self, path: str, body=None, **options) -> httpx.Response:
        return await self.ask("POST", path, body, **options)


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal, after a look at its form."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    document = answer.json()
    assert document["status"] == answer.status_code
    assert document["title"]
    assert document["detail"]
    return answer.status_code, document["code"]


def accounts_over(pg: asyncpg.Pool, valkey: Redis, **settings) -> Accounts:
    """Accounts as wiring builds them."""
    return build_accounts(pg, valkey, Settings(**{"hint_key": "a key", **settings}))


async def somebody(app: ASGIApp, accounts: Accounts, name: str) -> Caller:
    """A signed-in person with a fresh account."""
    account = await create_account(accounts.pg, name=name, email=None, password_hash=None, may_be_reserved=True)
    assert isinstance(account, str), account
    return Caller(app, await accounts.sessions.open(account), account=account)
