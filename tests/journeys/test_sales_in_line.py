"""A hot evening in three windows: a waitlist whose offer is paid, and a waiting room that lets people in one by one."""

import re

from playwright.async_api import Browser, expect

from tests.journeys.browser import PLAYER_ASKS, open_window
from tests.journeys.people import WAIT_S, Host, Viewer
from tests.waiting import eventually

EXPECTED = (PLAYER_ASKS, r"402 POST /api/orders", r"409 POST /api/orders", r"409 POST /api/holds")
TWO_HOURS_MS = 7_200_000
TITLE = "Slow vase"  # of the demo's line-up, not pinned at first


async def people(hawker, browser: Browser) -> tuple[Host, Viewer, Viewer]:
    """The host on the desk of the demo's show, and two viewers whose devices' clocks are wrong."""
    host = Host(await open_window(browser, "host", hawker.base_url))
    ana = Viewer(await open_window(browser, "ana", hawker.base_url, clock_off_ms=-TWO_HOURS_MS))
    ben = Viewer(await open_window(browser, "ben", hawker.base_url, phone=True, clock_off_ms=TWO_HOURS_MS))
    await host.enter_studio()
    await host.page.goto("/studio/demo")
    await expect(host.page.locator("#lineup-rows .desk-row").first).to_be_visible()
    for viewer in (ana, ben):
        await viewer.enter("demo")
    return host, ana, ben


async def open_form(host: Host, title: str, **choices: str):
    """The sale's form, filled in but not sent."""
    await host.row(title).locator('[data-does="sale"]').click()
    dialog = host.page.get_by_role("dialog")
    for name, value in choices.items():
        control = dialog.locator(f'[name="{name}"]')
        await (control.select_option(value) if name == "countdown" else control.fill(value))
    return dialog


def joins(viewer: Viewer):
    """The button of the pinned card that joins its line."""
    return viewer.pinned.locator(".offer-join")


async def test_what_comes_back_is_offered_to_who_waits_and_a_decline_keeps_their_turn(own_hawker, browser) -> None:
    hawker = own_hawker().start()
    host, ana, ben = await people(hawker, browser)
    title = TITLE
    await host.pin(title)
    await host.start_sale(title, percent=25, allotment=1, limit=1)
    await ana.sees_stock("1 left")
    await ana.hold()
    await expect(ana.page.locator("#hold-clock")).to_have_text(re.compile(r"[12]:\d\d"))
    await expect(joins(ben)).to_have_text("Join the waitlist")
    await joins(ben).click()
    await expect(ben.page.locator("#lines")).to_contain_text("You are number 1 in line")
    await expect(host.page.locator("#sale-rows")).to_contain_text("1 in line")
    await ana.sheet.get_by_role("button", name="Let it go").click()
    await expect(ben.page.locator("#held")).to_contain_text("offered to you, who waited")
    await expect(joins(ana)).to_have_text("Join the waitlist")
    await ben.page.locator("#held .held-item").click()
    await ben.pay("declines")
    await expect(ben.sheet.locator(".sheet-note")).to_contain_text("declined")
    await expect(ben.page.locator("#held")).to_contain_text("offered to you, who waited")
    await ben.pay("works")
    await ben.order_number()
    await ana.sees_stock("Sold out")
    await host.page.locator('[data-does="extend-sale"]').click()
    await host.page.locator('[data-does="add-stock"]').click()
    await host.page.get_by_role("dialog").locator('[name="units"]').fill("2")
    await host.page.locator("#add-units").click()
    await ana.sees_stock("2 left")
    await expect(ana.pinned.locator(".offer-sale")).to_have_text(re.compile(r"Flash sale · [23]:\d\d"))
    for one in (host, ana, ben):
        one.window.check(*EXPECTED)


async def test_a_waiting_room_lets_people_in_one_by_one(own_hawker, browser) -> None:
    """Of a product that is not pinned: it is as near at hand on a phone as in a large window."""
    hawker = own_hawker().start()
    host, ana, ben = await people(hawker, browser)
    title = TITLE
    dialog = await open_form(host, title, countdown="300", allotment="1", limit="1")
    await dialog.get_by_label(re.compile("Waiting room")).check()
    await dialog.locator("#start-sale").click()
    for viewer in (ana, ben):
        strip = viewer.page.locator("#sales .offer", has_text=title)
        await expect(strip.locator(".offer-sale")).to_have_text(re.compile(r"in [34]:\d\d"))
        await expect(strip.locator(".offer-stock")).to_have_text("1 in the sale")
        await strip.get_by_role("button", name="Join the waiting room").click()
        await expect(viewer.page.locator("#lines")).to_contain_text("You are in the waiting room")
    await expect(ana.page.locator("#lines")).to_contain_text(re.compile(r"2 here\..*Sealed draw [0-9a-f]{12}"))
    await host.page.locator('[data-does="start-sale"]').click()
    turn = re.compile("It is your turn")
    first_is_ana = await _is_first(ana, ben)
    first, second = (ana, ben) if first_is_ana else (ben, ana)
    await expect(first.page.locator("#sales").get_by_role("button", name=f"Buy: {title}")).to_be_enabled()
    await expect(second.page.locator("#lines")).to_contain_text("You are number 1 in line")
    await expect(second.page.get_by_role("link", name="Check the draw")).to_be_visible()
    await expect(first.page.locator("#lines")).to_contain_text(turn)
    await first.page.locator('#lines [data-does="take"]').click()
    await first.page.locator("#hold").click()
    await expect(first.sheet).to_have_attribute("data-step", "pay")
    await first.sheet.get_by_role("button", name="Let it go").click()
    await expect(second.page.locator("#lines")).to_contain_text(turn)
    await second.page.locator('#lines [data-does="take"]').click()
    await second.page.locator("#hold").click()
    await second.pay("works")
    await second.order_number()
    await host.pin(title)
    for viewer in (ana, ben):
        await expect(viewer.page.locator("#sales")).to_be_hidden()  # it is the pinned card now
    for one in (host, ana, ben):
        one.window.check(*EXPECTED)


async def _is_first(ana: Viewer, ben: Viewer) -> bool:
    """Who of the two was drawn first: their turn has come, whatever they saw of their place before."""

    async def whose_turn() -> Viewer | None:
        for viewer in (ana, ben):
            if "It is your turn" in await viewer.page.locator("#lines").inner_text():
                return viewer
        return None

    return await eventually(whose_turn, WAIT_S, "somebody's turn") is ana
