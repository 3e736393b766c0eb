"""A shop with its host and what shows need, over real stores: for tests of shows and of who serves in them."""

import msgspec

from app import clock
from app.accounts.gatekeeper import AccountsGatekeeper
from app.accounts.register import create_shop
from app.catalog import edge as catalog_edge
from app.catalog.parts import Catalog
from app.http.edge import build_asgi, build_routes
from app.rooms.sources import Sources
from app.rooms.valkey_bus import ValkeyRooms
from app.streams import edge
from app.streams.announce import PinnedProducts, ShowKeys
from app.streams.parts import Streams
from tests.protocol.callers import accounts_over, somebody


class Ends:
    """Sales and media that remember which shows ended for them."""

    def __init__(self):
        self.sales: list[str] = []
        self.media: list[str] = []
        self.off_air: list[tuple[str, str]] = []
        self.joined: list[tuple[str, list[str]]] = []

    async def show_ended(self, show):
        self.sales.append(show)

    async def products_joined(self, show, products):
        self.joined.append((show, list(products)))

    async def end_sessions(self, show, person=None, owner=None):
        assert person is None
        if owner is None:
            self.media.append(show)
        else:
            self.off_air.append((show, owner))


class Stage:
    """A shop with its host and products, and everything that shows need, over real stores."""

    def __init__(self, pg, valkey):
        self.pg = pg
        self.ends = Ends()
        self.rooms = ValkeyRooms(valkey)
        self.accounts = accounts_over(pg, valkey)
        self.streams = Streams(
            pg=pg, valkey=valkey, rooms=self.rooms, settings=self.accounts.settings, sales=self.ends, media=self.ends
        )
        self.rooms.sources = Sources(states=(ShowKeys(self.streams),))
        self.catalog = Catalog(pg=pg, product_listeners=(PinnedProducts(self.streams),))
        endpoints = [*catalog_edge.endpoints(self.catalog), *edge.endpoints(self.streams)]
        self.app = build_asgi(build_routes(endpoints, AccountsGatekeeper(self.accounts), self.accounts.settings))

    async def open(self):
        self.host = await somebody(self.app, self.accounts, clock.new_id())
        self.shop = await create_shop(self.pg, name="Shop", currency="EUR", host=self.host.account)
        self.tea = await self.product("Tea pot")
        self.cup = await self.product("Cup")
        return self

    def close(self):
        self.catalog.darkroom.close()
        self.accounts.passwords.close()

    async def product(self, title, host=None, shop=None):
        body = {"shop": shop or self.shop, "title": title, "variants": [{"price_minor": 500, "stock": 3}]}
        return (await (host or self.host).post("/api/products", body)).json()

    async def show(self, *acts, **body):
        made = await self.host.post("/api/shows", {"shop": self.shop, "title": "Tea at five", **body})
        assert made.status_code == 201, made.text
        for act in acts:
            assert (await self.host.post(f"/api/shows/{made.json()['id']}/{act}")).status_code == 200
        return made.json()["id"]

    async def told(self, room):
        """The room's events, and its state as {key: (version, value)}."""
        view = await self.rooms.read(room)
        state = {key: (version, msgspec.json.decode(value)) for key, (version, value) in view.state.items()}
        return [msgspec.json.decode(event) for event in view.events], state
