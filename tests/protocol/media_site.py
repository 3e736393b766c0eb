"""A web role with the media endpoints alone, and a media role beside it, on free loopback ports of this process.

The two speak over the same unix socket as in production; Postgres is the real one. `page` is what a browser test
opens: our own player and publisher, and nothing else.
"""

import asyncio
import contextlib
import hashlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import httpx
import msgspec
import uvicorn
from redis.asyncio import Redis
from starlette.responses import HTMLResponse
from starlette.routing import Route

from app import clock
from app.accounts.gatekeeper import AccountsGatekeeper
from app.accounts.parts import build_accounts
from app.accounts.register import create_account
from app.chat.ban_book import BanBook
from app.http.edge import build_asgi, build_routes
from app.http.pages import page_routes
from app.settings import Settings
from app.streams.media_control import MediaControl
from app.streams.media_edge import endpoints
from app.streams.media_parts import Media
from app.streams.relay.role import run_media
from app.supervisor import open_listener
from tests.running import free_port
from tests.waiting import eventually, eventually_true

PAGE = """<!doctype html><meta charset="utf-8"><title>media</title>
<video id="video" width="640" height="360" playsinline></video>
<script type="module">
import { Player } from "/static/shared/player.js";
import { Publisher } from "/static/shared/publisher.js";
globalThis.Player = Player;
globalThis.Publisher = Publisher;
globalThis.video = document.getElementById("video");
globalThis.frames = [];
const note = (now, frame) => { frames.push(now); video.requestVideoFrameCallback(note); };
video.requestVideoFrameCallback(note);
globalThis.sample = () => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [32, 18];
  const context = canvas.getContext("2d");
  context.drawImage(video, 0, 0, 32, 18);
  return Array.from(context.getImageData(0, 0, 32, 18).data);
};
</script>"""


class HeardRooms:
    """The room's bus as far as the media role speaks: keeps every state that was set, for the test to look at."""

    def __init__(self) -> None:
        self.states: list[tuple[str, str, int, bool]] = []

    async def set_state(self, room: str, key: str, version: int, value) -> bool:
        self.states.append((room, key, version, value.publishing))
        return True


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self):
        yield


class MediaSite:
    """`url` is the site; `http` a client of it; `rooms` what the media role said."""

    def __init__(self, settings: Settings, pg: asyncpg.Pool, valkey: Redis) -> None:
        self.settings = settings
        self.pg = pg
        anywhere = settings.host == "::"
        self.url = f"http://127.0.0.1:{settings.port}" if anywhere else settings.base_url
        self.http = httpx.AsyncClient(base_url=self.url, timeout=60)
        self.control = MediaControl(settings, valkey)
        self.relays: list[asyncio.Task[None]] = []
        self.rooms = HeardRooms()
        self.accounts = build_accounts(pg, valkey, settings)

    async def show(self, state: str = "live") -> tuple[str, str]:
        """A fresh show, and its stream key."""
        show, shop, key = clock.new_id(), clock.new_id(), clock.new_secret()
        await self.pg.execute("INSERT INTO shops (id, name, currency) VALUES ($1, 'Shop', 'EUR')", shop)
        await self.pg.execute(
            "INSERT INTO shows (id, shop_id, title, state) VALUES ($1, $2, 'Show', $3)", show, shop, state
        )
        await self.pg.execute(
            "INSERT INTO stream_keys (show_id, key_hash, hint) VALUES ($1, $2, $3)",
            show,
            hashlib.sha256(key.encode()).digest(),
            key[-4:],
        )
        return show, key

    async def host(self, show: str) -> str:
        """A host of the show's shop: the secret of a signed-in session."""
        account = await create_account(
            self.pg, name=clock.new_id(), email=None, password_hash=None, may_be_reserved=True
        )
        await self.pg.execute(
            "INSERT INTO shop_members (shop_id, account_id, role) SELECT shop_id, $2, 'host' FROM shows WHERE id = $1",
            show,
            account,
        )
        return await self.accounts.sessions.open(account)


async def publishing(site: MediaSite, show: str, wanted: bool = True) -> None:
    """Returns once somebody publishes in the show, or nobody."""

    async def check() -> bool:
        return (await site.control.show(show)).publishing is wanted

    await eventually(check, what=f"publishing {wanted}")


async def _page(_) -> HTMLResponse:
    return HTMLResponse(PAGE)


@contextlib.asynccontextmanager
async def media_site(pg: asyncpg.Pool, valkey: Redis, *, nodes: int = 1, **settings) -> AsyncIterator[MediaSite]:
    """Both roles, up, the media role `nodes` times. A failure in either fails the test."""
    with tempfile.TemporaryDirectory(prefix="hwk-", dir="/tmp") as folder:
        port = free_port()
        doors = [f"unix:{folder}/media-{number}.sock" for number in range(nodes)]
        known = Settings(
            port=port, media_port=port, data_dir=Path(folder), media_control_url=",".join(doors), **settings
        )
        site = MediaSite(known, pg, valkey)
        gatekeeper = AccountsGatekeeper(site.accounts)
        media = Media(pg=pg, control=site.control, gatekeeper=gatekeeper, bans=BanBook(pg), settings=known)
        routes = build_routes(endpoints(media), media.gatekeeper, known)
        app = build_asgi([*routes, Route("/page", _page), *page_routes()])
        listener = open_listener(known)
        server = _Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        ready = asyncio.Semaphore(0)

        async def say_ready() -> None:
            ready.release()

        async with asyncio.TaskGroup() as tasks:
            for number, door in enumerate(doors):
                own = msgspec.structs.replace(
                    known, media_control_url=door, media_port=port if number == 0 else free_port()
                )
                site.relays.append(tasks.create_task(run_media(own, site.rooms, say_ready)))
            serving = tasks.create_task(server.serve(sockets=[listener]))
            for _ in doors:
                await ready.acquire()
            await eventually_true(lambda: server.started, what="the web half serves")
            yield site
            server.should_exit = True
            await serving
            for relaying in site.relays:
                relaying.cancel()
            await site.http.aclose()
            await site.control.aclose()
