"""THE composition root: opens the connections, builds each feature's parts and connects them, for each role.

Nothing else constructs a feature. What is opened here is closed here, in the reverse order, by the exit stacks.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import asyncpg
import msgspec
from redis.asyncio import Redis
from starlette.types import ASGIApp

from app.accounts import edge as accounts_edge
from app.accounts.gatekeeper import AccountsGatekeeper
from app.accounts.parts import Accounts, build_accounts
from app.accounts.socket_identity import SocketIdentity
from app.catalog import edge as catalog_edge
from app.catalog.parts import Catalog
from app.health import health_endpoints
from app.http.edge import Surroundings, build_asgi, build_routes
from app.http.endpoint import Endpoint
from app.http.headers import SecurityHeaders
from app.http.pages import page_routes
from app.rooms import edge as rooms_edge
from app.rooms.bus import Rooms
from app.rooms.dispatch import merge
from app.rooms.hub import Hub
from app.rooms.parts import RoomParts
from app.rooms.socket import RoomSocket
from app.rooms.sources import Sources
from app.rooms.valkey_bus import ValkeyRooms
from app.settings import Settings
from app.storage.loops import Loop, backoff_s, is_infrastructure
from app.storage.postgres import open_pool
from app.storage.valkey import open_valkey
from app.streams import media_edge
from app.streams.media_control import MediaControl
from app.streams.media_parts import Media

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
    async with AsyncExitStack() as stack:
        stores = await stack.enter_async_context(open_stores(settings))
        features = _build_features(stores, settings)
        stack.callback(features.accounts.passwords.close)
        stack.callback(features.catalog.darkroom.close)
        gatekeeper = AccountsGatekeeper(features.accounts)
        control = MediaControl(settings)
        stack.push_async_callback(control.aclose)
        endpoints: list[Endpoint] = [
            *health_endpoints(stores.pg, stores.valkey),
            *accounts_edge.endpoints(features.accounts),
            *catalog_edge.endpoints(features.catalog),
            *media_edge.endpoints(Media(stores.pg, control, gatekeeper, settings)),
        ]
        hub = Hub(features.bus)
        socket = RoomSocket(hub, SocketIdentity(features.accounts), Surroundings(settings), commands=merge())
        rooms = RoomParts(features.bus, hub, socket)
        await stack.enter_async_context(hub.running())
        routes = [
            *build_routes(endpoints, gatekeeper, settings),
            *rooms_edge.routes(rooms),
            *page_routes(),
        ]
        app = SecurityHeaders(build_asgi(routes), tls=settings.secure)
        yield Web(app, [loop for loop in rooms_edge.loops(rooms) if loop.where == "web"])


@asynccontextmanager
async def build_worker(settings: Settings) -> AsyncIterator[Sequence[Loop]]:
    """The worker role: every loop that is nobody's request."""
    async with AsyncExitStack() as stack:
        stores = await stack.enter_async_context(open_stores(settings))
        features = _build_features(stores, settings)
        stack.callback(features.accounts.passwords.close)
        stack.callback(features.catalog.darkroom.close)
        rooms = RoomParts(features.bus)
        yield [loop for loop in rooms_edge.loops(rooms) if loop.where == "worker"]


@asynccontextmanager
async def build_media(settings: Settings) -> AsyncIterator[Rooms]:
    """What the media role needs beside its relay: the rooms, to say who publishes."""
    async with open_stores(settings) as stores:
        yield _build_features(stores, settings).bus


@dataclass(frozen=True)
class Features:
    """Each feature's parts, as the web and the worker role share them."""

    bus: ValkeyRooms
    accounts: Accounts
    catalog: Catalog


def _build_features(stores: Stores, settings: Settings) -> Features:
    bus = ValkeyRooms(stores.valkey)
    bus.sources = Sources()
    return Features(
        bus=bus,
        accounts=build_accounts(stores.pg, stores.valkey, settings),
        catalog=Catalog(pg=stores.pg),
    )
