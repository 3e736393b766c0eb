"""Who may call what: every route and every command of the real wiring, tried by five kinds of people.

A route or command without a row here fails, and so does a row without a route. The cells are what the door answers:
`in` (it opened: the action itself answered), `gone` (it opened on a thing that is not there: 404), or the status of
the refusal.
"""

from dataclasses import dataclass, field

import msgspec
import pytest
from starlette.routing import Route, WebSocketRoute

from app import clock
from app.accounts.register import create_account, create_shop
from app.accounts.sessions import Sessions
from app.http.door import Door
from app.http.pages import PAGE_OF
from app.person import Person, Standing
from app.rooms.dispatch import Asker, run
from app.settings import Settings
from app.wiring import build_web
from tests.protocol.callers import Caller

PEOPLE = ("anonymous", "viewer", "moderator", "host", "another host")

ANYONE = "in in in in in"
SIGNED_IN = "401 in in in in"
STAFF = "401 403 in in 404"
HOST = "401 403 403 in 404"

ROUTES = {
    "GET /healthz": ANYONE,
    "GET /readyz": ANYONE,
    "GET /metrics": ANYONE,
    "GET /openapi.json": ANYONE,
    "GET /api/session": ANYONE,
    "POST /api/session": ANYONE,
    "DELETE /api/session": ANYONE,
    "POST /api/accounts": ANYONE,
    "POST /api/tickets": SIGNED_IN,
    "GET /api/products": ANYONE,
    "POST /api/products": HOST,
    "GET /api/products/{product}": ANYONE,
    "PUT /api/products/{product}": HOST,
    "POST /api/photos": HOST,
    "GET /api/campaigns": HOST,
    "POST /api/campaigns": HOST,
    "POST /api/campaigns/{campaign}/end": "401 403 403 gone 404",
    "GET /photos/{photo}": "gone gone gone gone gone",
    "GET /api/shows": ANYONE,
    "POST /api/shows": HOST,
    "GET /api/shows/{show}": ANYONE,
    "PATCH /api/shows/{show}": HOST,
    "POST /api/shows/{show}/start": HOST,
    "POST /api/shows/{show}/pause": HOST,
    "POST /api/shows/{show}/resume": HOST,
    "POST /api/shows/{show}/end": HOST,
    "PUT /api/shows/{show}/lineup": HOST,
    "PUT /api/shows/{show}/pins": HOST,
    "DELETE /api/shows/{show}/pins": HOST,
    "GET /api/shows/{show}/stream": HOST,
    "GET /api/shows/{show}/stream-key": HOST,
    "POST /api/shows/{show}/stream-key": HOST,
    "GET /api/shows/{show}/moderators": HOST,
    "PUT /api/shows/{show}/moderators": HOST,
    "DELETE /api/shows/{show}/moderators/{account}": HOST,
    "GET /api/shows/{show}/flash-sales": ANYONE,
    "POST /api/shows/{show}/flash-sales": HOST,
    "POST /api/shows/{show}/flash-sales/{sale}/start": "401 403 403 gone 404",
    "POST /api/shows/{show}/flash-sales/{sale}/extend": "401 403 403 gone 404",
    "POST /api/shows/{show}/flash-sales/{sale}/stock": "401 403 403 gone 404",
    "POST /api/shows/{show}/flash-sales/{sale}/end": "401 403 403 gone 404",
    "POST /api/shows/{show}/flash-sales/{sale}/cancel": "401 403 403 gone 404",
    "GET /api/shows/{show}/flash-sales/{sale}/draw": "gone gone gone gone gone",
    "GET /api/shows/{show}/comment-buying": HOST,
    "PUT /api/shows/{show}/comment-buying": HOST,
    "GET /api/lines": SIGNED_IN,
    "POST /api/lines": SIGNED_IN,
    "DELETE /api/lines/{pool}": "401 gone gone gone gone",
    "GET /api/holds": SIGNED_IN,
    "POST /api/holds": SIGNED_IN,
    "DELETE /api/holds/{hold}": "401 gone gone gone gone",
    "GET /api/orders": SIGNED_IN,
    "POST /api/buy-now": SIGNED_IN,
    "POST /api/orders": SIGNED_IN,
    "GET /api/orders/{order}": "401 gone gone gone gone",
    "GET /api/shows/{show}/orders": HOST,
    "POST /api/orders/{order}/cancel": "401 gone gone gone gone",
    "POST /api/shops/{shop}/orders/{order}/cancel": "401 403 403 gone 404",
    "POST /api/shops/{shop}/orders/{order}/refunds": "401 403 403 in 404",
    "POST /api/shops/{shop}/orders/{order}/ship": "401 403 403 gone 404",
    "GET /api/shops/{shop}/conditions": ANYONE,
    "PUT /api/shops/{shop}/conditions": HOST,
    "GET /api/shops/{shop}/return-policies/{version}": "gone gone gone gone gone",
    "POST /api/shops/{shop}/quotes": SIGNED_IN,
    "GET /api/address": SIGNED_IN,
    "GET /api/saved-cards": SIGNED_IN,
    "DELETE /api/saved-cards/{card}": "401 gone gone gone gone",
    "GET /api/shops/{shop}/coupons": HOST,
    "POST /api/shops/{shop}/coupons": HOST,
    "POST /api/shops/{shop}/coupons/{coupon}/end": "401 403 403 gone 404",
    "GET /api/shops/{shop}/cart": SIGNED_IN,
    "PUT /api/shops/{shop}/cart/{pool}": SIGNED_IN,
    "DELETE /api/shops/{shop}/cart/{pool}": SIGNED_IN,
    "POST /api/shops/{shop}/cart/quotes": SIGNED_IN,
    "POST /api/shops/{shop}/cart/order": SIGNED_IN,
    "PUT /api/shops/{shop}/orders/{order}/shipment": "401 403 403 in 404",
    "GET /api/shops/{shop}/orders": HOST,
    "GET /api/shops/{shop}/orders.csv": HOST,
    "GET /api/shops/{shop}/orders/{order}": "401 403 403 gone 404",
    "GET /api/shops/{shop}/troubles": HOST,
    "GET /api/payment-offer": ANYONE,
    "POST /webhooks/stripe": "gone gone gone gone gone",
    "POST /api/payments/{payment}/look": "401 gone gone gone gone",
    "POST /api/payments/{payment}/bank": "401 in in in in",
    "GET /api/shows/{show}/polls": ANYONE,
    "GET /api/shows/{show}/questions/unanswered": STAFF,
    "GET /api/shows/{show}/unban-request": SIGNED_IN,
    "PUT /api/shows/{show}/unban-request": SIGNED_IN,
    "GET /api/shows/{show}/answers": HOST,
    "PUT /api/shows/{show}/answers": HOST,
    "GET /api/shows/{show}/ban-lists": HOST,
    "PUT /api/shows/{show}/ban-lists": HOST,
    "POST /api/shows/{show}/ban-lists/taken": HOST,
    "DELETE /api/shows/{show}/ban-lists/taken/{shop}": HOST,
    "GET /api/shows/{show}/reviewer": HOST,
    "PUT /api/shows/{show}/reviewer": HOST,
    "GET /api/shows/{show}/quick-replies": STAFF,
    "PUT /api/shows/{show}/quick-replies": HOST,
    "GET /api/shows/{show}/moderation": STAFF,
    "GET /api/shows/{show}/moderation/people/{account}": STAFF,
    "GET /api/follows": SIGNED_IN,
    "PUT /api/follows/{shop}": SIGNED_IN,
    "DELETE /api/follows/{shop}": SIGNED_IN,
    "GET /api/blocks": SIGNED_IN,
    "PUT /api/blocks/{account}": SIGNED_IN,
    "DELETE /api/blocks/{account}": SIGNED_IN,
    "DELETE /api/shows/{show}/moderation/messages/{message}": "401 403 gone gone 404",
    "POST /api/shows/{show}/moderation/timeouts": STAFF,
    "DELETE /api/shows/{show}/moderation/timeouts/{account}": STAFF,
    "GET /api/shows/{show}/moderation/acts": STAFF,
    "GET /api/shows/{show}/moderation/chat.csv": STAFF,
    "GET /api/shows/{show}/moderation/log.csv": STAFF,
    "GET /api/shops/{shop}/webhooks": HOST,
    "POST /api/shops/{shop}/webhooks": HOST,
    "DELETE /api/shops/{shop}/webhooks/{webhook}": "401 403 403 gone 404",
    "POST /api/shops/{shop}/webhooks/{webhook}/secret": "401 403 403 gone 404",
    "POST /api/shops/{shop}/webhooks/{webhook}/resume": "401 403 403 gone 404",
    "POST /api/shops/{shop}/webhooks/{webhook}/ping": "401 403 403 gone 404",
    "GET /api/shops/{shop}/webhooks/{webhook}/deliveries": "401 403 403 gone 404",
    "POST /api/shops/{shop}/webhooks/{webhook}/deliveries/{event}/replay": "401 403 403 gone 404",
    "POST /whip/{show}": "401 403 403 in 404",
    "GET /whip/{show}": ANYONE,
    "OPTIONS /whip/{show}": ANYONE,
    "GET /whip/{show}/{session}": ANYONE,
    "PATCH /whip/{show}/{session}": "401 404 404 in 404",
    "DELETE /whip/{show}/{session}": "401 404 404 in 404",
    "OPTIONS /whip/{show}/{session}": ANYONE,
    "POST /whep/{show}": ANYONE,
    "GET /whep/{show}": ANYONE,
    "OPTIONS /whep/{show}": ANYONE,
    "GET /whep/{show}/{session}": ANYONE,
    "PATCH /whep/{show}/{session}": ANYONE,
    "DELETE /whep/{show}/{session}": ANYONE,
    "OPTIONS /whep/{show}/{session}": ANYONE,
}
ASKS_FOR_SHOP = {"/api/products", "/api/photos", "/api/campaigns", "/api/campaigns/{campaign}/end"}
SOCKETS = {"/ws/shows/{show}", "/ws/shows/{show}/staff"}
PAGES = {*PAGE_OF, "/static/{path:path}"}

# On a socket another shop's host is a viewer like everybody.
COMMANDS = {
    "chat.post": "sign_in in in in in",
    "chat.report": "sign_in in in in in",
    "chat.delete": "sign_in forbidden in in forbidden",
    "chat.delete_many": "sign_in forbidden in in forbidden",
    "chat.delete_of": "sign_in forbidden in in forbidden",
    "chat.clear": "sign_in forbidden forbidden in forbidden",
    "ban.set": "sign_in forbidden in in forbidden",
    "ban.end": "sign_in forbidden in in forbidden",
    "warning.give": "sign_in forbidden in in forbidden",
    "warning.accept": "sign_in in in in in",
    "held.approve": "sign_in forbidden in in forbidden",
    "held.deny": "sign_in forbidden in in forbidden",
    "report.close": "sign_in forbidden in in forbidden",
    "modes.set": "sign_in forbidden in in forbidden",
    "terms.set": "sign_in forbidden in in forbidden",
    "notice.set": "sign_in forbidden in in forbidden",
    "notice.clear": "sign_in forbidden in in forbidden",
    "timeout.set": "sign_in forbidden in in forbidden",
    "question.ask": "sign_in in in in in",
    "question.vote": "sign_in in in in in",
    "question.take": "sign_in forbidden in in forbidden",
    "question.answer": "sign_in forbidden in in forbidden",
    "question.let": "sign_in forbidden in in forbidden",
    "question.remove": "sign_in forbidden in in forbidden",
    "ticker.set": "sign_in forbidden in in forbidden",
    "question.close": "sign_in forbidden in in forbidden",
    "unban.accept": "sign_in forbidden in in forbidden",
    "unban.decline": "sign_in forbidden in in forbidden",
    "person.watch": "sign_in forbidden in in forbidden",
    "poll.start": "sign_in forbidden in in forbidden",
    "poll.end": "sign_in forbidden in in forbidden",
    "poll.answer": "sign_in in in in in",
    "evasion.close": "sign_in forbidden in in forbidden",
    "undo": "sign_in forbidden in in forbidden",
    "timeout.end": "sign_in forbidden in in forbidden",
    "reaction.add": "sign_in in in in in",
    "hold.take": "sign_in in in in in",
    "hold.release": "sign_in in in in in",
    "line.join": "sign_in in in in in",
    "line.leave": "sign_in in in in in",
}

# A lead moderator may do what a moderator may, and this.
LEADS = {"chat.clear"}


@dataclass
class World:
    """Two shops with their hosts, a show with a moderator, and a viewer."""

    pg: object
    sessions: Sessions
    people: dict[str, str | None] = field(default_factory=dict)
    things: dict[str, str] = field(default_factory=dict)

    @classmethod
    async def make(cls, pg) -> "World":
        world = cls(pg, Sessions(pg))
        for name in PEOPLE[1:]:
            world.people[name] = await create_account(pg, name=clock.new_id(), email=None, password_hash=None)
        world.people["anonymous"] = None
        host = world.people["host"]
        shop = await create_shop(pg, name="Shop", currency="EUR", host=host)
        await create_shop(pg, name="Elsewhere", currency="EUR", host=world.people["another host"])
        show, product = clock.new_id(), clock.new_id()
        await pg.execute("INSERT INTO shows (id, shop_id, title) VALUES ($1, $2, 'A show')", show, shop)
        await pg.execute("INSERT INTO products (id, shop_id, title) VALUES ($1, $2, 'A thing')", product, shop)
        await pg.execute("INSERT INTO show_moderators VALUES ($1, $2, $3)", show, world.people["moderator"], host)
        account = world.people["viewer"]
        world.things = {"shop": shop, "show": show, "product": product, "account": account}
        return world

    async def caller(self, app, name: str) -> Caller:
        """A fresh sign-in of that person."""
        account = self.people[name]
        return Caller(app, None if account is None else await self.sessions.open(account))

    def path(self, template: str) -> str:
        """The path with the world's ids; what the world does not have is called "nothing"."""
        query = f"?shop={self.things['shop']}" if template in ASKS_FOR_SHOP else ""
        return "/".join(self._part(part) for part in template.split("/")) + query

    def _part(self, part: str) -> str:
        return self.things.get(part[1:-1], "nothing") if part.startswith("{") else part

    def body(self, endpoint) -> dict:
        """What httpx sends: a body that reaches the check of the right, and no further than that where it can."""
        headers = {"Idempotency-Key": clock.new_id(), "If-Match": "*"}
        if endpoint.body is bytes:
            return {"content": b"garbage", "headers": {**headers, "Content-Type": endpoint.content_types[0]}}
        if endpoint.body is None:
            return {"headers": headers}
        return {"json": self._json(f"{endpoint.method} {endpoint.path}"), "headers": headers}

    def _json(self, route: str) -> dict:
        shop = self.things["shop"]
        if route == "POST /api/products":
            return {"shop": shop, "title": "Tea", "variants": [{"price_minor": 5, "stock": 1}]}
        if route == "POST /api/campaigns":
            return {"shop": shop, "name": "Tea week", "percent_off": 5, "ends_at_ms": 2**42}
        if route == "POST /api/shows":
            return {"shop": shop, "title": "Tea at five"}
        if route.endswith("/comment-buying"):
            return {"on": True}
        if route.endswith("/extend"):
            return {"by_s": 60}
        if route.endswith("/stock"):
            return {"units": 1}
        return {"show": self.things["show"]} if route == "POST /api/tickets" else {}


async def cell(world: World, app, endpoint, name: str) -> str:
    """What the person gets at that door."""
    caller = await world.caller(app, name)
    answer = await caller.ask(endpoint.method, world.path(endpoint.path), **world.body(endpoint))
    assert answer.status_code != 500, answer.text
    if answer.status_code not in {401, 403, 404}:
        return "in"
    row = ROUTES[f"{endpoint.method} {endpoint.path}"].split()
    return "gone" if answer.status_code == 404 and row[PEOPLE.index(name)] == "gone" else str(answer.status_code)


def doors(app) -> dict:
    """All endpoints of the application, by "METHOD path"."""
    behind = [route.app for route in app.routes if isinstance(route, Route) and isinstance(route.app, Door)]
    return {f"{one.method} {one.path}": one for door in behind for one in door.endpoints.values()}


def commands(app) -> dict:
    """The table of commands behind the sockets."""
    sockets = [route for route in app.routes if isinstance(route, WebSocketRoute)]
    assert {route.path for route in sockets} == SOCKETS
    return sockets[0].endpoint._serve.__self__.commands


@pytest.fixture
def settings(pg_url, valkey_url, tmp_path):
    return Settings(database_url=pg_url, redis_url=valkey_url, data_dir=tmp_path)


@pytest.mark.usefixtures("valkey")
async def test_every_route_opens_for_those_in_its_row_and_for_nobody_else(settings, pg):
    wrong = {}
    async with build_web(settings) as web:
        app = web.app.app
        found = doors(app)
        assert sorted(found) == sorted(ROUTES)
        for route, row in ROUTES.items():
            world = await World.make(pg)
            cells = [await cell(world, app, found[route], name) for name in PEOPLE]
            if " ".join(cells) != row:
                wrong[route] = f"{' '.join(cells)} instead of {row}"
    assert not wrong


async def test_nothing_but_doors_sockets_and_pages_is_served(settings):
    async with build_web(settings) as web:
        plain = {
            route.path
            for route in web.app.app.routes
            if not isinstance(route, WebSocketRoute) and not isinstance(getattr(route, "app", None), Door)
        }
    assert plain == PAGES


@pytest.mark.usefixtures("valkey")
async def test_every_command_runs_for_those_in_its_row_and_for_nobody_else(settings, pg):
    standings = (None, Standing.VIEWER, Standing.MODERATOR, Standing.HOST, Standing.VIEWER)
    wrong = {}
    async with build_web(settings) as web:
        table = commands(web.app.app)
        assert sorted(table) == sorted(COMMANDS)
        world = await World.make(pg)
        for op, row in COMMANDS.items():
            cells = []
            for name, standing in zip(PEOPLE, standings, strict=True):
                account = world.people[name]
                person = None if account is None else Person(account, name)
                asker = Asker(world.things["show"], person, standing or Standing.VIEWER, "203.0.113.5")
                reply = await run(table, f'{{"op": "{op}", "id": "1"}}', asker)
                code = msgspec.json.decode(reply).get("error", {}).get("code")
                cells.append(code if code in {"sign_in", "forbidden"} else "in")
            if " ".join(cells) != row:
                wrong[op] = f"{' '.join(cells)} instead of {row}"
    assert not wrong


@pytest.mark.usefixtures("valkey")
async def test_a_lead_moderator_runs_what_a_moderator_does_and_the_commands_of_leads(settings, pg):
    async with build_web(settings) as web:
        table = commands(web.app.app)
        world = await World.make(pg)
        person = Person(world.people["moderator"], "moderator")
        wrong = {}
        for op, row in COMMANDS.items():
            asker = Asker(world.things["show"], person, Standing.LEAD, "203.0.113.5")
            reply = msgspec.json.decode(await run(table, f'{{"op": "{op}", "id": "1"}}', asker))
            found = "forbidden" if reply.get("error", {}).get("code") == "forbidden" else "in"
            expected = "in" if op in LEADS else row.split()[PEOPLE.index("moderator")]
            if found != expected:
                wrong[op] = f"{found} instead of {expected}"
    assert not wrong
