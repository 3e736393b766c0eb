"""reading.js in a real browser: replies that come when the test says so, and what a page then shows."""

import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.journeys.browser import open_modules

# `shown` is a page's list; `reply(whole)` answers what was asked first, `refuse()` turns it down.
LIST = """
async () => {
  const { Reading } = await import("/shared/reading.js");
  const waiting = [], asked = [];
  const ask = (what) => new Promise((answer, refuse) => {
    asked.push(what);
    waiting.push({ answer, refuse });
  });
  const turn = () => new Promise((done) => setTimeout(done, 5));
  const list = { shown: [], asked, turn };
  list.reading = new Reading({
    read: () => ask("read"),
    load: (whole) => { list.shown = [...whole]; },
    hear: (events) => { for (const one of events) if (!list.shown.includes(one)) list.shown.push(one); },
  });
  list.act = (what) => list.reading.change(() => ask(what));
  list.reply = (whole) => { waiting.shift().answer(whole); return turn(); };
  list.refuse = () => { waiting.shift().refuse(new Error("no")); return turn(); };
  window.list = list;
}
"""


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> Page:
    """A page with such a list and nothing else."""
    return await open_modules(browser, LIST)


async def test_what_was_heard_while_a_reply_was_awaited_stays_on_top_of_it(page: Page) -> None:
    shown = await page.evaluate("""async () => {
      list.reading.hear(["before"]);
      list.reading.refresh();
      list.reading.hear(["in the same turn"]);
      await list.turn();
      list.reading.hear(["meanwhile"]);
      const first = [...list.shown];
      await list.reply(["read"]);
      list.reading.hear(["later"]);
      return [first, list.shown];
    }""")
    assert shown == [["before", "in the same turn", "meanwhile"], ["read", "meanwhile", "later"]]


async def test_reads_and_acts_take_turns_and_who_asks_for_the_same_read_shares_it(page: Page) -> None:
    """So no reply is older than the one before it."""
    told = await page.evaluate("""async () => {
      list.reading.refresh();
      await list.turn();
      const act = list.act("act");
      const again = list.reading.refresh();
      const same = again === list.reading.refresh();
      await list.turn();
      const alone = [...list.asked];
      await list.reply(["first"]);
      await list.reply(["acted"]);
      await list.reply(["again"]);
      return { same, alone, asked: list.asked, answered: [await act, await again], shown: list.shown };
    }""")
    assert told == {
        "same": True,
        "alone": ["read"],
        "asked": ["read", "act", "read"],
        "answered": [["acted"], ["again"]],
        "shown": ["again"],
    }


async def test_a_refusal_is_told_to_who_asked_changes_nothing_and_lets_the_next_go_on(page: Page) -> None:
    told = await page.evaluate("""async () => {
      list.reading.hear(["heard"]);
      const act = list.act("act").catch((error) => error.message);
      const next = list.reading.refresh();
      await list.turn();
      await list.refuse();
      const after = [await act, [...list.shown]];
      await list.reply(["read"]);
      await next;
      return [...after, list.shown];
    }""")
    assert told == ["no", ["heard"], ["read"]]
