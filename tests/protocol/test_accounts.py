"""Signing up, in and out over HTTP, and what an attacker tries there."""

import asyncio
import hashlib

import pytest

from app import clock
from app.accounts import edge, passwords
from app.accounts.gatekeeper import AccountsGatekeeper
from app.accounts.register import add_member, create_account, create_shop
from app.accounts.sessions import CACHE_S
from app.accounts.socket_identity import SocketIdentity
from app.accounts.throttle import SIGN_IN_ACCOUNT, Allowance
from app.http.edge import build_asgi, build_routes
from app.person import Standing
from app.refusal import Refusal
from app.rooms.limits import Caps
from tests.protocol.callers import Caller, accounts_over, problem, somebody

PASSWORD = "correct horse battery"


@pytest.fixture
def accounts(pg, valkey):
    accounts = accounts_over(pg, valkey)
    yield accounts
    accounts.passwords.close()


@pytest.fixture
def app(accounts):
    return build_asgi(build_routes(edge.endpoints(accounts), AccountsGatekeeper(accounts), accounts.settings))


def fresh() -> str:
    return clock.new_id()


async def signed_up(app, name: str | None = None) -> tuple[Caller, dict]:
    caller = Caller(app)
    name = name or fresh()
    person = {"name": name, "email": f"{name.replace(' ', '.')}@example.org", "password": PASSWORD}
    answer = await caller.post("/api/accounts", person)
    assert answer.status_code == 201, answer.text
    return caller, person


async def test_signing_up_signs_in_and_the_session_says_who(app):
    caller, person = await signed_up(app)
    session = (await caller.get("/api/session")).json()
    assert session["person"]["name"] == person["name"]
    assert session["csrf"]
    assert session["demo"] is True
    assert session["shops"] == session["moderates"] == []


async def test_an_anonymous_session_is_empty(app):
    session = (await Caller(app).get("/api/session")).json()
    assert session == {"person": None, "csrf": None, "demo": True, "shops": [], "moderates": []}


async def test_the_cookie_is_bound_to_the_host_and_out_of_reach_of_scripts(app):
    _, person = await signed_up(app)
    answer = await Caller(app).post("/api/session", {"email": person["email"], "password": PASSWORD})
    assert answer.status_code == 201
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-hawker=")
    assert {"Path=/", "HttpOnly", "Secure", "SameSite=Lax"} <= set(cookie.split("; "))
    assert "Domain" not in cookie


async def test_the_secret_is_kept_as_a_hash_only(app, pg):
    caller, _ = await signed_up(app)
    hashes = [row["token_hash"] for row in await pg.fetch("SELECT token_hash FROM sessions")]
    assert hashlib.sha256(caller.secret.encode()).digest() in hashes
    assert caller.secret.encode() not in hashes


async def test_each_sign_in_starts_a_new_session_and_ends_the_browsers_last(app, accounts):
    caller, person = await signed_up(app)
    first = caller.secret
    assert (
        await caller.post("/api/session", {"email": person["email"].upper(), "password": PASSWORD})
    ).status_code == 201
    assert caller.secret != first
    assert await accounts.sessions.find(first) is None


async def test_unknown_address_and_wrong_password_get_the_same_answer(app):
    _, person = await signed_up(app)
    wrong = await Caller(app).post("/api/session", {"email": person["email"], "password": "not the password"})
    unknown = await Caller(app).post("/api/session", {"email": "nobody@example.org", "password": PASSWORD})
    assert problem(wrong) == problem(unknown) == (401, "wrong_credentials")
    assert wrong.json() == unknown.json()
    assert "set-cookie" not in wrong.headers


async def test_guessing_is_throttled_per_account_from_any_address(app):
    _, person = await signed_up(app)
    guess = {"email": person["email"], "password": "not the password"}
    for n in range(SIGN_IN_ACCOUNT.tries):
        assert problem(await Caller(app, address=f"203.0.113.{n}").post("/api/session", guess))[0] == 401
    last = await Caller(app, address="198.51.100.1").post("/api/session", {**guess, "password": PASSWORD})
    assert problem(last) == (429, "too_many_tries")
    assert 0 < last.json()["retry_after_ms"] <= 15 * 60 * 1000
    assert int(last.headers["retry-after"]) >= 1


async def test_accounts_are_made_so_many_by_a_household_whichever_of_its_addresses_asks(app, monkeypatch):
    """Each address of a /64 had an allowance of its own, and there are 2^64 of them."""
    monkeypatch.setattr("app.accounts.sign_in.SIGN_UP_ADDRESS", Allowance("sign-up-address", 1))

    async def ask(address):
        wanted = {"name": f"Buyer {clock.new_id()[:8]}", "email": f"{clock.new_id()}@example.org", "password": PASSWORD}
        return await Caller(app, address=address).post("/api/accounts", wanted)

    assert (await ask("2001:db8:7::1")).status_code == 201
    assert problem(await ask("2001:db8:7::2:1")) == (429, "too_many_tries")
    for neighbour in ("2001:db8:7:1::1", "203.0.113.77", "203.0.113.78"):
        assert (await ask(neighbour)).status_code == 201


async def test_signing_out_ends_the_session_here_at_once_and_elsewhere_within_its_cache(app, accounts, monkeypatch):
    caller, _ = await signed_up(app)
    elsewhere = accounts_over(accounts.pg, accounts.valkey)
    secret = caller.secret
    assert await elsewhere.sessions.find(secret)
    assert (await caller.ask("DELETE", "/api/session")).status_code == 204
    assert caller.secret is None
    assert await accounts.sessions.find(secret) is None
    later = clock.monotonic_s() + 1
    monkeypatch.setattr(clock, "monotonic_s", lambda: later)
    assert await elsewhere.sessions.find(secret) is None
    elsewhere.passwords.close()


async def test_a_busy_crowd_is_looked_up_together_and_who_signed_out_meanwhile_is_not_kept(accounts, monkeypatch):
    now_s, asked = 1000.0, []
    monkeypatch.setattr(clock, "monotonic_s", lambda: now_s)
    person = await create_account(accounts.pg, name=fresh(), email=None, password_hash=None)
    sessions = accounts.sessions
    secrets = [await sessions.open(person) for _ in range(20)]

    class Counting:
        def __getattr__(self, name):
            return getattr(accounts.pg, name)

        async def fetch(self, statement, hashes):
            asked.append(len(hashes))
            rows = await accounts.pg.fetch(statement, hashes)
            if len(asked) == 3:
                await sessions.end(secrets[5])
            return rows

    monkeypatch.setattr(sessions, "_pg", Counting())
    assert all(await asyncio.gather(*(sessions.find(one) for one in secrets)))
    for one in secrets[:10]:
        assert await sessions.find(one)
    now_s += CACHE_S / 4
    assert await sessions.find(secrets[15])
    assert asked == [20]
    now_s += CACHE_S
    for one in secrets[:10]:
        assert await sessions.find(one)
    assert asked == [20, 11]  # not those who have not come again
    for one in secrets[:10]:
        assert await sessions.find(one)
    now_s += CACHE_S
    assert await sessions.find(secrets[0])
    assert asked == [20, 11, 10]
    assert await sessions.find(secrets[5]) is None


async def test_who_fell_out_of_the_cache_is_not_kept_among_the_busy(accounts, monkeypatch):
    monkeypatch.setattr("app.accounts.sessions.CACHE_MAX", 5)
    person = await create_account(accounts.pg, name=fresh(), email=None, password_hash=None)
    sessions = accounts.sessions
    for _ in range(4):
        secrets = [await sessions.open(person) for _ in range(4)]
        for one in secrets * 2:
            assert await sessions.find(one)
    assert len(sessions._found) == 5
    assert sessions._busy.keys() <= sessions._found.keys()
    await sessions.end(secrets[0])
    assert len(sessions._found) == 4
    assert sessions._busy.keys() <= sessions._found.keys()


async def test_an_expired_session_is_nobodys(app, pg):
    caller, _ = await signed_up(app)
    digest = hashlib.sha256(caller.secret.encode()).digest()
    await pg.execute("UPDATE sessions SET expires_at = now() - interval '1 second' WHERE token_hash = $1", digest)
    assert (await caller.get("/api/session")).json()["person"] is None


@pytest.mark.parametrize("token", [None, "", "wrong", "0" * 64])
async def test_a_write_by_cookie_needs_the_csrf_token(app, token):
    caller, _ = await signed_up(app)
    answer = await caller.ask("DELETE", "/api/session", headers={"X-CSRF-Token": token})
    assert problem(answer) == (403, "csrf")
    assert (await caller.get("/api/session")).json()["person"]


async def test_another_sessions_csrf_token_does_not_do(app):
    caller, _ = await signed_up(app)
    other, _ = await signed_up(app)
    token = (await other.get("/api/session")).json()["csrf"]
    answer = await caller.ask("DELETE", "/api/session", headers={"X-CSRF-Token": token})
    assert problem(answer) == (403, "csrf")


@pytest.mark.parametrize(
    "origin", ["null", "https://shop.example.evil.example", "http://evil.example", "https://shop.example"]
)
async def test_a_write_from_another_sites_page_is_refused(app, origin):
    caller, _ = await signed_up(app)
    answer = await caller.ask("DELETE", "/api/session", headers={"Origin": origin})
    assert problem(answer) == (403, "foreign_origin")
    assert (await caller.ask("DELETE", "/api/session", headers={"Origin": "http://shop.example"})).status_code == 204


async def test_a_bearer_session_needs_no_csrf_token_and_wins_over_the_cookie(app):
    caller, person = await signed_up(app)
    other, _ = await signed_up(app)
    headers = {"Authorization": f"Bearer {caller.secret}", "X-CSRF-Token": None}
    assert (await other.get("/api/session", headers=headers)).json()["person"]["name"] == person["name"]
    bad = {"Authorization": "Bearer nonsense"}
    assert (await other.get("/api/session", headers=bad)).json()["person"] is None


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"name": "The H0st"}, (409, "name_reserved")),
        ({"name": "\u202eevil"}, (400, "name_invalid")),
        ({"email": "nonsense"}, (400, "email_invalid")),
        ({"password": "short"}, (400, "password_weak")),
        ({"password": "x" * 1000}, (400, "malformed")),
        ({"password": 5}, (400, "malformed")),
        ({"admin": True}, (400, "unknown_field")),
    ],
)
async def test_sign_up_says_what_is_wrong_and_makes_no_account(app, pg, change, refused):
    before = await pg.fetchval("SELECT count(*) FROM accounts")
    person = {"name": fresh(), "email": f"{fresh()}@example.org", "password": PASSWORD, **change}
    assert problem(await Caller(app).post("/api/accounts", person)) == refused
    assert await pg.fetchval("SELECT count(*) FROM accounts") == before


async def test_a_name_that_looks_like_anothers_is_taken(app):
    await signed_up(app, "Paula Bill")
    person = {"name": "Pauia B1ll", "email": f"{fresh()}@example.org", "password": PASSWORD}
    assert problem(await Caller(app).post("/api/accounts", person)) == (409, "name_taken")
    person = {"name": fresh(), "email": "PAULA.Bill@example.org", "password": PASSWORD}
    assert problem(await Caller(app).post("/api/accounts", person)) == (409, "email_taken")


async def test_half_a_sign_in_is_malformed(app):
    for body in ({}, {"email": "a@b.c"}, {"demo": "viewer", "email": "a@b.c"}, {"demo": "admin"}):
        assert problem(await Caller(app).post("/api/session", body)) == (400, "malformed")


async def test_every_demo_viewer_is_a_guest_of_their_own(app):
    names = set()
    for _ in range(3):
        answer = await Caller(app).post("/api/session", {"demo": "viewer"})
        assert answer.status_code == 201
        names.add(answer.json()["person"]["name"])
    assert len(names) == 3
    assert all(name.startswith("Guest ") for name in names)


@pytest.mark.parametrize("currency", ["XXX", "eur", "EURO", "", "EUR ", "\u20ac", "XAU", "BTC"])
async def test_a_shop_has_a_currency_that_we_know(pg, currency):
    host = await create_account(pg, name=f"Ida {clock.new_id()}", email=None, password_hash=None)
    refused = await create_shop(pg, name="Clay", currency=currency, host=host)
    assert isinstance(refused, Refusal)
    assert refused.code == "malformed"
    assert await pg.fetchval("SELECT count(*) FROM shop_members WHERE account_id = $1", host) == 0


async def test_the_demo_host_is_the_seeded_one(app, pg):
    host = await create_account(pg, name="Mira", email=None, password_hash=None, demo_role="host")
    shop = await create_shop(pg, name="Mira's things", currency="EUR", host=host)
    session = (await Caller(app).post("/api/session", {"demo": "host"})).json()
    assert session["person"] == {"id": host, "name": "Mira"}
    assert session["shops"] == [{"id": shop, "name": "Mira's things", "currency": "EUR", "role": "host"}]


async def test_without_the_demo_there_are_no_demo_sign_ins(pg, valkey):
    accounts = accounts_over(pg, valkey, demo=False)
    app = build_asgi(build_routes(edge.endpoints(accounts), AccountsGatekeeper(accounts), accounts.settings))
    for role in ("viewer", "moderator", "host"):
        assert problem(await Caller(app).post("/api/session", {"demo": role})) == (404, "demo_off")
    accounts.passwords.close()


async def test_a_ticket_opens_one_socket_of_one_show_once(app, accounts, pg):
    host = await somebody(app, accounts, fresh())
    shop = await create_shop(pg, name="Shop", currency="EUR", host=host.account)
    shows = [fresh(), fresh()]
    for show in shows:
        await pg.execute("INSERT INTO shows (id, shop_id, title) VALUES ($1, $2, 'A show')", show, shop)
    identity = SocketIdentity(accounts)
    answer = await host.post("/api/tickets", {"show": shows[0]})
    assert answer.status_code == 201
    assert answer.json()["expires_in_ms"] == 30_000
    ticket = answer.json()["ticket"]
    person = await identity.redeem_ticket(ticket, shows[0])
    assert person.id == host.account
    assert await identity.redeem_ticket(ticket, shows[0]) is None
    elsewhere = (await host.post("/api/tickets", {"show": shows[0]})).json()["ticket"]
    assert await identity.redeem_ticket(elsewhere, shows[1]) is None
    assert await identity.redeem_ticket(elsewhere, shows[0]) is None


async def test_a_ticket_ends_with_its_session_and_by_itself(app, accounts, pg, valkey):
    host = await somebody(app, accounts, fresh())
    shop = await create_shop(pg, name="Shop", currency="EUR", host=host.account)
    show = fresh()
    await pg.execute("INSERT INTO shows (id, shop_id, title) VALUES ($1, $2, 'A show')", show, shop)
    ticket = (await host.post("/api/tickets", {"show": show})).json()["ticket"]
    for key in await valkey.keys("ticket:*"):
        assert 0 < await valkey.pttl(key) <= 30_000
    session = (await accounts.sessions.find(host.secret)).session
    assert await SocketIdentity(accounts).ended_sessions([session, "never was"]) == ["never was"]
    assert (await host.ask("DELETE", "/api/session")).status_code == 204
    assert await SocketIdentity(accounts).redeem_ticket(ticket, show) is None
    assert await SocketIdentity(accounts).ended_sessions([session]) == [session]


async def test_a_full_show_gives_no_tickets_and_says_when_to_ask_again(app, accounts, pg):
    host = await somebody(app, accounts, fresh())
    shop = await create_shop(pg, name="Shop", currency="EUR", host=host.account)
    show = fresh()
    await pg.execute("INSERT INTO shows (id, shop_id, title) VALUES ($1, $2, 'A show')", show, shop)
    accounts.crowd.caps = Caps(per_show=1)
    _, place = accounts.crowd.take("203.0.113.9", show)
    delays = set()
    for _ in range(8):
        answer = await host.post("/api/tickets", {"show": show})
        assert problem(answer) == (503, "overloaded")
        assert 1 <= int(answer.headers["retry-after"]) <= 5
        delays.add(answer.json()["retry_after_ms"])
    assert len(delays) > 1, "each is told a delay of its own"
    place.leave()
    assert (await host.post("/api/tickets", {"show": show})).status_code == 201


async def test_there_is_no_ticket_for_strangers_or_for_no_show(app):
    assert problem(await Caller(app).post("/api/tickets", {"show": "x"})) == (401, "sign_in")
    caller, _ = await signed_up(app)
    assert problem(await caller.post("/api/tickets", {"show": "nowhere"})) == (404, "not_found")


async def test_standing_knows_hosts_moderators_and_everybody_else(app, accounts, pg):
    host, shop_mod, show_mod, viewer = [await somebody(app, accounts, fresh()) for _ in range(4)]
    shop = await create_shop(pg, name="Shop", currency="EUR", host=host.account)
    await add_member(pg, shop=shop, account=shop_mod.account, role="moderator")
    show, other_show = fresh(), fresh()
    for one in (show, other_show):
        await pg.execute("INSERT INTO shows (id, shop_id, title) VALUES ($1, $2, 'A show')", one, shop)
    await pg.execute("INSERT INTO show_moderators VALUES ($1, $2, $3)", show, show_mod.account, host.account)
    identity = SocketIdentity(accounts)

    async def standing(caller: Caller, show: str) -> Standing | None:
        return await identity.standing(show, await accounts.sessions.find(caller.secret))

    assert await standing(host, show) is Standing.HOST
    assert await standing(shop_mod, show) is Standing.MODERATOR
    assert await standing(show_mod, show) is Standing.MODERATOR
    assert await standing(show_mod, other_show) is Standing.VIEWER
    assert await standing(viewer, show) is Standing.VIEWER
    assert await identity.standing(show, None) is Standing.VIEWER
    assert await identity.standing("nowhere", None) is None


async def test_an_unknown_address_costs_as_much_work_as_a_wrong_password(app, monkeypatch):
    _, person = await signed_up(app)
    worked = []
    honest = passwords._matches
    monkeypatch.setattr(passwords, "_matches", lambda kept, word: worked.append(kept[:31]) or honest(kept, word))
    await Caller(app).post("/api/session", {"email": person["email"], "password": "not the password"})
    await Caller(app).post("/api/session", {"email": "nobody@example.org", "password": PASSWORD})
    # The same algorithm with the same parameters, once each.
    assert len(worked) == 2
    assert worked[0] == worked[1]


async def test_more_sign_ins_than_can_wait_are_told_to_come_back(accounts, monkeypatch):
    monkeypatch.setattr(passwords, "WAITING_MAX", 3)
    outcomes = await asyncio.gather(*(accounts.passwords.verify(None, PASSWORD) for _ in range(5)))
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
    assert len(refused) == 2
    assert {(one.code, one.retry_after_ms) for one in refused} == {("busy", 2000)}
    assert await accounts.passwords.verify(None, PASSWORD) is False
