"""chat-feed.js in a real browser with a clock of the test's: when a line of a busy room has its buttons."""

import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect

from tests.journeys.browser import open_modules

BUSY_ROOM = """
async () => {
  const { ChatFeed } = await import("/shared/chat-feed.js");
  window.pressed = [];
  const button = (event) => Object.assign(document.createElement("button"), {
    textContent: `Answer ${event.id}`, onclick: () => pressed.push(event.id),
  });
  const feed = new ChatFeed(document.body, { actionsLater: true, actionsOf: (event) => [button(event)] });
  const by = { id: "p", name: "Ada", standing: "viewer" };
  window.say = (from, to) => feed.addAll(Array.from({ length: to - from }, (_, n) => ({
    t: "chat", id: `m${from + n}`, at: Date.now(), text: `number ${from + n}`, by,
  })));
  window.strike = (n) => feed.add({ t: "chat.deleted", id: `m${n}`, by: { id: "h", name: "Host" } });
  say(0, 4);
}
"""


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> Page:
    """A feed of four lines, its clock at rest, on a device that can be touched."""
    page = await open_modules(browser, "() => {}", has_touch=True)
    await page.clock.install()
    await page.clock.pause_at(await page.evaluate("Date.now() + 60_000"))
    await page.evaluate(BUSY_ROOM)
    await expect(buttons(page)).to_have_count(0)
    return page


def buttons(page: Page) -> Locator:
    return page.get_by_role("button", name="Answer")


def line(page: Page, number: int) -> Locator:
    return page.locator(".chat-line", has_text=f"number {number}")


async def test_a_line_that_has_stayed_has_its_buttons_for_who_only_listens(page: Page) -> None:
    await page.clock.run_for(2_000)
    await page.evaluate("say(4, 5); strike(2)")
    await page.clock.run_for(900)
    await expect(buttons(page)).to_have_count(0)
    await page.clock.run_for(200)
    await expect(buttons(page)).to_have_text(["Answer m0", "Answer m1", "Answer m3"])
    await page.clock.run_for(2_000)
    await expect(buttons(page)).to_have_text(["Answer m0", "Answer m1", "Answer m3", "Answer m4"])
    # The list says what is added to it: a line, and not its buttons once more.
    assert await page.locator(".chat-actions:not([aria-live=off])").count() == 0


async def test_a_line_that_is_pointed_at_has_its_buttons(page: Page) -> None:
    await line(page, 1).hover()
    await expect(buttons(page)).to_have_text(["Answer m1"])


async def test_a_line_that_is_touched_has_its_buttons(page: Page) -> None:
    await line(page, 2).tap()
    await expect(buttons(page)).to_have_text(["Answer m2"])


async def test_a_finger_presses_no_button_that_it_could_not_see(page: Page) -> None:
    """On a phone a tap at the end of a line reported the message."""
    await page.clock.run_for(3_100)
    for number, pressed in ((1, []), (1, ["m1"]), (2, ["m1"]), (1, ["m1"]), (1, ["m1", "m1"])):
        await buttons(page).nth(number).tap()
        assert await page.evaluate("pressed") == pressed
    await buttons(page).nth(2).click()  # where a mouse points, the buttons can be seen
    assert await page.evaluate("pressed") == ["m1", "m1", "m2"]


async def test_a_finger_is_one_where_clicks_do_not_say_and_begins_anew_after_it_was_elsewhere(page: Page) -> None:
    await page.evaluate("""() => {
      Object.defineProperty(PointerEvent.prototype, "pointerType", {
        get() { return this.type === "click" ? undefined : "touch"; },
      });
      document.body.append(Object.assign(document.createElement("p"), { textContent: "elsewhere" }));
    }""")
    await page.clock.run_for(3_100)
    for place, pressed in ((buttons(page).nth(1), []), (page.get_by_text("elsewhere"), []), (buttons(page).nth(1), [])):
        await place.tap()
        assert await page.evaluate("pressed") == pressed
    await buttons(page).nth(1).tap()
    assert await page.evaluate("pressed") == ["m1"]
    await buttons(page).nth(2).press("Enter")  # no finger's, though a finger came before
    assert await page.evaluate("pressed") == ["m1", "m2"]


async def test_who_comes_by_keyboard_finds_the_buttons(page: Page) -> None:
    """First the list, by its place in the order of the tab key; then each button."""
    await page.keyboard.press("Tab")
    await expect(page.locator(".chat-lines")).to_be_focused()
    await expect(buttons(page)).to_have_text([f"Answer m{n}" for n in range(4)])
    await page.keyboard.press("Tab")
    await expect(buttons(page).first).to_be_focused()
    await page.evaluate("say(4, 5)")
    await line(page, 4).focus()  # as the arrow keys of the moderation page do
    await expect(buttons(page)).to_have_count(5)
