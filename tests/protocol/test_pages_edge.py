"""The static pages: their addresses, revalidation, and nothing from outside their folder."""

import pytest

from app.checkout.edge import page_guests
from app.http.edge import build_asgi
from app.http.headers import SecurityHeaders
from app.http.pages import PAGE_OF, PAGES, page_routes
from app.settings import Settings, StripeSettings
from tests.protocol.callers import Caller, problem


@pytest.fixture
def folder(tmp_path):
    pages = tmp_path / "pages"
    for name in {*PAGE_OF.values(), "shared"}:
        (pages / name).mkdir(parents=True)
        (pages / name / "index.html").write_text(f"<!doctype html><title>{name}</title>")
    (pages / "shared" / "room.js").write_text("export {}")
    (pages / "shared" / "notes.py").write_text("secret")
    (pages / "shared" / "big.js").write_bytes(b" " * (4 * 1024 * 1024 + 1))
    (tmp_path / "outside.js").write_text("secret")
    (pages / "shared" / "link.js").symlink_to(tmp_path / "outside.js")
    return pages


@pytest.fixture
def caller(folder):
    return Caller(build_asgi(page_routes(folder)))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/", "home"),
        ("/watch/demo", "watch"),
        ("/studio", "studio"),
        ("/studio/demo", "studio"),
        ("/moderate/demo", "moderate"),
        ("/sign-in", "sign-in"),
    ],
)
async def test_each_address_shows_its_page(caller, path, name):
    answer = await caller.get(path)
    assert answer.status_code == 200
    assert f"<title>{name}</title>" in answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


async def test_every_page_is_really_there():
    assert all((PAGES / name / "index.html").is_file() for name in PAGE_OF.values())


async def test_a_browser_asks_again_and_gets_it_only_when_it_changed(caller, folder):
    first = await caller.get("/static/shared/room.js")
    assert first.headers["content-type"] == "text/javascript; charset=utf-8"
    assert first.headers["cache-control"] == "no-cache"
    asking = {"If-None-Match": first.headers["etag"]}
    again = await caller.get("/static/shared/room.js", headers=asking)
    assert (again.status_code, again.content) == (304, b"")
    (folder / "shared" / "room.js").write_text("export const changed = true")
    changed = await caller.get("/static/shared/room.js", headers=asking)
    assert changed.status_code == 200
    assert changed.text == "export const changed = true"


@pytest.mark.parametrize(
    "path",
    [
        "shared/notes.py",
        "shared/big.js",
        "shared/link.js",
        "shared",
        "",
        "nothing.js",
        "../outside.js",
        "%2e%2e/outside.js",
        "shared/..%2f..%2foutside.js",
        "/etc/passwd",
        "%00.js",
        "x" * 300 + ".js",
        "%C3%BC" * 150 + ".js",
        "shared/room.js/x.js",
        "caf%C3%A9%FF.js",
    ],
)
async def test_nothing_else_is_served(caller, path):
    assert problem(await caller.get(f"/static/{path}")) == (404, "not_found")


async def test_a_person_at_a_wrong_address_sees_a_page_and_a_program_a_problem(caller):
    """A person saw the problem document's JSON."""
    looking = await caller.get("/watch/demo/", headers={"Accept": "text/html,application/xhtml+xml"})
    assert (looking.status_code, looking.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert 'href="/"' in looking.text
    assert problem(await caller.get("/watch/demo/")) == (404, "not_found")


@pytest.mark.parametrize("configured", [True, False])
async def test_only_the_watch_page_lets_stripe_in_and_only_where_it_is_configured(folder, configured):
    stripe = StripeSettings(secret_key="sk_test_1", publishable_key="pk_test_1") if configured else None
    shell = SecurityHeaders(build_asgi(page_routes(folder)), tls=False, guests=page_guests(Settings(stripe=stripe)))
    caller = Caller(shell)
    for path in ("/", "/watch/demo", "/studio", "/studio/demo", "/moderate/demo", "/sign-in", "/api/orders"):
        policy = (await caller.get(path)).headers["content-security-policy"]
        directives = {one.split()[0]: one.split()[1:] for one in policy.split(";")}
        welcome = configured and path == "/watch/demo"
        assert ("stripe" in policy) is welcome, path
        assert directives["script-src"][1:] == (["https://js.stripe.com", "https://*.js.stripe.com"] if welcome else [])
        assert directives["style-src"] == ["'self'"]
