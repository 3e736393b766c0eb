"""order-dialog.js in a real browser before a shop whose answers get lost: money goes back as often as it was meant."""

import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.journeys.browser import open_modules

# A shop that keeps refunds by their key. `lost` is how many of its answers to refunds never arrive.
SHOP = """
async () => {
  const path = "/api/shops/h/orders/o";
  window.shop = { made: new Map(), lost: 0, unread: false, sent: 0 };
  const given = () => [...shop.made.values()].reduce((sum, one) => sum + one, 0);
  window.order = () => ({ id: "o", state: given() < 2000 ? "paid" : "refunded", created_at: "2026-01-01T00:00:00Z",
    buyer: "B", total_minor: 2000, currency: "EUR", lines: [], refunded_minor: given() });
  const headers = { "Content-Type": "application/json" };
  const answer = (status, body) => new Response(JSON.stringify(body), { status, headers });
  const refund = (key, { amount_minor }) => {
    shop.sent += 1;
    if (shop.made.has(key) && shop.made.get(key) !== amount_minor) return answer(422, { code: "idempotency_mismatch" });
    shop.made.set(key, amount_minor);
    if (shop.lost-- > 0) throw new TypeError("lost");
    return answer(201, { state: "asked" });
  };
  window.fetch = async (asked, { method, headers, body }) => {
    if (asked === `${path}/refunds`) return refund(headers["Idempotency-Key"], JSON.parse(body));
    if (asked === `${path}/ship`) return answer(409, { code: "order_cancelled", detail: "It cannot be shipped." });
    if (asked === path && shop.unread) throw new TypeError("lost");
    return asked === path ? answer(200, order()) : answer(404, {});
  };
  const { openOrder } = await import("/shared/order-dialog.js");
  window.changes = [];
  window.open = () => openOrder(order(), "h", (changed) => changes.push(changed.refunded_minor));
  open();
}
"""


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> Page:
    """A page with the dialog of an order of 20 EUR, open."""
    return await open_modules(browser, SHOP)


async def give_back(page: Page, amount: str) -> None:
    await page.locator("#refund-amount").fill(amount)
    await page.locator("#refund").click()
    await page.get_by_role("button", name="Give back").click()


async def unanswered(page: Page, amount: str) -> None:
    await page.evaluate("shop.lost = 1")
    await give_back(page, amount)
    await expect(page.locator("dialog[open] .error")).to_contain_text("does not answer")


async def made(page: Page) -> list[int]:
    return await page.evaluate("[...shop.made.values()]")


async def test_an_unanswered_refund_is_given_once_though_another_act_was_refused_and_the_dialog_reopened(
    page: Page,
) -> None:
    await unanswered(page, "5")
    await page.locator("#ship").click()
    await expect(page.locator("dialog[open] .error")).to_have_text("It cannot be shipped.")
    await page.keyboard.press("Escape")
    await expect(page.locator("dialog")).to_have_count(0)
    await page.evaluate("open()")
    await give_back(page, "5")
    await expect(page.locator(".toast")).to_contain_text("on its way back")
    assert await made(page) == [500]
    assert await page.evaluate("changes") == [500]
    await page.evaluate("open()")
    await give_back(page, "5")  # that one has its answer: this is another
    await expect(page.locator("dialog")).to_have_count(0)
    assert await made(page) == [500, 500]


async def test_after_an_unanswered_refund_another_is_made_only_when_the_order_was_shown_anew(page: Page) -> None:
    await unanswered(page, "5")
    await page.evaluate("shop.unread = true")
    for _ in range(2):  # nothing can be shown: nothing may be given
        sent = await page.evaluate("shop.sent")
        await give_back(page, "3")
        await page.wait_for_function("(sent) => shop.sent > sent", arg=sent)
        await expect(page.locator("#refund")).to_be_enabled()
    await page.evaluate("shop.unread = false")
    await give_back(page, "3")
    await expect(page.locator("dialog[open] .error")).to_contain_text("was made")
    await expect(page.locator("dialog[open]")).to_contain_text("€5.00 given back")
    assert await made(page) == [500]
    await give_back(page, "3")
    await expect(page.locator("dialog")).to_have_count(0)
    assert await made(page) == [500, 300]
    assert await page.evaluate("changes") == [500, 800]
