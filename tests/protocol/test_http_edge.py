"""The HTTP edge on its own: what every door refuses before an action runs, and how failures look."""

import asyncio
import re
from pathlib import Path

import asyncpg
import httpx
import msgspec
import pytest
import redis.exceptions

from app import pages
from app.catalog.photos import UPLOAD_BYTES_MAX
from app.http.body import BODY_TIME_S, time_for
from app.http.edge import build_asgi, build_routes
from app.http.endpoint import Call, Endpoint, Reply
from app.http.headers import SecurityHeaders
from app.person import Person, Right
from app.refusal import Refusal
from app.settings import Settings
from tests.protocol.callers import Caller, problem
from tests.waiting import eventually

SECRET = "s" * 43
FAILURES = {
    "postgres": asyncpg.ConnectionDoesNotExistError("gone"),
    "pool": asyncpg.InterfaceError("pool is closed"),
    "shutdown": asyncpg.AdminShutdownError("terminating"),
    "refused": ConnectionRefusedError(),
    "valkey": redis.exceptions.ConnectionError("gone"),
    "slow": TimeoutError(),
    "ours": ValueError("password=hunter2"),
    "sql": asyncpg.UndefinedTableError("relation secret_table"),
}


class Body(msgspec.Struct, forbid_unknown_fields=True):
    text: str = ""
    count: int = 0
    inner: list["Inner"] = []


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    price: int


class Gate:
    """Everybody with the one secret is Ann; she has every right but in the scope "theirs"."""

    def __init__(self):
        self.scopes = []

    async def identify(self, request):
        secret = request.headers.get("authorization", "").removeprefix("Bearer ") or request.cookies.get(
            "__Host-hawker"
        )
        return Person("ann", "Ann") if secret == SECRET else None

    async def find(self, secret):
        return Person("ann", "Ann") if secret == SECRET else None

    async def refuse(self, right, person, scope):
        self.scopes.append((right, dict(scope)))
        if right is not Right.ANYONE and person is None:
            return Refusal("sign_in", "Sign in.")
        return Refusal("not_found", "Nothing.") if "theirs" in scope.values() else None


class Site:
    """A small application with one endpoint for each thing that a door does."""

    def __init__(self, **settings):
        self.gate = Gate()
        self.calls: list[Call] = []
        self.failure: Exception | None = None
        table = [
            self.endpoint("GET", "/things"),
            self.endpoint("POST", "/things", body=Body),
            self.endpoint("POST", "/once", body=Body, idempotent=True),
            self.endpoint("POST", "/raw", body=bytes, content_types=("image/png",), body_bytes_max=100),
            self.endpoint("POST", "/mine", right=Right.SIGNED_IN, body=Body),
            self.endpoint("POST", "/shows/{show}", right=Right.SHOW_HOST, body=Body),
            self.endpoint("GET", "/shops", right=Right.SHOP_HOST),
            self.endpoint("POST", "/whip/{show}", right=Right.MEDIA_BEARER),
        ]
        self.app = SecurityHeaders(build_asgi(build_routes(table, self.gate, Settings(**settings))), tls=True)

    def endpoint(self, method, path, right=Right.ANYONE, **options):
        return Endpoint(method=method, path=path, right=right, action=self.act, summary="", **options)

    async def act(self, call):
        if self.failure is not None:
            raise self.failure
        self.calls.append(call)
        return Reply({"ok": True})

    def caller(self, secret=None, **options):
        return Caller(self.app, secret, **options)


@pytest.fixture
def site():
    return Site()


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "malformed"),
        (b"{", "malformed"),
        (b"[]", "malformed"),
        (b"null", "malformed"),
        (b"nonsense", "malformed"),
        (b'{"text": 5}', "malformed"),
        (b'{"count": "5"}', "malformed"),
        (b'{"count": 1.5}', "malformed"),
        (b'{"count": true}', "malformed"),
        (b'{"count": 1e400}', "malformed"),
        (b'{"count": NaN}', "malformed"),
        (b'{"count": ' + b"9" * 5000 + b"}", "malformed"),
        (b'{"text": "\\u0000"}', "malformed"),
        (b'{"inner": [{"price": 1}], "text": "a\\u0000"}', "malformed"),
        (b'{"text": "\\ud800"}', "malformed"),
        (b'{"text": "\\udc00\\ud800"}', "malformed"),
        (b'{"text": "\xed\xa0\x80"}', "malformed"),
        (b'{"text": "\xff"}', "malformed"),
        (b'{"text": "\x00"}', "malformed"),
        (b'{"text": "a\nb"}', "malformed"),
        (b'{"inner": ' + b"[" * 9000 + b"]" * 100, "malformed"),
        (b'{"text": ""} {}', "malformed"),
        (b'{"price": 1}', "unknown_field"),
        (b'{"inner": [{"price": 1, "currency": "EUR"}]}', "unknown_field"),
        (b'{"x": ' + b"[" * 9000, "unknown_field"),
    ],
)
async def test_a_bad_body_gets_a_clear_refusal_and_no_action_runs(site, raw, code):
    answer = await site.caller().ask("POST", "/things", content=raw, headers={"Content-Type": "application/json"})
    assert problem(answer) == (400, code)
    assert site.calls == []


async def test_a_refusal_names_the_place_that_is_wrong(site):
    answer = await site.caller().post("/things", {"inner": [{"price": 1}, {"price": "x"}]})
    assert "$.inner[1].price" in answer.json()["detail"]
    answer = await site.caller().post("/things", {"inner": [{"price": 1, "currency": "EUR"}]})
    assert "`currency`" in answer.json()["detail"]
    assert "$.inner[0]" in answer.json()["detail"]


async def test_text_that_only_looks_like_a_nul_passes(site):
    answer = await site.caller().post("/things", {"text": "\\u0000"})
    assert answer.status_code == 200
    assert site.calls[0].body.text == "\\u0000"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonp"])
async def test_another_content_type_is_refused(site, kind):
    answer = await site.caller().ask("POST", "/things", content=b"{}", headers={"Content-Type": kind})
    assert problem(answer) == (415, "content_type")
    answer = await site.caller().ask(
        "POST", "/things", content=b"{}", headers={"Content-Type": "Application/JSON; charset=utf-8"}
    )
    assert answer.status_code == 200


async def test_a_body_is_refused_by_its_length_and_while_it_streams(site):
    big = {"text": "x" * 20_000}
    assert problem(await site.caller().post("/things", big)) == (413, "too_large")
    sent = 0

    async def endless():
        nonlocal sent
        while True:
            sent += 1024
            yield b" " * 1024

    answer = await site.caller().ask("POST", "/things", content=endless(), headers={"Content-Type": "application/json"})
    assert problem(answer) == (413, "too_large")
    assert answer.json()["details"] == {"bytes_max": 16 * 1024}
    png = {"Content-Type": "image/png"}
    assert (await site.caller().ask("POST", "/raw", content=b"x" * 100, headers=png)).status_code == 200
    assert problem(await site.caller().ask("POST", "/raw", content=b"x" * 101, headers=png)) == (413, "too_large")


@pytest.mark.parametrize("key", [None, "", "x" * 256, "schlüssel".encode(), "a\tb"])
async def test_an_idempotency_key_is_demanded_where_the_endpoint_says_so(site, key):
    answer = await site.caller().ask("POST", "/once", {}, headers={"Idempotency-Key": key})
    assert problem(answer) == (400, "idempotency_key")


async def test_a_proper_idempotency_key_reaches_the_action_and_others_do_not(site):
    for path in ("/once", "/things"):
        assert (await site.caller().ask("POST", path, {}, headers={"Idempotency-Key": "k" * 255})).status_code == 200
    assert [call.idempotency_key for call in site.calls] == ["k" * 255, None]


async def test_unknown_paths_and_methods_are_problems(site):
    for path in ("/nothing", "/things/", "/", "/shows/", "/shows/a/b"):
        assert problem(await site.caller().get(path)) == (404, "not_found")
    answer = await site.caller().ask("DELETE", "/things")
    assert problem(answer) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD, POST"
    assert (await site.caller().ask("HEAD", "/things")).status_code == 200


@pytest.mark.parametrize("name", ["%00", "..%2f", "a%20b", "x" * 129, "%ff", "sh%C3%B6w", "a.b", "a%0a"])
async def test_a_name_in_the_path_that_no_id_has_is_not_found(site, name):
    answer = await site.caller(SECRET).ask("POST", f"/shows/{name}", {})
    assert problem(answer) == (404, "not_found")
    assert site.gate.scopes == []


async def test_the_right_is_asked_with_the_scope_in_its_order(site):
    ann = site.caller(SECRET)
    assert (await ann.post("/shows/one?shop=two", {})).status_code == 200
    assert (await ann.get("/shops?shop=two")).status_code == 200
    assert problem(await ann.get("/shops?shop=theirs")) == (404, "not_found")
    assert problem(await ann.get("/shops?shop=%00")) == (404, "not_found")
    assert [scope for right, scope in site.gate.scopes if right is not Right.ANYONE] == [
        {"show": "one"},
        {"shop": "two"},
        {"shop": "theirs"},
    ]


async def test_who_is_not_signed_in_learns_that_before_anything_about_the_body(site):
    answer = await site.caller().ask("POST", "/mine", content=b"nonsense")
    assert problem(answer) == (401, "sign_in")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("name", FAILURES)
async def test_a_failure_shows_no_internals_and_an_outage_says_when_to_come_back(site, name):
    site.failure = FAILURES[name]
    answer = await site.caller().get("/things")
    if name in {"ours", "sql"}:
        assert problem(answer) == (500, "internal")
    else:
        assert problem(answer) == (503, "unavailable")
        assert answer.headers["retry-after"] == "1"
        assert answer.json()["retry_after_ms"] == 1000
    assert not re.search("hunter2|secret_table|Error|Traceback", answer.text)


async def test_a_media_call_from_another_site_counts_as_anonymous_and_is_not_refused(site):
    ann = site.caller(SECRET)
    assert (await ann.ask("POST", "/whip/one", headers={"Origin": "https://evil.example"})).status_code == 200
    assert (await ann.ask("POST", "/whip/one", headers={"Origin": "http://shop.example"})).status_code == 200
    assert [call.person for call in site.calls] == [None, Person("ann", "Ann")]


async def test_the_clients_address_comes_through_trusted_proxies_only():
    site = Site(trusted_proxies=("10.0.0.0/8",))
    forwarded = {"X-Forwarded-For": "198.51.100.7, 10.1.1.1", "X-Forwarded-Proto": "https"}
    await site.caller(address="10.0.0.1").get("/things", headers=forwarded)
    await site.caller(address="203.0.113.5").get("/things", headers=forwarded)
    assert [call.address for call in site.calls] == ["198.51.100.7", "203.0.113.5"]
    https = {**forwarded, "Origin": "https://shop.example"}
    assert (await site.caller(address="10.0.0.1").ask("POST", "/things", {}, headers=https)).status_code == 200
    assert problem(await site.caller(address="203.0.113.5").ask("POST", "/things", {}, headers=https)) == (
        403,
        "foreign_origin",
    )


async def test_every_answer_carries_the_security_headers(site):
    for path in ("/things", "/nothing"):
        headers = (await site.caller().get(path)).headers
        policy = {
            rule.partition(" ")[0]: rule.partition(" ")[2] for rule in headers["content-security-policy"].split("; ")
        }
        assert policy["default-src"] == "'self'"
        assert policy["script-src"] == "'self'"
        assert policy["frame-ancestors"] == "'none'"
        assert policy["base-uri"] == "'none'"
        assert policy["connect-src"] == "'self' ws://shop.example wss://shop.example"
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"
        assert "camera=(self)" in headers["permissions-policy"]
        assert headers["strict-transport-security"].startswith("max-age=")


async def test_a_host_header_cannot_write_into_the_policy(site):
    transport = httpx.ASGITransport(site.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.example") as client:
        answer = await client.get("/things", headers={"Host": "evil; script-src *"})
    assert "evil" not in answer.headers["content-security-policy"]


async def test_browsers_are_not_told_to_insist_on_https_where_there_is_none():
    site = Site()
    app = SecurityHeaders(site.app.app, tls=False)
    assert "strict-transport-security" not in (await Caller(app).get("/things")).headers


async def test_a_body_that_never_comes_is_given_up(site, monkeypatch):
    monkeypatch.setattr("app.http.body.BODY_TIME_S", 0.01)

    async def silence():
        yield b"{"
        await asyncio.Event().wait()

    answer = await site.caller().ask("POST", "/things", content=silence(), headers={"Content-Type": "application/json"})
    assert problem(answer) == (408, "slow_body")


async def test_a_body_has_the_longer_the_more_of_it_has_come(site, monkeypatch):
    """A photo over a slow line was refused whatever its size; who falls behind the least rate is still given up."""
    monkeypatch.setattr("app.http.body.BODY_TIME_S", 0.01)
    monkeypatch.setattr("app.http.body.BODY_RATE", 1)

    began = asyncio.get_running_loop().time()

    async def past_the_time() -> bool:
        return asyncio.get_running_loop().time() > began + 0.05

    async def slow():
        yield b'{"text": '
        await eventually(past_the_time)
        yield b'"slow"}'

    headers = {"Content-Type": "application/json"}
    answer = await site.caller().ask("POST", "/things", content=slow(), headers=headers)
    assert answer.status_code != 408
    monkeypatch.setattr("app.http.body.BODY_RATE", 1_000_000)
    began = asyncio.get_running_loop().time()
    answer = await site.caller().ask("POST", "/things", content=slow(), headers=headers)
    assert problem(answer) == (408, "slow_body")


def test_the_largest_file_has_the_time_that_a_page_waits_for_it():
    """The page gave an upload five minutes, the server 20 s in all: slow lines could not send a photo."""
    api = (Path(pages.__file__).parent / "shared" / "api.js").read_text()
    patience_s = int(re.search(r"FILE_PATIENCE_MS = ([0-9_]+)", api)[1]) / 1000
    assert BODY_TIME_S < 60  # who sends nothing
    assert (
        UPLOAD_BYTES_MAX / (512_000 / 8) < time_for(UPLOAD_BYTES_MAX) < patience_s - 60
    )  # over half a megabit a second
