"""THE composition root: opens the connections, builds each feature's parts and connects them, for each role.

Nothing else constructs a feature. What is opened here is closed here, in the reverse order, by the exit stacks.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
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
from app.chat import edge as chat_edge
from app.chat.memory import ChatMemory
from app.chat.parts import Chat, build_chat
from app.checkout import edge as checkout_edge
from app.checkout.buyers import has_bought
from app.checkout.parts import Checkout, open_checkout
from app.flash_sales import edge as flash_sales_edge
from app.flash_sales.banned import BannedHolds
from app.flash_sales.comments import CommentToBuy
from app.flash_sales.parts import FlashSales, open_flash_sales
from app.flash_sales.sources import SaleSource
from app.health import health_endpoints
from app.http.door import Surroundings
from app.http.edge import build_asgi, build_routes
from app.http.endpoint import Endpoint, Gatekeeper
from app.http.headers import SecurityHeaders
from app.http.openapi import openapi_endpoint
from app.http.pages import page_routes
from app.outage import is_outage
from app.rooms import edge as rooms_edge
from app.rooms.bus import Rooms
from app.rooms.command import Command
from app.rooms.copies import Copies
from app.rooms.dispatch import merge
from app.rooms.figures import room_figures
from app.rooms.hub import Hub
from app.rooms.parts import RoomParts
from app.rooms.socket import RoomSocket
from app.rooms.sources import BanSource, MeSource, Sources
from app.rooms.valkey_bus import ValkeyRooms
from app.settings import Settings
from app.storage.loops import Loop, backoff_s
from app.storage.postgres import open_pool
from app.storage.valkey import open_valkey
from app.streams import edge as streams_edge
from app.streams import media_edge
from app.streams.announce import PinnedProducts, ShowKeys
from app.streams.banned import BannedSessions
from app.streams.media_control import MediaControl, StreamSource
from app.streams.media_parts import Media
from app.streams.parts import Streams
from app.webhooks import edge as webhooks_edge
from app.webhooks.asking import WebhookWayOut
from app.webhooks.parts import Webhooks, open_webhooks

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
            if not is_outage(error):
                raise
            failures += 1
            await asyncio.sleep(backoff_s(failures))


async def _close_pool(pool: asyncpg.Pool) -> None:
    try:
        async with asyncio.timeout(CLOSE_GUARD_S):
            await pool.close()
    except TimeoutError:
        pool.terminate()


@dataclass(frozen=True)
class Features:
    """Each feature's parts, and what they told each other about, as every role that speaks in rooms has them."""

    bus: ValkeyRooms
    accounts: Accounts
    catalog: Catalog
    media: MediaControl
    streams: Streams
    chat: Chat
    sales: FlashSales
    checkout: Checkout
    webhooks: Webhooks
    me_sources: tuple[MeSource, ...]
    bans: BanSource


@asynccontextmanager
async def build_features(stores: Stores, settings: Settings) -> AsyncIterator[Features]:
    """Every feature over the stores. On the way out each finishes what it began, the uppermost first."""
    pg, valkey = stores.pg, stores.valkey
    async with AsyncExitStack() as stack:
        bus = ValkeyRooms(valkey)
        media = MediaControl(settings, valkey)
        stack.push_async_callback(media.aclose)
        sales = open_flash_sales(pg, valkey, bus, settings)
        stack.push_async_callback(sales.close)
        sale_source = SaleSource(sales)
        accounts = build_accounts(pg, valkey, settings, bus, sign_out_listeners=(sale_source,))
        stack.callback(accounts.passwords.close)
        streams = Streams(pg=pg, valkey=valkey, rooms=bus, settings=settings, sales=sale_source, media=media)
        catalog = Catalog(pg=pg, stock_listeners=(sale_source,), product_listeners=(PinnedProducts(streams),))
        stack.callback(catalog.darkroom.close)
        webhooks = open_webhooks(pg, settings)
        stack.push_async_callback(webhooks.target.aclose)
        listeners = (BannedHolds(sales), BannedSessions(media))
        chat = build_chat(
            pg,
            bus,
            Copies(valkey),
            settings,
            *listeners,
            words_listeners=(CommentToBuy(sales),),
            has_bought=partial(has_bought, pg),
            way_out=WebhookWayOut(webhooks),
        )
        memory = ChatMemory(chat)
        checkout = open_checkout(pg, valkey, sales, bus, settings)
        stack.push_async_callback(checkout.close)
        bus.sources = Sources(
            states=(ShowKeys(streams), StreamSource(media), sale_source, memory), stories=(memory,), sanctions=(memory,)
        )
        yield Features(
            bus=bus,
            accounts=accounts,
            catalog=catalog,
            media=media,
            streams=streams,
            chat=chat,
            sales=sales,
            checkout=checkout,
            webhooks=webhooks,
            me_sources=(memory, sale_source),
            bans=memory,
        )


def endpoints_of(
    features: Features, stores: Stores, settings: Settings, gatekeeper: Gatekeeper, hub: Hub
) -> list[Endpoint]:
    """Everything that can be asked over HTTP."""
    crowd = features.accounts.crowd
    media = Media(stores.pg, features.media, gatekeeper, features.sales.bans, settings)
    return [
        *health_endpoints(stores.pg, stores.valkey, lambda: room_figures(hub, crowd)),
        *accounts_edge.endpoints(features.accounts),
        *catalog_edge.endpoints(features.catalog),
        *streams_edge.endpoints(features.streams),
        *media_edge.endpoints(media),
        *chat_edge.endpoints(features.chat),
        *flash_sales_edge.endpoints(features.sales),
        *checkout_edge.endpoints(features.checkout, features.sales),
        *webhooks_edge.endpoints(features.webhooks),
    ]


def commands_of(features: Features) -> Mapping[str, Command]:
    """Everything that can be asked on a room's socket."""
    return merge(chat_edge.commands(features.chat), flash_sales_edge.commands(features.sales))


def loops_of(features: Features, rooms: RoomParts, where: str) -> list[Loop]:
    """Everything that a role does without being asked."""
    loops = [
        *rooms_edge.loops(rooms),
        *streams_edge.loops(features.streams),
        *media_edge.loops(features.streams.pg, features.media, features.bus),
        *chat_edge.loops(features.chat),
        *flash_sales_edge.loops(features.sales),
        *checkout_edge.loops(features.checkout),
        *webhooks_edge.loops(features.webhooks),
    ]
    return [loop for loop in loops if loop.where == where]


@asynccontextmanager
async def build_web(settings: Settings) -> AsyncIterator[Web]:
    """The web role: every endpoint, every page, the rooms' sockets."""
    async with AsyncExitStack() as stack:
        stores = await stack.enter_async_context(open_stores(settings))
        features = await stack.enter_async_context(build_features(stores, settings))
        hub = Hub(features.bus)
        await stack.enter_async_context(hub.running())
        socket = RoomSocket(
            hub,
            SocketIdentity(features.accounts),
            Surroundings(settings),
            commands=commands_of(features),
            me_sources=features.me_sources,
            bans=features.bans,
            crowd=features.accounts.crowd,
        )
        rooms = RoomParts(features.bus, hub, socket)
        gatekeeper = AccountsGatekeeper(features.accounts)
        endpoints = endpoints_of(features, stores, settings, gatekeeper, hub)
        routes = [
            *build_routes([*endpoints, openapi_endpoint(endpoints)], gatekeeper, settings),
            *rooms_edge.routes(rooms),
            *page_routes(),
        ]
        guests = checkout_edge.page_guests(settings)
        app = SecurityHeaders(build_asgi(routes), tls=settings.secure, guests=guests)
        yield Web(app, loops_of(features, rooms, "web"))


@asynccontextmanager
async def build_worker(settings: Settings) -> AsyncIterator[Sequence[Loop]]:
    """The worker role: every loop that is nobody's request."""
    async with open_stores(settings) as stores, build_features(stores, settings) as features:
        yield loops_of(features, RoomParts(features.bus), "worker")


@asynccontextmanager
async def build_media(settings: Settings) -> AsyncIterator[Rooms]:
    """What the media role needs beside its relay: the rooms, to say who publishes."""
    async with open_stores(settings) as stores, build_features(stores, settings) as features:
        yield features.bus
