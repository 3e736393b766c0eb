"""The cookie by which a browser is known again, over HTTP, and what is kept of it."""

import hashlib

from app import clock
from app.accounts import edge
from app.accounts.gatekeeper import AccountsGatekeeper
from app.http.edge import build_asgi, build_routes
from tests.protocol.callers import Caller, accounts_over

PASSWORD = "correct horse battery"


async def test_a_browser_is_known_again_by_a_cookie_of_which_the_server_keeps_a_keyed_hash(pg, valkey):
    accounts = accounts_over(pg, valkey)
    app = build_asgi(build_routes(edge.endpoints(accounts), AccountsGatekeeper(accounts), accounts.settings))
    answer = await Caller(app).get("/api/session")
    device = answer.headers["set-cookie"].split(";")[0]
    assert device.startswith("__Host-hawker-device=")
    assert {"Path=/", "HttpOnly", "Secure", "SameSite=Lax"} <= set(answer.headers["set-cookie"].split("; "))
    again = await Caller(app).get("/api/session", headers={"Cookie": device})
    assert "set-cookie" not in again.headers
    person = {"name": clock.new_id(), "email": f"{clock.new_id()}@example.org", "password": PASSWORD}
    assert (await Caller(app).post("/api/accounts", person)).status_code == 201
    answers = []
    for address in ("198.51.100.1", "198.51.100.2"):
        caller = Caller(app, address=address)
        wanted = {"email": person["email"], "password": PASSWORD}
        answers.append((await caller.post("/api/session", wanted, headers={"Cookie": device})).json())
    rows = await pg.fetch(
        "SELECT kind, hash FROM account_hints WHERE account_id = $1 AND seen_at > now() - interval '1 minute'",
        answers[0]["person"]["id"],
    )
    assert sorted(row["kind"] for row in rows) == ["address"] * 3 + ["device"]  # one of them from signing up
    secret = device.partition("=")[2].encode()
    assert hashlib.sha256(secret).digest() not in {row["hash"] for row in rows}
    assert hashlib.sha256(b"device " + secret).digest() not in {row["hash"] for row in rows}
    accounts.passwords.close()
