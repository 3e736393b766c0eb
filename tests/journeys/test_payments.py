"""A viewer pays in every way that can go well or wrong, and never leaves the stream.

Stripe's own page script cannot be had without a network: a stand-in of ours takes its place in the browser, at Stripe's
address and under the policy that the page really has. What is behind it is localstripe.
"""

import re
from collections import Counter
from pathlib import Path

import asyncpg
import pytest
from playwright.async_api import Browser, BrowserContext, Route, expect

from tests.journeys.browser import NARROW, PLAYER_ASKS, open_window, sticks_out
from tests.journeys.people import Viewer
from tests.protocol import stripe_side
from tests.protocol.stripe_side import FaultProxy, LocalStripe, authenticate, card
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(240)
STAND_IN = Path(__file__).with_name("stripe_stand_in.js").read_text()
PASSING = (
    PLAYER_ASKS,
    r"402 POST /api/(orders|buy-now)",
    r"504 POST /api/orders",
    r"409 POST /api/orders",
)
ANYBODY = {"access-control-allow-origin": "*", "access-control-allow-headers": "*"}


async def purchases(viewer: Viewer, base_url: str) -> Counter[str]:
    """How many purchases in one step came which way."""
    figures = await (await viewer.window.context.request.get(f"{base_url}/metrics")).text()
    counted = re.findall(r'^hawker_buy_now_total\{way="(\w+)"\} (\d+)', figures, re.MULTILINE)
    return Counter({way: int(count) for way, count in counted})


async def test_a_viewer_pays_by_each_simulated_method(hawker, browser: Browser) -> None:
    """Declined, asked by the bank twice, answered twice, answered late: the sheet says so, and the stream plays on."""
    viewer = Viewer(await open_window(browser, "Pat", hawker.base_url))
    await viewer.enter("demo")
    note, bank = viewer.sheet.locator(".sheet-note"), viewer.sheet.locator("#bank")
    await viewer.hold()
    await expect(viewer.sheet.locator("#keep-card")).not_to_be_checked()
    await viewer.sheet.locator("#keep-card").check()
    await viewer.pay("works")
    orders = [await viewer.order_number()]
    before = await purchases(viewer, hawker.base_url)
    await viewer.buy_now("Simulated card •••• 4242")
    orders.append(await viewer.order_number())
    assert (await purchases(viewer, hawker.base_url) - before).keys() == {"at_once"}
    await viewer.hold()
    await viewer.pay("challenges")
    await expect(bank).to_contain_text("Your bank asks")
    await expect(note).to_contain_text("stays held")
    await bank.locator('[data-approve="false"]').click()
    await expect(viewer.sheet).to_have_attribute("data-step", "declined")
    await viewer.sheet.locator("#keep-card").check()
    await viewer.pay("challenges")
    await bank.locator('[data-approve="true"]').click()
    orders.append(await viewer.order_number())
    for method in ("twice", "late"):
        await viewer.hold()
        await (viewer.pay_late() if method == "late" else viewer.pay(method))
        orders.append(await viewer.order_number())
    keys: list[str] = []

    async def lose_first_answer(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) > 1:
            await route.continue_()
            return
        await route.fetch()
        await route.fulfill(status=500, json={"code": "internal", "detail": "Something broke on our side."})

    await viewer.page.route("**/api/buy-now", lose_first_answer)
    await viewer.buy_now("Simulated card •••• 3155")
    await viewer.sheet.locator("#buy-now").click()
    await bank.locator('[data-approve="true"]').click()
    orders.append(await viewer.order_number())
    assert len(set(orders)) == 6
    assert len(set(keys)) == 1  # whoever pressed once more could have bought twice
    await viewer.page.goto("/orders")
    for last4 in ("3155", "4242"):
        await viewer.page.get_by_role("button", name=f"Remove Simulated card •••• {last4}").click()
        await viewer.page.get_by_role("button", name="Remove it").click()
    await expect(viewer.page.locator("#cards")).to_be_hidden()
    viewer.window.check(r"500 POST /api/buy-now", *PASSING)


async def test_a_bank_is_answered_after_the_page_was_loaded_anew(hawker, browser: Browser) -> None:
    """The page that had asked is gone; any way to pay for the hold leads back to the question."""
    viewer = Viewer(await open_window(browser, "Rae", hawker.base_url))
    await viewer.enter("demo")
    await viewer.hold()
    await viewer.pay("challenges")
    await expect(viewer.sheet.locator("#bank")).to_be_visible()
    await viewer.page.reload()
    await viewer.page.locator("#held .held-item").click()
    await viewer.pay("works")
    await viewer.sheet.locator('[data-approve="true"]').click()
    await viewer.order_number()
    viewer.window.check(*PASSING)


async def test_a_shop_refunds_a_part_and_a_buyer_takes_an_order_back(hawker, browser: Browser) -> None:
    """The host sees the order, gives back one euro and a unit; the buyer cancels the next order in the sheet."""
    viewer = Viewer(await open_window(browser, "Ty", hawker.base_url))
    host = await open_window(browser, "host", hawker.base_url)
    await host.page.goto("/studio/demo#demo=host")
    await viewer.enter("demo")
    await viewer.hold(2)
    await viewer.pay("works")
    order = await viewer.order_number()
    row = host.page.locator(f'#order-rows [data-order="{order}"]')

    async def refund(amount: str) -> None:
        await row.locator(".manage").click()
        await host.page.locator("#refund-amount").fill(amount)
        await host.page.locator("[data-back]").fill("1")
        await host.page.locator("#refund-amount").press("Enter")  # gives nothing back by itself
        await host.page.locator("#refund").click()
        await host.page.get_by_role("button", name="Give back").click()

    await refund("1000")
    await expect(host.page.locator("dialog .error")).to_contain_text("more than was paid")
    await host.page.keyboard.press("Escape")
    await refund("1")
    await expect(viewer.page.locator(".toast", has_text="refund of yours")).to_be_visible()  # first: it goes soon
    await expect(row.locator(".badge")).to_have_text("partly refunded")
    await viewer.hold()
    await viewer.pay("works")
    second = await viewer.page.locator("#order-number").inner_text()
    await viewer.page.locator("#cancel-order").click()
    await expect(viewer.sheet).to_have_attribute("data-step", "cancelled")
    await expect(host.page.locator(f'[data-order="{second}"] .badge')).to_have_text(re.compile("cancelled|refunded"))
    # What does not stand any more can be read, and nothing else: it could not be opened once.
    await host.page.locator(f'[data-order="{second}"] .manage').click()
    await expect(host.page.locator("#closed-order")).to_contain_text("back on the shelf")
    await expect(host.page.locator("#closed-order button")).to_have_count(0)
    await host.page.keyboard.press("Escape")
    await host.page.set_viewport_size(NARROW)
    assert await sticks_out(host.page) == []  # orders with a badge and a button once did
    viewer.window.check(*PASSING)
    host.check(PLAYER_ASKS, r"422 POST /api/shops/.*/refunds")


async def stand_in_for_stripe(context: BrowserContext, localstripe: str) -> list[str]:
    """Answers for js.stripe.com and api.stripe.com; the numbers in the list are the cards that the frame will make."""
    cards: list[str] = []

    async def script(route: Route) -> None:
        frame = "frame" in route.request.url
        body = "<p>A card field of Stripe's</p>" if frame else STAND_IN
        await route.fulfill(body=body, content_type="text/html" if frame else "text/javascript")

    async def api(route: Route) -> None:
        if route.request.url.endswith("/card"):
            await route.fulfill(json={"id": card(localstripe, cards.pop(0))}, headers=ANYBODY)
        else:
            authenticate(localstripe, route.request.post_data_json["secret"], success=True)
            await route.fulfill(json={}, headers=ANYBODY)

    await context.route("https://js.stripe.com/**", script)
    await context.route("https://api.stripe.com/**", api)
    return cards


async def test_a_viewer_pays_by_card_in_stripes_frame_and_is_asked_by_the_bank(own_hawker, browser: Browser) -> None:
    """One page's policy lets Stripe in; every other page's does not."""
    localstripe = LocalStripe()
    proxy = await FaultProxy(localstripe.url).start()
    keys = {"STRIPE_SECRET_KEY": stripe_side.SECRET_KEY, "STRIPE_PUBLISHABLE_KEY": "pk_test_hawker"}
    running = own_hawker(**keys, STRIPE_API_BASE=proxy.url).start()
    try:
        window = await open_window(browser, "Sam", running.base_url)
        cards = await stand_in_for_stripe(window.context, localstripe.url)
        viewer = Viewer(window)
        await viewer.enter("demo")
        cards += [stripe_side.WORKS, stripe_side.DECLINES, stripe_side.CHALLENGES]
        await viewer.hold()
        await expect(viewer.sheet.frame_locator("#card-frame iframe").locator("p")).to_contain_text("card field")
        await viewer.sheet.locator("#keep-card").check()
        await viewer.sheet.locator("#pay").click()
        orders = [await viewer.order_number()]
        await viewer.hold()
        await viewer.sheet.locator("#pay").click()
        await expect(viewer.sheet).to_have_attribute("data-step", "declined")
        await viewer.sheet.locator("#pay").click()
        orders.append(await viewer.order_number())
        await viewer.buy_now("Visa •••• 4242")
        orders.append(await viewer.order_number())
        pg = await asyncpg.connect(running.postgres_url)

        async def paid() -> bool:
            states = await pg.fetch("SELECT state FROM orders WHERE id = ANY($1::text[])", orders)
            return [row["state"] for row in states] == ["paid"] * 3

        await eventually(paid, 30, "all captured")
        await pg.close()
        for path, let_in in (("/watch/demo", True), ("/studio/demo", False), ("/", False)):
            policy = (await window.context.request.get(running.base_url + path)).headers["content-security-policy"]
            assert ("stripe.com" in policy) is let_in
        window.check(*PASSING)
    finally:
        await proxy.stop()
        localstripe.stop()
