"""A host makes a code in the studio; a viewer sees on the sheet what it comes to, pays that, and cannot do so twice."""

import re

import pytest
from playwright.async_api import Browser, expect

from tests.journeys.browser import PHONE, PLAYER_ASKS, open_window
from tests.journeys.people import Host, Viewer

pytestmark = pytest.mark.timeout(120)
PASSING = (PLAYER_ASKS, r"(404|409) POST /api/shops/[^/]+/quotes")


async def apply(viewer: Viewer, code: str) -> None:
    field = viewer.sheet.locator("#code-field")
    if not await field.locator("input").is_visible():
        await field.locator("summary").click()
    await field.locator("input").fill(code)
    await field.locator("#apply-code").click()


def figure(text: str) -> float:
    return float(re.sub(r"[^\d.]", "", text))


async def test_a_code_lowers_what_a_viewer_pays_and_the_sheet_says_why_it_does_not(hawker, browser: Browser) -> None:
    host = Host(await open_window(browser, "host", hawker.base_url))
    viewer = Viewer(await open_window(browser, "Bea", hawker.base_url, phone=True))
    await host.page.goto("/studio/demo#demo=host")
    dialog, rows = host.page.get_by_role("dialog"), host.page.locator("#coupon-rows")
    await host.page.locator("#new-coupon").click()
    await dialog.locator("#make-coupon").click()
    await expect(dialog.locator(".error")).to_contain_text("3 to 24 letters")
    await dialog.locator('[name="code"]').fill("evening-10")
    await dialog.locator('[name="uses_max"]').fill("5")
    await dialog.locator("#make-coupon").click()
    await expect(rows).to_contain_text("EVENING-10 · 10 % off")
    await expect(rows).to_contain_text("used 0 of 5, once per buyer")

    await viewer.enter("demo")
    await viewer.hold()
    error, sums = viewer.sheet.locator("#code-field .error"), viewer.sheet.locator("#totals")
    await apply(viewer, "evening-1")
    await expect(error).to_contain_text("no such code")
    await apply(viewer, "evening-10")
    await expect(viewer.sheet.locator("#code")).to_have_text("EVENING-10")
    await expect(sums).to_contain_text("Discount")
    goods, discount, total = [figure(text) for text in await sums.locator(".numbers").all_inner_texts()]
    assert round(goods - discount, 2) == total
    assert 0 < discount <= 0.1 * goods + 0.01
    assert await viewer.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    await viewer.pay("declines")  # what was taken again keeps the code
    await expect(viewer.sheet).to_have_attribute("data-step", "declined")
    await viewer.pay("works")
    await expect(viewer.sheet).to_have_attribute("data-step", "done")
    assert figure(await viewer.sheet.locator("#totals strong").inner_text()) == total
    await viewer.order_number()

    await viewer.hold()
    await apply(viewer, "evening-10")
    await expect(error).to_contain_text("used this code already")
    await viewer.pay("works")
    await viewer.order_number()
    await host.page.reload()
    await expect(rows).to_contain_text("used 1 of 5")
    await rows.locator('[data-does="end-coupon"]').click()
    await dialog.get_by_role("button", name="End the coupon").click()
    await expect(rows).not_to_contain_text("EVENING-10")
    for one in (host, viewer):
        one.window.check(*PASSING, r"402 POST /api/orders")
