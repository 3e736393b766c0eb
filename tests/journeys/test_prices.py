"""A host lowers prices in the studio, with a campaign, a discount and a sale; a viewer sees them and buys."""

import re

from playwright.async_api import expect

from tests.journeys.browser import PLAYER_ASKS, open_window
from tests.journeys.people import Host, Viewer

TITLE = "Slow vase"  # of the demo's line-up


def figure(text: str) -> float:
    return float(re.sub(r"[^\d.]", "", text))


async def test_a_campaign_and_a_discount_lower_the_price_beside_the_one_struck_through(own_hawker, browser) -> None:
    hawker = own_hawker().start()
    host = Host(await open_window(browser, "host", hawker.base_url))
    ana = Viewer(await open_window(browser, "ana", hawker.base_url))
    await host.enter_studio()
    await host.page.goto("/studio/demo")
    await ana.enter("demo")
    await host.pin(TITLE)
    price, struck = ana.pinned.locator(".offer-price"), ana.pinned.locator(".offer-list")
    await expect(ana.pinned).to_contain_text(TITLE)
    await expect(struck).to_be_hidden()
    usual = await price.inner_text()
    dialog = host.page.get_by_role("dialog")

    await host.page.locator("#new-campaign").click()
    await dialog.locator('[name="name"]').fill("Vase week")
    await dialog.locator('[name="percent_off"]').fill("20")
    await dialog.locator("#make-campaign").click()
    await expect(host.page.locator("#campaign-rows")).to_contain_text("Vase week · 20 % off")
    await expect(struck).to_have_text(usual)
    await expect(ana.pinned.locator(".offer-campaign")).to_have_text("Vase week")
    lower = await price.inner_text()
    assert abs(figure(lower) - 0.8 * figure(usual)) < 0.02
    await ana.hold()

    await host.page.locator('[data-does="end-campaign"]').click()
    await dialog.get_by_role("button", name="End the campaign").click()
    await expect(struck).to_be_hidden()
    await expect(price).to_have_text(usual)
    await ana.pay("works")
    await expect(ana.sheet.locator(".total strong")).to_have_text(lower)
    await ana.order_number()

    await host.row(TITLE).locator('[data-does="edit"]').click()
    await dialog.locator('[name="discount"]').select_option("amount")
    await dialog.locator('[name="discount_amount"]').fill("1")
    await dialog.locator("#save-product").click()
    await expect(struck).to_have_text(usual)
    assert round(figure(usual) - figure(await price.inner_text()), 2) == 1

    await host.row(TITLE).locator('[data-does="sale"]').click()
    await dialog.locator('[name="allotment"]').fill("1")
    await dialog.locator('[name="per_address_limit"]').fill("7")
    async with host.page.expect_request("**/flash-sales") as asked:
        await dialog.locator("#start-sale").click()
    assert (await asked.value).post_data_json["per_address_limit"] == 7
    await expect(ana.pinned).to_have_attribute("data-phase", "running")
    for one in (host, ana):
        one.window.check(PLAYER_ASKS)
