"""A shop that sends things: its host says how, a viewer fills a cart during the show, both see what became of it."""

import csv

from playwright.async_api import Page, expect

from tests.journeys.browser import PLAYER_ASKS, open_window
from tests.journeys.people import Host, Viewer


async def set_conditions(page: Page) -> None:
    """Post for 4.99, free from 500 on; 19 % in Germany; a return policy."""
    await page.locator("#add-method").click()
    for n, text in enumerate(["Post", "4.99", "500", ""]):
        await page.locator(".method-row input").nth(n).fill(text)
    await page.locator("#add-rate").click()
    await page.locator(".rate-row select").select_option("DE")
    await page.locator(".rate-row input").fill("19")
    await page.locator("#return-policy").fill("Send it back within 30 days.")
    await page.locator("#save-conditions").click()
    await expect(page.locator("#conditions")).to_contain_text("Version 1 is in force")


async def write_address(page: Page) -> None:
    form = page.locator("#checkout-form")
    for name, text in (("name", "Ada Byron"), ("street", "Hauptstraße 5"), ("city", "Berlin")):
        await form.locator(f'[name="{name}"]').fill(text)
    await form.locator('[name="country"]').select_option("DE")
    await expect(form.locator("#totals")).to_contain_text("19% tax")


async def fill_cart(ana: Viewer) -> None:
    """One of what is pinned, two of another thing; it is there after a reload, too."""
    await ana.pinned.locator(".buy").click()
    await ana.page.locator("#to-cart").click()
    await ana.page.locator('.views [data-view="lineup"]').click()
    await ana.page.locator("#lineup .offer.tile .buy:enabled").nth(2).click()
    await ana.page.locator("#one-more").click()
    await ana.page.locator("#to-cart").click()
    await expect(ana.page.locator("#open-cart")).to_contain_text("3 items")
    await ana.page.reload()


async def picture_goes_on(page: Page) -> None:
    await page.wait_for_function("document.querySelector('video').currentTime > 0")
    before = await page.evaluate("document.querySelector('video').currentTime")
    await page.wait_for_function("(then) => document.querySelector('video').currentTime > then", arg=before)


async def send_out(page: Page, number: str) -> None:
    """Finds the order, has it as a table, and ships it."""
    row = page.locator(f'#shop-orders [data-order="{number}"]')
    await page.locator('[name="state"]').select_option("cancelled")
    await page.locator("#filter-orders").click()
    await expect(page.locator("#shop-orders")).to_contain_text("No orders fit")
    await page.locator('[name="state"]').select_option("")
    await page.locator("#filter-orders").click()
    await expect(row).to_be_visible()
    table = await page.evaluate("fetch(document.querySelector('#orders-csv').href).then((answer) => answer.text())")
    rows = list(csv.DictReader(table.splitlines()))
    assert [(line["order"], line["shipping"]) for line in rows] == [(number, "5.99")] * 2
    await row.get_by_role("button", name="Manage").click()
    await page.locator("#parcel summary").click()
    await page.locator("#carrier").fill("DHL")
    await page.locator("#tracking-url").fill("https://parcel.example/1")
    await page.locator("#ship").click()
    await expect(row.locator(".badge")).to_have_text("shipped")


async def test_a_cart_is_bought_during_the_show_sent_and_found_again(own_hawker, browser) -> None:
    hawker = own_hawker().start()
    host = Host(await open_window(browser, "host", hawker.base_url))
    ana = Viewer(await open_window(browser, "ana", hawker.base_url, phone=True))
    await host.enter_studio()
    await host.page.goto("/studio")
    await host.page.locator(".shop-link").click()
    await set_conditions(host.page)
    await ana.enter("demo")
    await fill_cart(ana)
    await ana.page.locator("#open-cart").click()
    await write_address(ana.page)
    await picture_goes_on(ana.page)

    sheet = ana.page.locator("#cart-sheet")
    await sheet.locator('[data-method="works"]').click()
    await expect(sheet.locator(".sheet-note")).to_contain_text("agree to the return policy")
    await ana.page.locator("#accept-policy").check()
    # Meanwhile the post costs more: nothing is charged that was not seen.
    await host.page.locator(".method-row input").nth(1).fill("5.99")
    async with host.page.expect_response(lambda answer: answer.request.method == "PUT"):
        await host.page.locator("#save-conditions").click()
    await sheet.locator('[data-method="works"]').click()
    await expect(sheet.locator(".sheet-note")).to_contain_text("total is another")
    await expect(sheet.locator("#totals")).to_contain_text("5.99")
    total = await sheet.locator("#totals strong").inner_text()
    await ana.page.locator("#accept-policy").check()
    # Told no by the bank, one pays by another card; the ways to pay once stayed away.
    await sheet.locator('[data-method="challenges"]').click()
    await sheet.locator('[data-approve="false"]').click()
    await expect(sheet.locator(".sheet-note")).to_contain_text("declined")
    await sheet.locator('[data-method="works"]').click()
    number = await ana.order_number()
    await expect(ana.page.locator("#cart")).to_be_hidden()

    await host.page.reload()
    await expect(host.page.locator(f'#shop-orders [data-order="{number}"]')).to_contain_text(total)
    await send_out(host.page, number)
    await ana.page.goto("/orders")
    await ana.page.locator(f'[data-order="{number}"]').click()
    await expect(ana.page.locator("#shipment a")).to_have_attribute("href", "https://parcel.example/1")
    await expect(ana.page.locator("#totals strong")).to_have_text(total)
    await ana.page.locator("#policy summary").click()
    await expect(ana.page.locator("#policy")).to_contain_text("within 30 days")
    # At its address it is there for its buyer alone.
    await host.page.goto(f"/orders/{number}")
    await expect(host.page.locator("h1")).to_have_text("You have no such order")
    host.window.check(PLAYER_ASKS, rf"404 GET /api/orders/{number}")
    ana.window.check(PLAYER_ASKS, r"40[29] POST /api/shops/.*/cart/order")
