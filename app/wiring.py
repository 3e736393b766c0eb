"""THE composition root: opens the connections, builds each feature's parts and connects them, for each role.

Nothing else constructs a feature. What is opened here is closed here, in the reverse order, by the exit stacks.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import asyncpg
import msgspec
from redis.asyncio import Redis
from starlette.types import ASGIApp

from app.accounts import edge as accounts_edge
from app.accounts.gatekeeper import AccountsGatekeeper
from app.accounts.parts import build_accounts
from app.catalog import edge as catalog_edge
from app.catalog.parts import Catalog
from app.health import health_endpoints
from app.http.edge import build_asgi, build_routes
from app.http.endpoint import Endpoint
from app.http.headers import SecurityHeaders
from app.http.pages import page_routes
from app.settings import Settings
from app.storage.loops import Loop, backoff_s, is_infrastructure
from app.storage.postgres import open_pool
from app.storage.valkey import open_valkey

CLOSE_GUARD_S: Final = 5


class Stores(msgspec.Struct, frozen=True):
    """The two connections that every feature works with."""

    pg: asyncpg.Pool
    valkey: Redis


class Web(msgspec.Struct, frozen=True):
    """What the web role serves: the ASGI application, and the loops that run beside it."""

    app: ASGIApp
    loops: Sequence[Loop]


@asynccontextmanager
async def open_stores(settings: Settings) -> AsyncIterator[Stores]:
    """The connections. Waits for a Postgres that is not up yet; Valkey connects when first used."""
    async with AsyncExitStack() as stack:
        valkey = open_valkey(settings.redis_url)
        stack.push_async_callback(valkey.aclose)
        pool = await _open_pool_patiently(settings.database_url)
        stack.push_async_callback(_close_pool, pool)
        yield Stores(pool, valkey)


async def _open_pool_patiently(url: str) -> asyncpg.Pool:
    failures = 0
    while True:
        try:
            return await open_pool(url)
        except (OSError, asyncpg.PostgresError) as error:
            if not is_infrastructure(error):
                raise
            failures += 1
            await asyncio.sleep(backoff_s(failures))


async def _close_pool(pool: asyncpg.Pool) -> None:
    try:
        await asyncio.wait_for(pool.close(), CLOSE_GUARD_S)
    except TimeoutError:
        pool.terminate()


@asynccontextmanager
async def build_web(settings: Settings) -> AsyncIterator[Web]:
    """The web role: every endpoint, every page, the rooms' sockets."""
    async with open_stores(settings) as stores:
        accounts = build_accounts(stores.pg, stores.valkey, settings)
        catalog = Catalog(pg=stores.pg)
        endpoints: list[Endpoint] = [
            *health_endpoints(stores.pg, stores.valkey),
            *accounts_edge.endpoints(accounts),
            *catalog_edge.endpoints(catalog),
        ]
        gatekeeper = AccountsGatekeeper(accounts)
        routes = [*build_routes(endpoints, gatekeeper, settings), *page_routes()]
        app = SecurityHeaders(build_asgi(routes), tls=settings.secure)
        yield Web(app, [])


@asynccontextmanager
async def build_worker(settings: Settings) -> AsyncIterator[Sequence[Loop]]:
    """The worker role: every loop that is nobody's request."""
    async with open_stores(settings):
        yield []
