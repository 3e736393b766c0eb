"""The cookie by which a browser is known again, over HTTP, and what is kept of it."""

import dataclasses
import hashlib
import os
import stat
from unittest.mock import patch

import pytest

from app import clock
from app.accounts import edge
from app.accounts.gatekeeper import AccountsGatekeeper
from app.accounts.hints import Hints, hint_key
from app.http.edge import build_asgi, build_routes
from app.settings import Settings
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


async def test_who_signs_in_is_let_in_where_no_key_can_be_kept(pg, valkey):
    """They were told for ever that a part of the service restarts."""

    def refuse():
        raise PermissionError("the folder is not ours")

    accounts = dataclasses.replace(accounts_over(pg, valkey), hints=Hints(pg, refuse))
    app = build_asgi(build_routes(edge.endpoints(accounts), AccountsGatekeeper(accounts), accounts.settings))
    person = {"name": clock.new_id(), "email": f"{clock.new_id()}@example.org", "password": PASSWORD}
    caller = Caller(app, address="198.51.100.3")
    assert (await caller.post("/api/accounts", person)).status_code == 201
    wanted = {"email": person["email"], "password": PASSWORD}
    assert (await caller.post("/api/session", wanted)).status_code == 201
    accounts.passwords.close()


def test_a_key_that_cannot_be_written_leaves_nothing_behind(tmp_path):
    """Each who signed in left a file."""
    with patch("pathlib.Path.write_text", side_effect=OSError("no space")), pytest.raises(OSError, match="no space"):
        hint_key(Settings(data_dir=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_key_is_on_the_disk_before_it_has_its_name_and_its_name_before_it_is_used(tmp_path):
    """After a loss of power it could be there, and empty."""
    done, link, sync = [], os.link, os.fsync

    def synced(opened):
        done.append("folder" if stat.S_ISDIR(os.fstat(opened).st_mode) else "file")
        sync(opened)

    def linked(*paths):
        done.append("link")
        link(*paths)

    with patch("os.fsync", synced), patch("os.link", linked):
        key = hint_key(Settings(data_dir=tmp_path))
    assert done == ["file", "link", "folder"]
    assert hint_key(Settings(data_dir=tmp_path)) == key != b""
