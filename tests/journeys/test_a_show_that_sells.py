"""The main job from end to end, in a real Chromium: a host, two viewers and a moderator in one show."""

import asyncio
import io
import re
from pathlib import Path

import asyncpg
import pytest
from PIL import Image, ImageDraw
from playwright.async_api import Browser, expect

from tests.journeys.browser import PLAYER_ASKS, Window, open_window
from tests.journeys.people import Host, Moderator, Viewer
from tests.journeys.pictures import colour, wait_for_change, wait_for_frames

DECLINED = r"402 POST /api/orders"
PENDING = r"(504|409) POST /api/orders"
TAKE_OVER = r"409 POST /whip/.*"
AFTER_THE_END = r"404 DELETE /wh[ei]p/.*"  # the show's end had ended the session already


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A picture of a product, as a host would choose it from disk."""
    image = Image.new("RGB", (800, 600), "#2f5d50")
    ImageDraw.Draw(image).ellipse((200, 100, 600, 500), fill="#e8d9c0")
    body = io.BytesIO()
    image.save(body, "JPEG")
    path = tmp_path / "bowl.jpg"
    path.write_bytes(body.getvalue())
    return path


async def look(window: Window) -> None:
    """Fails unless the window's video is decoded and moves."""
    await wait_for_frames(window.page, 20)
    await wait_for_change(window.page)


async def sees_another_picture(window: Window, before: tuple[int, int, int]) -> None:
    """Waits until the picture's mean colour is far from what it was."""
    async with asyncio.timeout(60):
        while sum(abs(now - then) for now, then in zip(await colour(window.page), before, strict=True)) < 40:
            await wait_for_frames(window.page, 3)


@pytest.mark.timeout(300)
async def test_the_demo_show_moves_at_once_and_gives_way_to_a_camera(own_hawker, browser: Browser) -> None:
    """Nobody has done anything yet, and there is a picture; a host's camera then replaces it for who watches."""
    running = own_hawker(DEMO_FRAMES_PER_S="15").start()
    viewer = Viewer(await open_window(browser, "viewer", running.base_url))
    host = Host(await open_window(browser, "host", running.base_url))
    await viewer.enter("demo")
    await look(viewer.window)
    drawn = await colour(viewer.page)

    await host.page.goto("/studio/demo#demo=host")
    await host.go_on_air()
    await look(viewer.window)
    await sees_another_picture(viewer.window, drawn)
    await host.see_the_stream_arrive()
    viewer.window.check(PLAYER_ASKS)
    host.window.check(TAKE_OVER, PLAYER_ASKS)


@pytest.mark.timeout(400)
async def test_a_host_sells_to_two_viewers_while_a_moderator_keeps_order(
    own_hawker, browser: Browser, photo: Path
) -> None:
    """All five points of the main job, from an empty show to the rows of its orders."""
    running = own_hawker(PAYMENT_TIMEOUT_S="2", SETTLE_AFTER_S="1").start()
    windows = [await open_window(browser, name, running.base_url) for name in ("host", "ana", "ben", "moderator")]
    host, ana, ben, moderator = Host(windows[0]), Viewer(windows[1]), Viewer(windows[2]), Moderator(windows[3])

    show = await prepare_the_show(host, photo)
    await moderator.page.goto("/#demo=moderator")
    await expect(moderator.page.locator("#who")).to_be_visible()
    await host.appoint(await moderator.name())
    await asyncio.gather(ana.enter(show), ben.enter(show), moderator.enter(show))
    await asyncio.gather(look(ana.window), look(ben.window))
    await expect(host.page.locator("#watching")).to_have_text(re.compile(r"[2-9]|\d\d"))

    await talk(host, ana, ben)
    await sell_out(host, ana, ben)
    await keep_order(moderator, ana, ben)
    await check_orders(running.postgres_url, show, host)

    await host.end_show()
    for viewer in (ana, ben):
        await expect(viewer.page.locator(".stage-words")).to_contain_text("ended")
    for window in windows:
        window.check(PLAYER_ASKS, TAKE_OVER, DECLINED, PENDING, AFTER_THE_END)


async def prepare_the_show(host: Host, photo: Path) -> str:
    """A new show with a new product and one from the shelf, in the order that the host wants, on air."""
    await host.enter_studio()
    show = await host.create_show("Bowls at dusk")
    await host.add_product("Dusk bowl", "40.00", 8, photo)
    shelf = host.page.locator("#lineup details.others li h3").first
    await host.page.locator("#lineup details.others > summary").click()
    other = await shelf.inner_text()
    await host.page.get_by_role("button", name=f"Put {other} in the show").click()
    await expect(host.row(other)).to_be_visible()
    await host.page.get_by_role("button", name=f"Move {other} up").click()
    await expect(host.page.locator("#lineup-rows .desk-row h3")).to_have_text([other, "Dusk bowl"])
    await host.start_show()
    await host.go_on_air()
    return show


async def talk(host: Host, ana: Viewer, ben: Viewer) -> None:
    """Words go from everybody to everybody; text is text."""
    await ana.say("Is the glaze food safe?")
    await asyncio.gather(ben.sees_line("Is the glaze food safe?"), host.sees_line("Is the glaze food safe?"))
    await host.say("It is, and <b>dishwasher</b> safe too")
    await ana.sees_line("It is, and <b>dishwasher</b> safe too")
    await expect(ana.page.locator(".chat-line.host .badge.standing")).to_have_text("Host")


async def sell_out(host: Host, ana: Viewer, ben: Viewer) -> None:
    """A pin, a flash sale of three, two buyers: one is declined first, the other's payment hangs."""
    await host.pin("Dusk bowl")
    for viewer in (ana, ben):
        await expect(viewer.pinned.locator(".offer-title")).to_have_text("Dusk bowl")
        await expect(viewer.pinned.locator(".offer-price")).to_have_text(re.compile("40.00"))
        await viewer.sees_stock("8 left")
    await host.start_sale("Dusk bowl", percent=25, allotment=3, limit=2)
    for viewer in (ana, ben):
        await expect(viewer.pinned.locator(".offer-price")).to_have_text(re.compile("30.00"))
        await expect(viewer.pinned.locator(".offer-list")).to_have_text(re.compile("40.00"))
        await expect(viewer.pinned.locator(".offer-sale")).to_have_text(re.compile(r"Flash sale · [12]:\d\d"))
        await viewer.sees_stock("3 left")

    await ana.hold(2)
    await ben.sees_stock("1 left")
    await expect(ana.page.locator("#hold-clock")).to_have_text(re.compile(r"\d:\d\d"))
    await ana.pay("declines")
    await expect(ana.sheet.locator(".sheet-note")).to_contain_text("declined")
    await ben.sees_stock("3 left")
    await ben.hold(1)
    await ana.sees_stock("2 left")
    await ana.pay("works")
    await ana.order_number()
    await expect(ben.page.locator(".chat-note.sold")).to_contain_text(re.compile("Sold: 2 . Dusk bowl"))
    await ben.pay_late()
    await ben.order_number()
    for viewer in (ana, ben):
        await viewer.sees_stock("Sold out")
    await expect(host.page.locator("#order-rows .order-row")).to_have_count(2)
    await expect(host.page.locator("#orders-total")).to_have_text(re.compile(r"2 · .*90.00"))


async def keep_order(moderator: Moderator, ana: Viewer, ben: Viewer) -> None:
    """A message goes, its author is timed out; everybody sees it, and the author's next words stay in the box."""
    await ana.say("something rude")
    await ben.sees_line("something rude")
    await moderator.sees_line("something rude")
    await moderator.delete("something rude")
    await expect(ben.line("something rude")).to_have_count(0)
    await expect(ben.page.locator(".chat-line.gone")).to_have_count(1)

    await ana.say("and another thing")
    await moderator.sees_line("and another thing")
    await moderator.time_out("and another thing", 60)
    name = await ana.name()
    await expect(ben.page.locator(".chat-note.mod", has_text=name)).to_be_visible()
    await expect(moderator.page.locator("#out-rows .out-row", has_text=name)).to_be_visible()
    await expect(ana.page.locator("#message-wait")).to_have_text(re.compile(r"You can send in (1 min|[1-5]?\d s)"))
    await ana.message_box.fill("you cannot stop me")
    await ana.message_box.press("Enter")
    await expect(ana.message_box).to_have_value("you cannot stop me")
    await expect(ben.line("you cannot stop me")).to_have_count(0)


async def check_orders(postgres_url: str, show: str, host: Host) -> None:
    """The truth has both orders, at the sale's price, and the page shows the same numbers."""
    connection = await asyncpg.connect(postgres_url)
    rows = await connection.fetch(
        "SELECT id, state, total_minor, currency FROM orders WHERE show_id = $1 ORDER BY total_minor", show
    )
    await connection.close()
    assert [(row["total_minor"], row["state"]) for row in rows] == [(3000, "paid"), (6000, "paid")]
    shown = await host.page.locator("#order-rows .order-row").evaluate_all("rows => rows.map((r) => r.dataset.order)")
    assert sorted(shown) == sorted(row["id"] for row in rows)
