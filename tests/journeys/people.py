"""What a host, a viewer and a moderator do in their windows, in the words of the pages.

Knows ids, roles and labels of the pages, so that journeys and benches speak only of people.
"""

import asyncio
import re
from pathlib import Path

from playwright.async_api import Locator, Route, expect

from tests.journeys.browser import Window
from tests.waiting import eventually

WAIT_S = 30


class SomebodyInAShow:
    """What everybody can do: look, read, write."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.page = window.page

    @property
    def message_box(self) -> Locator:
        """The box that a message is written in."""
        return self.page.locator("#message")

    def line(self, text: str) -> Locator:
        """The chat line with this text."""
        return self.page.locator(".chat-line:not(.gone)", has_text=text)

    async def say(self, text: str) -> None:
        """Types and sends; returns at once."""
        await self.message_box.fill(text)
        await self.page.locator("#send").click()

    async def sees_line(self, text: str) -> None:
        """Waits until the chat shows the text."""
        await expect(self.line(text)).to_be_visible()

    async def name(self) -> str:
        """The name that the header shows."""
        await expect(self.page.locator("#who")).not_to_be_empty()
        return (await self.page.locator("#who").inner_text()).strip()


class Viewer(SomebodyInAShow):
    """Somebody on the watch page."""

    async def enter(self, show: str, *, demo: bool = True) -> None:
        """Opens the watch page, signed in as a fresh demo viewer unless told otherwise."""
        await self.page.goto(f"/watch/{show}{'#demo=viewer' if demo else ''}")
        await expect(self.page.locator("body")).to_have_attribute("data-room", "open")

    @property
    def pinned(self) -> Locator:
        """The card of the pinned product."""
        return self.page.locator("#pinned .offer.hero")

    @property
    def sheet(self) -> Locator:
        """The buy sheet."""
        return self.page.locator("#sheet")

    async def hold(self, quantity: int = 1) -> None:
        """Takes units of what is pinned on hold; returns when they are held."""
        await self.pinned.locator(".buy").click()
        for _ in range(quantity - 1):
            await self.page.locator("#one-more").click()
        await self.page.locator("#hold").click()
        await expect(self.sheet).to_have_attribute("data-step", "pay")

    async def pay(self, method: str) -> None:
        """Presses one of the simulated methods: works, declines, late."""
        await self.sheet.locator(f'[data-method="{method}"]').click()

    async def pay_late(self) -> None:
        """Pays by the simulated method that answers late; returns when it was said that the answer is awaited. The page
        asks for the outcome again and again, and hears of it only when that was seen.
        """
        note = self.sheet.locator(".sheet-note")
        first, seen = asyncio.Event(), asyncio.Event()

        async def until_seen(route: Route) -> None:
            if first.is_set():
                await seen.wait()
            first.set()
            await route.continue_()

        await self.page.route("**/api/orders", until_seen)
        await self.pay("late")
        await expect(note).to_contain_text(re.compile("slow|pending"))
        seen.set()
        await self.page.unroute("**/api/orders", until_seen)

    async def buy_now(self, card: str) -> None:
        """Buys what is pinned in one step with a card that was kept; it is noted, and offered, after its order."""

        async def offered() -> bool:
            await self.pinned.locator(".buy").click()
            await expect(self.sheet.locator("#hold")).to_be_visible()
            if await self.sheet.locator("#buy-now", has_text=card).count():
                return True
            await self.page.keyboard.press("Escape")
            await expect(self.sheet).to_have_count(0)
            return False

        await eventually(offered, WAIT_S, f"{card} is offered")
        await self.sheet.locator("#buy-now").click()

    async def order_number(self) -> str:
        """Waits for the end of a payment that goes through; closes the sheet."""
        number = await self.page.locator("#order-number").inner_text(timeout=60_000)
        await self.page.get_by_role("button", name="Keep watching").click()
        return number

    async def sees_stock(self, text: str | re.Pattern[str]) -> None:
        """Waits until the pinned card says this about the stock."""
        await expect(self.pinned.locator(".offer-stock")).to_have_text(text)


class Host(SomebodyInAShow):
    """Somebody in the studio."""

    async def enter_studio(self) -> None:
        """Opens the studio, signed in as the demo's host."""
        await self.page.goto("/studio#demo=host")
        await expect(self.page.get_by_role("heading", name="Your shows")).to_be_visible()

    async def create_show(self, title: str) -> str:
        """Makes a show and comes to its desk; answers with its id."""
        await self.page.get_by_label("Title").fill(title)
        await self.page.locator("#create-show").click()
        await self.page.wait_for_url(re.compile(r"/studio/.+"))
        await expect(self.page.get_by_role("heading", name=title)).to_be_visible()
        return self.page.url.rpartition("/")[2]

    async def add_product(self, title: str, price: str, stock: int, photo: Path) -> None:
        """Makes a product with a photo and one variant; it lands at the end of the line-up."""
        await self.page.locator("#new-product").click()
        dialog = self.page.get_by_role("dialog")
        await dialog.get_by_label("Title").fill(title)
        await dialog.get_by_label("Description").fill(f"{title}, made for this evening.")
        await dialog.locator("#photo-file").set_input_files(photo)
        await expect(dialog.locator(".photo-frame img")).to_be_visible()
        await dialog.get_by_label(re.compile("^Price in")).fill(price)
        await dialog.get_by_label("Units in stock").fill(str(stock))
        await dialog.locator("#save-product").click()
        await expect(dialog).to_have_count(0)
        await expect(self.row(title)).to_be_visible()

    def row(self, title: str) -> Locator:
        """The line-up's row of a product."""
        return self.page.locator("#lineup-rows .desk-row", has_text=title)

    async def take_from_shelf(self, title: str) -> None:
        """Puts a product of the shop into the show."""
        await self.page.locator("#lineup details.others > summary").click()
        await self.page.get_by_role("button", name=f"Put {title} in the show").click()
        await expect(self.row(title)).to_be_visible()

    async def line_up(self) -> list[str]:
        """The titles of the line-up in their order."""
        return await self.page.locator("#lineup-rows .desk-row h3").all_inner_texts()

    async def go_on_air(self) -> None:
        """Opens the camera and publishes; takes over from whoever is on air."""
        await self.page.locator("#open-camera").click()
        await self.page.locator("#go-live").click()
        on_air = self.page.locator("#broadcast-state", has_text="On air")
        take_over = self.page.get_by_role("button", name="Take over")
        await expect(on_air.or_(take_over).first).to_be_visible()
        if await take_over.is_visible():
            await take_over.click()
        await expect(on_air).to_be_visible()

    async def see_the_stream_arrive(self) -> None:
        """Sees size, frames, bitrate and loss of the stream as the relay gets it."""
        arrives = re.compile(r"\w+ · \d+ . \d+ · [1-9]\d* fps · [1-9]\d* kbit/s · [\d.]+ % lost")
        await expect(self.page.locator("#stream-figures")).to_have_text(arrives)

    async def start_show(self) -> None:
        """Starts the show."""
        await self.page.locator('[data-move="start"]').click()
        await expect(self.page.locator('#state [data-state="live"]')).to_be_visible()

    async def end_show(self) -> None:
        """Ends the show, and confirms it."""
        await self.page.locator('[data-move="end"]').click()
        await self.page.get_by_role("dialog").get_by_role("button", name="End the show").click()
        await expect(self.page.locator('#state [data-state="ended"]')).to_be_visible()

    async def pin(self, title: str) -> None:
        """Pins a product of the line-up."""
        await self.row(title).locator('[data-does="pin"]').click()
        await expect(self.row(title).locator('[data-does="pin"]')).to_have_attribute("aria-pressed", "true")

    async def start_sale(self, title: str, *, percent: int, allotment: int, limit: int) -> None:
        """Starts a sale of two minutes on a product."""
        await self.row(title).locator('[data-does="sale"]').click()
        dialog = self.page.get_by_role("dialog")
        await dialog.locator('[name="amount"]').fill(str(percent))
        await dialog.locator('[name="allotment"]').fill(str(allotment))
        await dialog.locator('[name="limit"]').fill(str(limit))
        await dialog.locator("#start-sale").click()
        await expect(dialog).to_have_count(0)
        await expect(self.page.locator("#sale-rows .sale-row")).to_be_visible()

    async def appoint(self, name: str) -> None:
        """Makes somebody a moderator of this show."""
        await self.page.locator("#appoint-name").fill(name)
        await self.page.locator("#appoint").click()
        await expect(self.page.locator("#moderator-rows .person", has_text=name)).to_be_visible()


class Moderator(SomebodyInAShow):
    """Somebody on the moderation page."""

    async def enter(self, show: str) -> None:
        """Opens the moderation page, already signed in."""
        await self.page.goto(f"/moderate/{show}")
        await expect(self.message_box).to_be_visible()

    async def delete(self, text: str) -> None:
        """Deletes the message with this text."""
        await self.line(text).locator(".delete").click()

    async def time_out(self, text: str, seconds: int) -> None:
        """Times out whoever wrote the message with this text."""
        await self.line(text).locator(f'[data-seconds="{seconds}"]').click()
