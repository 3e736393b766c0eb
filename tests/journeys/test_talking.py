"""Questions, polls, comments that buy, reactions and acts that are taken back, as all of them see it."""

import asyncio
import re

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.journeys.browser import NARROW, PLAYER_ASKS, open_window, sticks_out
from tests.journeys.people import Host, Moderator, Viewer


@pytest_asyncio.fixture(loop_scope="session")
async def people(own_hawker, browser: Browser):
    running = own_hawker().start()
    names = ("ana", "ben", "moderator", "host")
    windows = await asyncio.gather(*(open_window(browser, name, running.base_url) for name in names))
    ana, ben, moderator, host = Viewer(windows[0]), Viewer(windows[1]), Moderator(windows[2]), Host(windows[3])
    await asyncio.gather(ana.enter("demo"), ben.enter("demo"))
    await moderator.page.goto("/moderate/demo#demo=moderator")
    await host.page.goto("/studio/demo#demo=host")
    await asyncio.gather(expect(moderator.message_box).to_be_visible(), expect(host.message_box).to_be_visible())
    yield ana, ben, moderator, host
    for window in windows:
        window.check(PLAYER_ASKS)


def questions(somebody, text: str):
    """The rows of questions with this text."""
    return somebody.page.locator(".question-row", has_text=text)


@pytest.mark.timeout(300)
async def test_a_show_is_talked_to_and_answers(people) -> None:
    """Ask, vote, take up and answer; buy by a comment; react; time out and take it back."""
    ana, ben, moderator, host = people
    await ask_and_vote(ana, ben)
    await take_up_and_answer(ana, ben, moderator, host)
    await buy_by_a_comment(ana, ben, moderator, host)
    await ask_everybody(ana, ben, moderator, host)
    await announce_and_mention(ana, ben, moderator, host)
    await react(ana, ben)
    await follow(ana, moderator)
    await take_a_timeout_back(ana, moderator)
    await look_at_a_phone(ana)
    await leave_nothing_unanswered(ben, moderator, host)


async def ask_and_vote(ana: Viewer, ben: Viewer) -> None:
    for viewer in (ana, ben):
        await viewer.page.locator('.chat-head [data-panel="questions"]').click()
    await ana.page.locator("#question").fill("Does it come in blue?")
    await ana.page.locator("#question").press("Enter")
    await expect(ana.page.locator("#question")).to_have_value("")
    await ana.page.locator("#question").fill("How much to Oslo?")
    await ana.page.locator("#question").press("Enter")
    await expect(questions(ben, "How much to Oslo?")).to_be_visible()
    vote = questions(ben, "How much to Oslo?").locator(".vote")
    await vote.focus()
    await ben.page.keyboard.press("Enter")
    await expect(vote).to_have_attribute("aria-pressed", "true")
    await expect(vote).to_have_text("1")
    await expect(ana.page.locator(".question-row").first).to_contain_text("How much to Oslo?")
    await expect(questions(ana, "How much to Oslo?").locator(".vote")).to_be_disabled()
    await ana.page.locator("#question").fill("And a third one?")
    await ana.page.locator("#question").press("Enter")
    await expect(ana.page.locator("#question-wait")).to_contain_text("You can ask in")
    await expect(ana.page.locator("#question")).to_have_value("And a third one?")


async def take_up_and_answer(ana: Viewer, ben: Viewer, moderator: Moderator, host: Host) -> None:
    await questions(host, "How much to Oslo?").get_by_role("button", name="Take up").click()
    for somebody in (ben, moderator):
        await expect(questions(somebody, "How much to Oslo?")).to_contain_text("Being answered now")
    await moderator.page.locator("body").press("k")
    await moderator.page.keyboard.press("w")
    await expect(questions(ben, "How much to Oslo?")).to_contain_text("Answered")
    await questions(host, "Does it come in blue?").get_by_role("button", name="In words").click()
    await host.page.locator("#answer-words").fill("In June, Ana")
    await host.page.locator("#answer-alone").check()
    await host.page.locator("#give-answer").click()
    await expect(questions(ana, "Does it come in blue?")).to_contain_text("In June, Ana")
    await expect(questions(ben, "Does it come in blue?")).to_contain_text("asker alone")
    await ana.page.reload()
    await ana.page.locator('.chat-head [data-panel="questions"]').click()
    await expect(questions(ana, "Does it come in blue?")).to_contain_text("In June, Ana")
    for viewer in (ana, ben):
        await viewer.page.locator('.chat-head [data-panel="chat"]').click()


async def buy_by_a_comment(ana: Viewer, ben: Viewer, moderator: Moderator, host: Host) -> None:
    await host.page.locator("#comments-buy").check()
    await host.page.locator(".keyword-row input").first.fill("mug1")
    await host.page.locator("#save-keywords").click()
    await expect(ana.page.locator("#message-buying")).to_contain_text("MUG1")
    await ana.say("I would buy mug1")
    await ben.sees_line("I would buy mug1")
    await expect(ana.page.locator("#held .held-item")).to_have_count(0)
    # A worker that knew of no keywords hears of them within a second: the message is written again until it buys.
    for n in range(10):
        await ana.say("mug1" + "!" * n)
        try:
            await expect(ana.page.locator(".chat-note.sold .button")).to_be_visible(timeout=2000)
            break
        except AssertionError:
            continue
    # On a slow machine the words before the last have bought, too.
    await expect(ana.page.locator("#held .held-item").first).to_contain_text("is held for you")
    await expect(ben.page.locator(".chat-note.sold .button")).to_have_count(0)
    await ana.page.locator(".chat-note.sold .button").first.click()
    await expect(ana.sheet).to_have_attribute("data-step", "pay")
    await ana.page.keyboard.press("Escape")
    bought = moderator.page.locator(".chat-line", has_text="mug1").locator(".delete")
    await expect(bought).to_have_count(n + 2)
    for left in range(await bought.count(), 0, -1):
        await bought.first.click()
        await expect(bought).to_have_count(left - 1)
    await expect(ana.page.locator("#held .held-item")).to_have_count(0)


async def ask_everybody(ana: Viewer, ben: Viewer, moderator: Moderator, host: Host) -> None:
    await host.page.locator("#new-poll").click()
    await host.page.locator("#poll-question").fill("Blue or red?")
    await host.page.locator("#poll-options").fill("Blue\nRed")
    await host.page.locator("#poll-lasts").select_option("")
    await host.page.locator("#ask-poll").click()
    await ana.page.locator('.poll-option[data-choice="1"]').click()
    await expect(ana.page.locator(".poll-option.mine")).to_contain_text("Red")
    await ben.page.locator('.poll-option[data-choice="0"]').focus()
    await ben.page.keyboard.press("Enter")
    for somebody in (ana, ben, host):
        await expect(somebody.page.locator(".poll")).to_contain_text("2 answers")
    await expect(ana.page.locator(".poll-option").first).to_be_disabled()
    await moderator.page.locator("#end-poll").click()
    for somebody in (ana, host):
        await expect(somebody.page.locator(".poll")).to_contain_text("the poll is over")
    await ben.page.reload()
    await expect(ben.page.locator(".poll-option.mine")).to_contain_text("1 · 50 %")
    await ben.page.get_by_role("button", name="All polls").click()
    await expect(ben.page.locator("#poll-list")).to_contain_text("Blue or red?")
    await ben.page.keyboard.press("Escape")
    await ben.page.get_by_role("button", name="Close the poll").click()
    await expect(ben.page.locator(".poll")).to_be_hidden()


MENTIONS = [
    ("@Ana hello", ["Ana"], ["Ana"]),
    ("hello @ana!", ["Ana"], ["Ana"]),
    ("@Anabel", ["Ana"], []),
    ("@Anabel @Ana", ["Ana", "Anabel"], ["Anabel", "Ana"]),
    ("@Guest 20 and @Guest 2.", ["Guest 2"], ["Guest 2"]),
    ("ana@ana.example", ["Ana"], []),
    ("@@Ana", ["Ana"], ["Ana"]),
    ("@<b>x</b>", ["<b>x</b>"], ["<b>x</b>"]),
    ("@", ["Ana"], []),
]
WHO_IS_MEANT = """async (cases) => {
    const { partsOf } = await import("/static/shared/mentions.js");
    return cases.map(([text, names]) => {
        const parts = partsOf(text, names);
        return [parts.map((part) => part.text).join("") === text, parts.map((part) => part.name).filter(Boolean)];
    });
}"""


async def announce_and_mention(ana: Viewer, ben: Viewer, moderator: Moderator, host: Host) -> None:
    await moderator.page.locator("#announce").click()
    await moderator.page.locator("#lines-text").fill("Free shipping today")
    await moderator.page.locator("#save-lines").click()
    await expect(ana.page.locator("#ticker")).to_have_text("Free shipping today")
    await host.page.locator("#replies").click()
    await host.page.locator("#lines-text").fill("We ship to Oslo\nIn June")
    await host.page.locator("#save-lines").click()
    await expect(host.page.get_by_role("dialog")).to_have_count(0)
    await moderator.page.locator("#replies").click()
    await moderator.page.get_by_role("button", name="In June").click()
    await expect(moderator.message_box).to_have_value("In June")
    await host.page.locator("#more-answers").click()
    await host.page.get_by_label("Keywords").fill("shipping, how much to")
    await host.page.get_by_label("Answer", exact=True).fill("Nine euros, anywhere")
    await host.page.locator("#save-answers").click()
    await expect(host.page.locator(".toast", has_text="Saved")).to_be_visible()
    await expect(host.page.get_by_label("Keywords")).to_have_value("shipping, how much to")
    await ana.say("What is shipping to Oslo?")
    await expect(ben.page.locator(".chat-note.answer")).to_contain_text("Nine euros, anywhere")
    name = await ana.name()
    await moderator.say(f"In June, @{name}")
    await expect(ana.page.locator(".toast", has_text="speaks to you")).to_be_visible()  # first: it goes soon
    await expect(ana.page.locator(".chat-line.to-reader .mention")).to_have_text(f"@{name}")
    await ben.sees_line(f"In June, @{name}")
    await expect(ben.page.locator(".chat-line.to-reader")).to_have_count(0)
    found = await ana.page.evaluate(WHO_IS_MEANT, [[text, names] for text, names, _ in MENTIONS])
    assert found == [[True, meant] for _, _, meant in MENTIONS]


async def follow(ana: Viewer, moderator: Moderator) -> None:
    await moderator.page.locator("#mode-followers").select_option("0")
    await expect(ana.page.locator("#message-modes")).to_contain_text("Followers only")
    await ana.say("may I?")
    await expect(ana.page.locator("#message-wait")).to_contain_text("Only who follows")
    await ana.page.locator("#follow").click()
    await expect(ana.page.locator("#follow")).to_have_text("Following")
    await ana.page.locator("#send").click()
    await moderator.sees_line("may I?")
    await moderator.page.locator("#mode-followers").select_option("")
    await expect(ana.page.locator("#message-modes")).to_be_hidden()


async def react(ana: Viewer, ben: Viewer) -> None:
    before = await ben.page.locator('[data-kind="fire"]').bounding_box()
    await ana.page.locator('[data-kind="fire"]').focus()
    for _ in range(3):
        await ana.page.keyboard.press("Enter")
    await expect(ben.page.locator('[data-kind="fire"] .reaction-count')).to_have_text("3")
    assert await ben.page.locator('[data-kind="fire"]').bounding_box() == before


async def take_a_timeout_back(ana: Viewer, moderator: Moderator) -> None:
    await ana.say("too loud")
    line = moderator.line("too loud")
    await line.locator('[data-seconds="600"]').click()
    await expect(ana.page.locator("#message-wait")).to_contain_text("timed out")
    await expect(moderator.page.locator("#act-rows > li").first).to_contain_text("timed out")
    await moderator.page.locator("body").press("l")
    await moderator.page.keyboard.press("u")
    await expect(ana.page.locator("#message-wait")).to_be_hidden()
    await expect(moderator.page.locator("#act-rows")).to_contain_text("takes back no.")
    await ana.say("thank you")
    await moderator.sees_line("thank you")


async def look_at_a_phone(ana: Viewer) -> None:
    await ana.page.set_viewport_size(NARROW)
    assert await sticks_out(ana.page) == []
    await ana.page.locator('.views [data-view="questions"]').click()
    await expect(ana.page.locator("#questions")).to_be_visible()
    assert await sticks_out(ana.page) == []


async def leave_nothing_unanswered(ben: Viewer, moderator: Moderator, host: Host) -> None:
    await ben.page.locator('.chat-head [data-panel="questions"]').click()
    await ben.page.locator("#question").fill("And in green?")
    await ben.page.locator("#question").press("Enter")
    await expect(questions(moderator, "And in green?")).to_be_visible()
    await host.end_show()
    left = moderator.page.locator(".unanswered-row", has_text="And in green?")
    await expect(left).to_contain_text(re.compile(r"First answer in 1[01]:\d\d"))  # of twelve minutes
    await left.get_by_role("button", name="Close without an answer").click()
    await expect(left).to_have_count(0)
    await expect(ben.page.locator(".question-row", has_text="And in green?")).to_have_count(0)
