"""A moderator at work with the keyboard alone, in a real Chromium, and two viewers who see what comes of it."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, expect

from tests.journeys.browser import PLAYER_ASKS, open_window
from tests.journeys.people import Moderator, Viewer

WHILE_BANNED = r"403 (POST|DELETE) /whep/.*"


class KeyboardModerator(Moderator):
    """Somebody on the moderation page who never touches the mouse."""

    async def press(self, *keys: str) -> None:
        """Presses the keys one after the other."""
        for key in keys:
            await self.page.keyboard.press(key)

    async def reach(self, selector: str) -> None:
        """Tabs forward until the element has the focus."""
        for _ in range(150):
            await self.page.keyboard.press("Tab")
            if await self.page.locator(selector).evaluate("node => node === document.activeElement"):
                return
        pytest.fail(f"Tab never comes to {selector}")

    async def choose(self, rows: str, text: str) -> None:
        """Moves through a list that has the focus until the row with this text has it."""
        row = self.page.locator(f"{rows} > li", has_text=text)
        await expect(row).to_be_visible()
        for _ in range(40):
            if await row.evaluate("node => node === document.activeElement"):
                return
            await self.press("ArrowUp")
        pytest.fail(f"the arrows never come to {text}")


@asynccontextmanager
async def replies_held_back(page: Page, url: str) -> AsyncIterator[None]:
    """The server answers at once and the page hears it late: when the block ends, and then all of it."""
    late = asyncio.Event()

    async def hold_back(route: Route) -> None:
        reply = await route.fetch()
        asked.set()
        await late.wait()
        await route.fulfill(response=reply)

    asked = asyncio.Event()
    await page.route(url, hold_back)
    yield
    async with asyncio.timeout(30):
        await asked.wait()
    async with page.expect_response(url) as answered:
        late.set()
    await (await answered.value).finished()
    await page.unroute_all(behavior="wait")


@pytest_asyncio.fixture(loop_scope="session")
async def people(own_hawker, browser: Browser):
    running = own_hawker().start()
    names = ("ana", "ben", "moderator")
    windows = await asyncio.gather(*(open_window(browser, name, running.base_url) for name in names))
    ana, ben, moderator = Viewer(windows[0]), Viewer(windows[1]), KeyboardModerator(windows[2])
    await asyncio.gather(ana.enter("demo"), ben.enter("demo"))
    await moderator.page.goto("/moderate/demo#demo=moderator")
    await expect(moderator.page.locator("#edit-terms")).to_be_enabled()  # the desk is there
    yield ana, ben, moderator
    for window in windows:
        window.check(PLAYER_ASKS, WHILE_BANNED)


@pytest.mark.timeout(300)
async def test_a_moderator_keeps_order_by_keyboard(people) -> None:
    """Terms, what waits, pins, answers, reports, several at once, all of one person, slow mode, a delay,
    the shield."""
    ana, ben, moderator = people
    await block_a_term(ana, ben, moderator)
    await choose_a_level(ana, moderator)
    await pin_and_answer(ana, ben, moderator)
    await see_to_a_report(ana, ben, moderator)
    await delete_many(ana, ben, moderator)
    await slow_down(ana, moderator)
    await see_it_first(ana, ben, moderator)
    await raise_the_shield(ben, moderator)
    await mute_for_oneself(ana, ben)
    await hide(ana, ben, moderator)
    await warn(ana, moderator)
    await ban(ana, ben, moderator)


async def block_a_term(ana: Viewer, ben: Viewer, moderator: KeyboardModerator) -> None:
    """What is held while the page waits for an older account of what waits stays on the page."""
    await moderator.reach("#edit-terms")
    await moderator.press("Enter")
    await moderator.page.keyboard.type("idiot*")
    await moderator.reach("#save-terms")
    async with replies_held_back(moderator.page, "**/api/shows/demo/moderation"):
        await moderator.press("Enter")
        await expect(moderator.page.get_by_role("dialog")).to_have_count(0)
        await ana.say("what an 1d1ot")
        await expect(ana.page.locator(".toast", has_text="moderator looks at")).to_be_visible()
        await expect(ana.message_box).to_have_value("")
        await expect(moderator.page.locator("#queue-rows .held")).to_contain_text("what an 1d1ot")
    await expect(ben.line("what an 1d1ot")).to_have_count(0)
    await moderator.press("q", "a")
    await ben.sees_line("what an 1d1ot")
    await expect(moderator.page.locator("#queue-rows .held")).to_have_count(0)


async def choose_a_level(ana: Viewer, moderator: KeyboardModerator) -> None:
    await moderator.reach("#edit-levels")
    await moderator.press("Enter")
    await moderator.reach("#level-profanity")
    await moderator.press("4")
    await moderator.reach("#save-levels")
    await moderator.press("Enter")
    await expect(moderator.page.get_by_role("dialog")).to_have_count(0)
    await ana.say("d4mn, that was fast")
    await expect(moderator.page.locator("#queue-rows .held")).to_contain_text("d4mn, that was fast")
    await moderator.press("q", "d")
    await expect(moderator.page.locator("#queue-rows .held")).to_have_count(0)


async def pin_and_answer(ana: Viewer, ben: Viewer, moderator: KeyboardModerator) -> None:
    await ana.say("Do you ship to Oslo?")
    await moderator.sees_line("Do you ship to Oslo?")
    await moderator.press("c")
    await moderator.choose(".chat-lines", "Do you ship to Oslo?")
    await moderator.press("p")
    await expect(ben.page.locator(".notice-bar")).to_contain_text("Do you ship to Oslo?")
    await ben.line("Do you ship to Oslo?").hover()
    await ben.line("Do you ship to Oslo?").locator(".reply").click()
    await ben.say("They do, I live there")
    answer = ana.line("They do, I live there")
    await expect(answer.locator(".chat-quote")).to_contain_text("Do you ship to Oslo?")


async def see_to_a_report(ana: Viewer, ben: Viewer, moderator: KeyboardModerator) -> None:
    await ana.say("something vile")
    await ben.line("something vile").hover()
    await ben.line("something vile").locator(".report").click()
    await ben.page.get_by_label("Rude or hateful").check()
    await ben.page.get_by_role("dialog").get_by_role("button", name="Report", exact=True).click()
    await expect(moderator.page.locator("#queue-rows .report")).to_contain_text("something vile")
    await moderator.press("q", "d")
    await expect(ben.line("something vile")).to_have_count(0)
    await moderator.press("q", "a")
    await expect(moderator.page.locator("#queue-rows .report")).to_have_count(0)


async def delete_many(ana: Viewer, ben: Viewer, moderator: KeyboardModerator) -> None:
    for text in ("first of two", "second of two"):
        await ana.say(text)
        await moderator.sees_line(text)
    await moderator.press("c")
    for text in ("second of two", "first of two"):
        await moderator.choose(".chat-lines", text)
        await moderator.press("x")
    await expect(moderator.page.locator(".chat-line.chosen")).to_have_count(2)
    await moderator.page.keyboard.press("Shift+D")
    await expect(ben.page.locator(".chat-line", has_text="of two")).to_have_count(0)


async def slow_down(ana: Viewer, moderator: KeyboardModerator) -> None:
    await moderator.reach("#mode-slow")
    await moderator.page.keyboard.type("One message every 120")
    await expect(ana.page.locator("#message-modes")).to_contain_text("Slow mode: one message every 2 min")
    await ana.say("one")
    await expect(ana.page.locator("#message-wait")).to_have_text(re.compile(r"You can send in (2 min|1 min|\d+ s)"))
    await ana.message_box.fill("two")
    await ana.message_box.press("Enter")
    await expect(ana.message_box).to_have_value("two")
    await moderator.press("Home")
    await expect(ana.page.locator("#message-modes")).to_be_hidden()
    # The wait once went on although nobody asked for it any more: two minutes, so the guard is shorter.
    await expect(ana.page.locator("#send")).to_be_enabled()


async def see_it_first(ana: Viewer, ben: Viewer, moderator: KeyboardModerator) -> None:
    await moderator.reach("#mode-delay")
    await moderator.page.keyboard.type("Viewers see it 60")
    await expect(ana.page.locator("#message-modes")).to_contain_text("Messages appear after 1 min")
    await ana.say("seen by nobody")
    await expect(moderator.line("seen by nobody")).to_contain_text("Not yet seen")
    await moderator.press("Escape", "c")
    await moderator.choose(".chat-lines", "seen by nobody")
    await moderator.press("d")
    await expect(moderator.line("seen by nobody")).to_have_count(0)
    await ana.say("seen a little later")
    await expect(moderator.line("seen a little later")).to_contain_text("Not yet seen")
    await expect(ben.page.locator(".chat-line", has_text="seen")).to_have_count(0)
    await moderator.reach("#mode-delay")
    await moderator.press("Home")
    await ben.sees_line("seen a little later")
    await expect(moderator.line("seen a little later")).to_have_count(1)
    await expect(moderator.line("Not yet seen")).to_have_count(0)
    await expect(ana.page.locator("#message-modes")).to_be_hidden()


async def raise_the_shield(ben: Viewer, moderator: KeyboardModerator) -> None:
    await moderator.press("Escape", "c", "s")
    await expect(moderator.page.locator("#mode-shield")).to_have_attribute("aria-pressed", "true")
    await expect(ben.page.locator("#message-modes")).to_contain_text("No links")
    await ben.say("see www.example.org")
    await expect(ben.page.locator("#message-wait")).to_contain_text("Links are not allowed")
    await expect(ben.message_box).to_have_value("see www.example.org")
    await moderator.press("s")
    await expect(ben.page.locator("#message-modes")).to_be_hidden()


async def mute_for_oneself(ana: Viewer, ben: Viewer) -> None:
    await ana.say("chatter of mine")
    await ben.line("chatter of mine").hover()
    await ben.line("chatter of mine").locator(".mute").click()
    await expect(ben.line("chatter of mine")).to_be_hidden()
    await ben.page.reload()
    await expect(ben.page.locator("#blocks")).to_have_text("Muted: 1")
    await expect(ben.line("chatter of mine")).to_be_hidden()
    await ben.page.locator("#blocks").click()
    await ben.page.get_by_role("button", name="Read again").click()
    await ben.page.keyboard.press("Escape")
    await ben.sees_line("chatter of mine")


async def open_card(moderator: KeyboardModerator, text: str) -> None:
    await moderator.press("c")
    await moderator.choose(".chat-lines", text)
    await moderator.press("i")
    await expect(moderator.page.locator("#person-state")).to_be_visible()


async def hide(ana: Viewer, ben: Viewer, moderator: KeyboardModerator) -> None:
    await open_card(moderator, "chatter of mine")
    await moderator.reach("#watch-hidden")
    await moderator.press("Enter")
    await expect(moderator.page.locator("#watch-hidden")).to_have_attribute("aria-pressed", "true")
    await moderator.press("Escape")
    await ana.say("does anybody read this?")
    await ana.sees_line("does anybody read this?")
    await expect(moderator.line("does anybody read this?")).to_contain_text("Seen by its author alone")
    await ana.page.reload()
    await ana.sees_line("does anybody read this?")
    await ben.say("I see nothing")
    await ana.sees_line("I see nothing")
    await expect(ben.page.locator(".chat-line", has_text="does anybody")).to_have_count(0)
    await open_card(moderator, "chatter of mine")
    await moderator.reach("#watch-none")
    await moderator.press("Enter")
    await expect(moderator.page.locator("#watch-none")).to_have_attribute("aria-pressed", "true")
    await moderator.press("Escape")


async def warn(ana: Viewer, moderator: KeyboardModerator) -> None:
    await open_card(moderator, "chatter of mine")
    await moderator.reach("#warn")
    await moderator.press("Enter")
    await moderator.page.keyboard.type("Be kind to each other")
    await moderator.press("Enter")
    await expect(ana.page.get_by_role("dialog")).to_contain_text("Be kind to each other")
    await ana.page.keyboard.press("Escape")
    await ana.say("but I")
    await expect(ana.page.locator("#message-wait")).to_contain_text("warning first")
    await expect(ana.message_box).to_have_value("but I")
    await ana.page.reload()
    await ana.page.locator("#accept-warning").click()
    await expect(ana.page.get_by_role("dialog")).to_have_count(0)
    await ana.say("I will be")
    await moderator.press("Escape")
    await moderator.sees_line("I will be")


async def ban(ana: Viewer, ben: Viewer, moderator: KeyboardModerator) -> None:
    stock = await ben.pinned.locator(".offer-stock").inner_text()
    await ana.hold()
    await expect(ben.pinned.locator(".offer-stock")).not_to_have_text(stock)
    await open_card(moderator, "I will be")
    await moderator.reach("#ban")
    await moderator.press("Enter")
    await moderator.page.keyboard.type("enough")
    await moderator.press("Enter")
    await expect(ana.page.locator("#ban-reason")).to_have_text("enough")
    await expect(moderator.page.locator("#person-state")).to_have_text("Banned from this show.")
    await ben.sees_stock(stock)
    await ana.page.reload()
    await ana.page.locator("#unban-text").fill("I am sorry <b>truly</b>")
    await ana.page.locator("#ask-back").click()
    await expect(ana.page.locator("#unban")).to_contain_text("have not answered yet")
    await moderator.press("Escape")
    await expect(moderator.page.locator("#queue-rows .unban")).to_contain_text("I am sorry <b>truly</b>")
    await moderator.press("q", "a")
    await expect(moderator.page.locator("#queue-rows .unban")).to_have_count(0)
    await ana.page.reload()
    async with moderator.page.expect_download() as download:
        await moderator.page.get_by_role("link", name="Log as CSV").click()
    assert "unban.accepted" in (await (await download.value).path()).read_text()
    await ana.say("back, and kinder")
    await ben.sees_line("back, and kinder")
