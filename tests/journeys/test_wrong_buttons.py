"""People press what they should not, come where they may not, and lose their connection: the pages stay kind."""

import os
import re
import signal
from collections.abc import Iterator

import pytest
from playwright.async_api import Browser, expect

from tests.journeys.browser import NARROW, PLAYER_ASKS, Window, open_window, sticks_out
from tests.journeys.people import Host, Viewer
from tests.journeys.pictures import wait_for_frames
from tests.running import RunningHawker

pytestmark = pytest.mark.timeout(240)
DRAWN = {  # page: what is there once it is drawn
    "/": ".show-card",
    "/sign-in": "#demo button",
    "/watch/demo": "#pinned .offer",
    "/studio": ".show-row",
    "/studio/demo": "#lineup-rows .desk-row",
    "/moderate/demo": "#message",
}


@pytest.fixture(scope="module")
def odd_hawker(make_hawker) -> Iterator[RunningHawker]:
    """One whose holds are short and whose browsers come through a proxy, to be killed and started again."""
    running = make_hawker(HOLD_TTL_S="3", TRUSTED_PROXIES="127.0.0.1")
    yield running
    running.stop()


async def test_somebody_without_a_name_watches_and_signs_up_to_take_part(hawker, browser: Browser) -> None:
    """Chat and purchase, pressed twice, lead to the sign-in page, and from there back to the show."""
    viewer = Viewer(await open_window(browser, "passer-by", hawker.base_url))
    await viewer.enter("demo", demo=False)
    await expect(viewer.page.get_by_role("link", name="Sign in to chat")).to_be_visible()
    # The second click falls beside the sheet, which must not take it for a wish to leave.
    await viewer.pinned.locator(".buy").dblclick()
    await expect(viewer.sheet).to_have_attribute("data-step", "sign-in")
    await viewer.sheet.get_by_role("link", name="Sign in").click()
    await viewer.page.get_by_role("button", name="Create account").first.click()
    await viewer.page.get_by_label("Name that others see").fill("Passer By")
    await viewer.page.get_by_label("Email").fill("passer.by@example.com")
    await viewer.page.get_by_label("Password").fill("a long enough pass phrase")
    await viewer.page.locator("#submit").click()
    await viewer.page.wait_for_url("**/watch/demo")
    assert await viewer.name() == "Passer By"
    await viewer.say("here I am")
    await viewer.sees_line("here I am")
    viewer.window.check(PLAYER_ASKS)


async def test_the_sign_in_page_leads_back_to_this_site_only(hawker, browser: Browser) -> None:
    """`/.//elsewhere` is an address of this site whose path, taken alone, named another."""
    page = (await open_window(browser, "led astray", hawker.base_url)).page
    await page.goto("/sign-in?next=/.//127.0.0.1:9/astray")
    await page.locator("#demo button[data-demo=viewer]").click()
    await page.wait_for_url(f"{hawker.base_url}//127.0.0.1:9/astray")


async def test_a_wrong_password_and_a_taken_name_are_told_and_nothing_typed_is_lost(hawker, browser: Browser) -> None:
    """The form says what is wrong in a sentence and keeps its fields."""
    window = await open_window(browser, "forgetful", hawker.base_url)
    page = window.page
    await page.goto("/sign-in")
    await page.get_by_label("Email").fill("nobody@example.com")
    await page.get_by_label("Password").fill("not the password")
    await page.locator("#submit").click()
    await expect(page.locator("#error")).to_be_visible()
    await expect(page.get_by_label("Email")).to_have_value("nobody@example.com")
    await page.locator("#choose-create").click()
    await expect(page.locator("#error")).to_be_hidden()
    await page.get_by_label("Name that others see").fill("x" * 40)
    await page.get_by_label("Password").fill("short")
    await page.locator("#submit").click()
    await expect(page).to_have_url(re.compile("/sign-in"))
    window.check(r"401 POST /api/session", r"400 POST /api/accounts")


async def test_a_purchase_needs_no_mouse(hawker, browser: Browser) -> None:
    """From the pinned product to the order number by keyboard; Escape leaves the sheet, and the hold stays."""
    viewer = Viewer(await open_window(browser, "typist", hawker.base_url))
    await viewer.enter("demo")
    press = viewer.page.keyboard.press
    await viewer.pinned.locator(".buy").focus()
    await press("Enter")
    await expect(viewer.page.locator("#hold")).to_be_focused()
    await press("Enter")
    await expect(viewer.sheet).to_have_attribute("data-step", "pay")
    await press("Escape")
    await expect(viewer.sheet).to_have_count(0)
    await viewer.page.locator(".held-item").focus()
    await press("Enter")
    await expect(viewer.sheet.locator('[data-method="works"]')).to_be_focused()
    await press("Enter")
    assert await viewer.order_number()
    await expect(viewer.page.locator(".held-item")).to_have_count(0)
    viewer.window.check(PLAYER_ASKS)


async def test_the_end_of_a_hold_is_told(odd_hawker, browser: Browser) -> None:
    """When the time is over the sheet says so, and what was held is on the shelf."""
    viewer = Viewer(await open_window(browser, "slow", odd_hawker.base_url))
    await viewer.enter("demo")
    stock = await viewer.pinned.locator(".offer-stock").inner_text()
    await viewer.pinned.locator(".buy").click()
    await viewer.page.locator("#hold").click()
    await expect(viewer.sheet).to_have_attribute("data-step", "lost")
    await viewer.sees_stock(stock)
    await viewer.sheet.get_by_role("button", name="Try again").click()
    await expect(viewer.sheet).to_have_attribute("data-step", "choose")
    viewer.window.check(PLAYER_ASKS)


async def test_plain_http_elsewhere_is_told_and_the_show_can_be_watched(odd_hawker, browser: Browser) -> None:
    """Browsers keep no sign-in cookie and give no camera there: the page says so, and what to run.

    The name leads to loopback here. Only from a trusted proxy does a name like that pass for our own.
    """
    window = await open_window(browser, "in the lan", f"http://hawker.test:{odd_hawker.port}")
    viewer = Viewer(window)
    await viewer.enter("demo")
    await expect(viewer.page.locator("#insecure")).to_contain_text("make run-lan")
    await expect(viewer.page.locator("#sign-in-link")).to_be_visible()
    await wait_for_frames(viewer.page, 5)
    await viewer.page.goto("/sign-in")
    await expect(viewer.page.locator("#submit")).to_be_disabled()
    await expect(viewer.page.locator(".demo-person").first).to_be_disabled()
    # The browser notes that the opener policy counts only on https.
    assert all("Cross-Origin-Opener-Policy" in fault for fault in window.faults), window.faults


async def test_a_sign_out_in_another_window_reaches_the_show(hawker, browser: Browser) -> None:
    """The show goes on; chat and purchase ask for a name again."""
    window = await open_window(browser, "two windows", hawker.base_url)
    viewer = Viewer(window)
    await viewer.enter("demo")
    other = await window.context.new_page()
    await other.goto("/")
    await other.locator("#sign-out").click()
    await expect(viewer.page.get_by_role("link", name="Sign in to chat")).to_be_visible()
    await expect(viewer.page.locator("#sign-in-link")).to_be_visible()
    window.check(PLAYER_ASKS)


async def test_a_window_never_acts_as_whoever_signed_in_in_another_window(hawker, browser: Browser) -> None:
    """Windows of one browser share one cookie: the older ones say so, and do nothing in the new person's name."""
    window = await open_window(browser, "two roles", hawker.base_url)
    host = Host(window)
    await host.page.goto("/studio/demo#demo=host")
    pin = host.page.locator('[data-does="pin"][aria-pressed="false"]').first
    await expect(pin).to_be_visible()
    viewer = Viewer(Window("the viewer's", window.context, await window.context.new_page()))
    await viewer.enter("demo")
    await expect(host.page.locator("#other-person")).to_contain_text(await viewer.name())
    await pin.click()
    await expect(host.page.locator(".toast.bad", has_text="another window")).to_be_visible()
    await host.page.goto("/studio/demo#demo=host")
    await expect(viewer.page.locator("#other-person")).to_contain_text("Demo Host")
    await expect(viewer.page.get_by_role("link", name="Sign in to chat")).to_be_visible()
    await viewer.pinned.locator(".buy").click()
    await expect(viewer.sheet).to_have_attribute("data-step", "sign-in")
    # The studio's own question about the stream may be on its way when the cookie changes.
    window.check(PLAYER_ASKS, r"403 PUT /api/shows/demo/pins", r"403 GET /api/shows/demo/stream")
    viewer.window.check(PLAYER_ASKS)


async def test_strangers_at_the_staffs_doors_are_told_so(hawker, browser: Browser) -> None:
    """Neither an error nor an empty page: a sentence and a way back."""
    window = await open_window(browser, "stranger", hawker.base_url)
    page = window.page
    await page.goto("/studio/demo")
    await expect(page.get_by_text("Sign in as a host")).to_be_visible()
    await page.goto("/moderate/demo")
    await expect(page.get_by_text("Sign in as a moderator")).to_be_visible()
    await page.goto("/#demo=viewer")
    await expect(page.locator("#who")).to_be_visible()
    await page.goto("/studio/demo")
    await expect(page.get_by_role("heading", name="not yours to run")).to_be_visible()
    await page.goto("/moderate/demo")
    await expect(page.get_by_role("heading", name="You do not moderate this show")).to_be_visible()
    await page.goto("/watch/no-such-show")
    await expect(page.get_by_role("heading", name="There is no such show")).to_be_visible()
    window.check(r"404 .*no-such-show.*")


async def test_forms_of_the_studio_say_what_is_wrong_and_keep_what_was_typed(
    hawker, browser: Browser, tmp_path
) -> None:
    """A price that is none, a photo that is none, more units on sale than there are."""
    host = Host(await open_window(browser, "host", hawker.base_url))
    await host.page.goto("/studio/demo#demo=host")
    await host.page.locator("#new-product").click()
    dialog = host.page.get_by_role("dialog")
    await dialog.get_by_label("Title").fill("Half a product")
    await dialog.get_by_label(re.compile("^Price in")).fill("twelve")
    await dialog.locator("#save-product").click()
    await expect(dialog.locator(".error")).to_contain_text("is not a price")
    text = tmp_path / "photo.png"
    text.write_text("this is no picture")
    await dialog.locator("#photo-file").set_input_files(text)
    await expect(dialog.locator(".error")).not_to_contain_text("is not a price")
    await expect(dialog.locator(".error")).to_be_visible()
    await expect(dialog.get_by_label("Title")).to_have_value("Half a product")
    await dialog.get_by_role("button", name="Close").click()

    await expect(host.page.locator("#lineup-rows .desk-row").first).to_be_visible()
    first = (await host.line_up())[0]
    await host.row(first).locator('[data-does="sale"]').click()
    await dialog.locator('[name="allotment"]').fill("100000")
    await dialog.locator("#start-sale").click()
    await expect(dialog.locator(".error")).to_be_visible()
    await expect(dialog.locator('[name="allotment"]')).to_have_value("100000")
    await dialog.locator('[name="amount"]').fill("100")
    await dialog.locator("#start-sale").click()
    await expect(dialog.locator(".error")).to_contain_text("from 1 to 99")
    host.window.check(PLAYER_ASKS, r"400 POST /api/photos.*", r"4(00|09) POST /api/shows/demo/flash-sales")


async def test_a_page_that_loses_the_server_says_so_and_comes_back_with_every_word(
    odd_hawker, browser: Browser
) -> None:
    """The web role is killed between two messages: the second is sent once, and the chat has no gap."""
    running = odd_hawker
    ana = Viewer(await open_window(browser, "ana", running.base_url))
    ben = Viewer(await open_window(browser, "ben", running.base_url))
    await ana.enter("demo")
    await ben.enter("demo")
    await ana.say("before the break")
    await ben.sees_line("before the break")
    await expect(ana.message_box).to_have_value("")  # answered: else the button is closed until the server is back
    os.kill(running.supervisor_pid, signal.SIGSTOP)  # else the web role may be back before anybody looks
    running.kill("web")
    await expect(ana.page.locator("#connection")).to_contain_text("onnecting")
    await ana.say("after the break")
    os.kill(running.supervisor_pid, signal.SIGCONT)
    await ben.sees_line("after the break")
    await expect(ana.line("after the break")).to_have_count(1)
    await expect(ben.line("before the break")).to_have_count(1)
    await expect(ana.message_box).to_have_value("")
    # What the browser itself says of the lost connections is expected here.
    assert not [fault for fault in ana.window.faults + ben.window.faults if "WebSocket" not in fault]


async def test_no_page_is_wider_than_a_phone(hawker, browser: Browser) -> None:
    """At 360 pixels every page scrolls up and down only."""
    window = await open_window(browser, "phone", hawker.base_url, phone=True)
    page = window.page
    await page.set_viewport_size(NARROW)
    await page.goto("/#demo=host")
    await expect(page.locator("#who")).to_be_visible()
    for path, landmark in DRAWN.items():
        await page.goto(path)
        await expect(page.locator(landmark).first).to_be_visible()
        for closed in await page.locator("details > summary").all():
            await closed.click()
        wide = await sticks_out(page)
        assert not wide, f"{path}: {wide}"
    window.check(PLAYER_ASKS)


async def test_a_hold_taken_in_one_window_stands_in_the_other_and_goes_from_both(hawker, browser: Browser) -> None:
    """The other window did not know of it until it was loaded again."""
    window = await open_window(browser, "buyer", hawker.base_url)
    here = Viewer(window)
    await here.enter("demo")
    there = await window.context.new_page()
    await there.goto("/watch/demo")
    await expect(there.locator("body")).to_have_attribute("data-room", "open")
    await here.hold()
    await there.get_by_text("is held for you").click()
    await here.sheet.get_by_role("button", name="Let it go").click()
    await expect(there.get_by_text("is held for you")).to_have_count(0)
    await expect(there.locator("#sheet")).to_contain_text("It was given back meanwhile")  # it said that time ran out
    window.check(PLAYER_ASKS)


async def test_a_wish_that_was_not_answered_is_repeated_under_its_key(hawker, browser: Browser) -> None:
    """The second press was another wish: what the first had half done, an admission used say, was lost to it."""
    viewer = Viewer(await open_window(browser, "patient", hawker.base_url))
    await viewer.enter("demo")
    keys = []

    async def away(route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        problem = {"code": "unavailable", "title": "Away", "detail": "A part of the service is restarting; try again."}
        await (route.fulfill(status=503, json=problem) if len(keys) == 1 else route.continue_())

    await viewer.page.route("**/api/holds", away)
    await viewer.pinned.locator(".buy").click()
    await viewer.page.locator("#hold").click()
    await expect(viewer.sheet.get_by_text("restarting; try again")).to_be_visible()
    await viewer.page.locator("#hold").click()
    await expect(viewer.sheet).to_have_attribute("data-step", "pay")
    assert (len(keys), len(set(keys))) == (2, 1)
    await viewer.sheet.get_by_role("button", name="Let it go").click()
    viewer.window.check(PLAYER_ASKS, r"503 POST /api/holds")


async def test_a_wrong_address_leads_back_to_the_shows(hawker, browser: Browser) -> None:
    """It was a line of JSON."""
    window = await open_window(browser, "lost", hawker.base_url)
    await window.page.goto("/watch/demo/")
    await window.page.get_by_role("link", name="To all shows").click()
    await expect(window.page.locator(".show-card").first).to_be_visible()
    window.check(r"404 GET /watch/demo/")
