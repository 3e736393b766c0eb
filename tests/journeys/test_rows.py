"""Lists of the moderation page in a real browser: with which row the focus is, and so the keys, when others act too."""

import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.journeys.browser import open_modules

# Three held messages and two acts that can be undone; `sent` is what the keys led to.
PANELS = """
async () => {
  const { Queue } = await import("/moderate/queue.js");
  const { Acts } = await import("/moderate/acts.js");
  const { listenToKeys } = await import("/moderate/keys.js");
  const place = () => document.body.appendChild(document.createElement("section"));
  window.sent = [];
  const send = async (op, { message }) => { sent.push([op, message]); };
  window.queue = new Queue(place(), { send, wordsOf: () => "words" });
  window.held = (id, at) => ({ t: "held", id, at, by: { id: `by-${id}`, name: id }, text: id, why: "term" });
  window.report = (n) => ({ t: "report", id: `r${n}`, message: "rep", at: 9, reason: "rude", by: { name: `R${n}` },
    author: { id: "author", name: "Author" } });
  queue.hear([held("a", 1), held("b", 2), held("c", 3), held("d", 4), report(1)]);
  window.acts = new Acts(place(), "s", send);
  window.act = (n, more) => ({ n, at: n, act: "timeout.set", actor: { id: "m", name: "Mo" },
    target: { id: "p", name: "P" }, ...more });
  acts.hear([act(1, { undoable: true }), act(2, { undoable: true })]);
  listenToKeys({ lists: {}, press: {} });
  window.row = (id) => document.querySelector(`[data-held="${id}"], [data-report="${id}"], [data-act="${id}"]`);
  window.decided = (...ids) => queue.hear(ids.map((id) => ({ t: "held.decided", id })));
  window.at = () => {
    const row = document.activeElement.closest("li");
    return [row?.dataset.held ?? row?.dataset.report ?? row?.dataset.act, document.activeElement.textContent];
  };
}
"""


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> Page:
    """A page with these lists and nothing else."""
    return await open_modules(browser, PANELS)


async def test_a_key_acts_on_the_row_that_was_chosen_whatever_a_colleague_decides_before(page: Page) -> None:
    await page.evaluate("""() => { row("b").focus(); decided("a"); }""")
    await page.keyboard.press("d")
    assert await page.evaluate("sent") == [["held.deny", "b"]]


async def test_the_focus_stays_on_its_button_when_its_row_moves_or_is_drawn_anew(page: Page) -> None:
    told = await page.evaluate("""() => {
      const told = {};
      row("b").querySelector("[data-key=d]").focus();
      queue.hear([held("0", 0), { t: "held.decided", id: "a" }]);
      told.kept = at();
      row("rep").querySelector("[data-key=d]").focus();
      queue.hear([report(2), { t: "held.decided", id: "c" }]);
      told.redrawn = at();
      row("1").querySelector(".undo").focus();
      acts.hear([act(3)]);
      told.undo = at();
      acts.hear([act(4, { undoes: 1 })]);
      told.undone = at()[0];
      return told;
    }""")
    assert told == {"kept": ["b", "Deny"], "redrawn": ["rep", "Delete it"], "undo": ["1", "Undo"], "undone": "1"}


async def test_from_a_row_that_is_gone_the_focus_goes_to_the_nearest(page: Page) -> None:
    told = await page.evaluate("""() => {
      row("b").focus();
      decided("a", "b");
      const next = at()[0];
      row("rep").focus();
      queue.hear([{ t: "report.closed", message: "rep" }]);
      return [next, at()[0]];
    }""")
    assert told == ["c", "d"]
