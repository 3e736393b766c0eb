"""A host lets the shop's own server be told, sees the test arrive, and what an order said."""

import json

import pytest
from playwright.async_api import Browser, expect
from standardwebhooks import Webhook

from tests.journeys.browser import open_window
from tests.receiver import receiver

pytestmark = pytest.mark.timeout(120)


async def test_a_host_adds_a_webhook_and_sees_that_it_arrives(hawker, browser: Browser) -> None:
    """From the form over the secret to the list of deliveries, and away again."""
    window = await open_window(browser, "host", hawker.base_url)
    page = window.page
    async with receiver() as server:
        await page.goto("/studio#demo=host")
        await page.locator("#add-webhook").click()
        await page.locator("#webhook-url").fill(server.url)
        await page.get_by_label("live", exact=True).check()
        await page.locator("#save-webhook").click()
        secret = await page.locator("#webhook-secret").input_value()
        await page.get_by_role("button", name="Close").click()
        row = page.locator(".webhook", has_text=server.url)
        await expect(row).to_contain_text("show.live")
        await row.get_by_role("button", name="Send a test").click()
        await expect(page.get_by_text("A test is on its way.")).to_be_visible()
        await row.get_by_role("button", name="Deliveries").click()

        await expect(page.locator("#deliveries")).to_contain_text("webhook.ping")
        await expect(page.locator("#deliveries")).to_contain_text("answered 200")
        await page.get_by_role("button", name="Close").click()
        headers, body = server.got[0]
        assert Webhook(secret).verify(body, headers)["type"] == "webhook.ping"
        assert json.loads(body)["data"]
        await row.get_by_role("button", name="Remove").click()
        await page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        await expect(row).to_have_count(0)
    window.check()
