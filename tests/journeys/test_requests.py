"""api.js and what asks through it, in a real browser before a network that says nothing, or breaks off."""

import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.journeys.browser import open_modules

# What is asked waits until `giveUp()`, which is when its time is over, unless there is an `answer()`.
DEAD_NETWORK = """
() => {
  window.asked = [];
  window.patience = [];
  window.answer = null;
  AbortSignal.timeout = (ms) => {
    const over = new AbortController();
    patience.push(ms);
    window.giveUp = () => over.abort(new DOMException("over", "TimeoutError"));
    return over.signal;
  };
  window.fetch = (path, { method, headers, signal }) => {
    asked.push({ method, path, key: headers["Idempotency-Key"] });
    if (answer) return Promise.resolve(answer());
    return new Promise((_, refuse) => signal.addEventListener("abort", () => refuse(signal.reason)));
  };
  const headers = { "Content-Type": "application/json" };
  window.say = (text, status = 200) => () => new Response(text, { status, headers });
}
"""


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> Page:
    """A page with nothing but the modules and such a network."""
    return await open_modules(browser, DEAD_NETWORK)


async def test_whatever_a_page_asks_is_given_up_at_some_time_and_it_says_what_that_means(page: Page) -> None:
    told = await page.evaluate("""async () => {
      const { get, post, put, remove, upload } = await import("/shared/api.js");
      const ways = {
        get: () => get("/a"),
        put: () => put("/a", {}),
        remove: () => remove("/a"),
        "post by key": () => post("/a", {}, "k"),
        post: () => post("/a", {}),
        upload: () => upload("/a", new Blob(["x"])),
      };
      const told = {};
      for (const [name, ask] of Object.entries(ways)) {
        const asking = ask().catch((error) => [error.name, error.code, error.message]);
        giveUp();
        told[name] = await asking;
      }
      return { told, patience };
    }""")
    again = "Hawker has not answered for a long time. Check your connection and try again: nothing is done twice."
    look = "Hawker has not answered for a long time. It may have been done all the same: look before you try again."
    words = {"get": again, "put": again, "remove": again, "post by key": again, "post": look, "upload": look}
    assert told["told"] == {name: ["Problem", "offline", said] for name, said in words.items()}
    patience = dict(zip(words, told["patience"], strict=True))
    assert 10_000 <= patience["get"] == patience["put"] == patience["remove"]
    assert patience["get"] < patience["post by key"] == patience["post"] < patience["upload"]


async def test_what_was_not_answered_is_asked_again_under_its_key(page: Page) -> None:
    keys = await page.evaluate("""async () => {
      const { Holds } = await import("/watch/holds.js");
      const holds = new Holds("s", { id: "me" }, () => {});
      const take = () => holds.take("pool", 1).catch((error) => error.code);
      const first = take();
      giveUp();
      await first;
      answer = say(JSON.stringify({ code: "in_progress" }), 409);
      await take();
      answer = say(JSON.stringify({ id: "h", state: "held", expires_in_ms: 60_000 }));
      await take();
      await take();
      return asked.map(({ key }) => key);
    }""")
    assert keys[0] == keys[1] == keys[2] != keys[3]


async def test_an_answer_that_breaks_off_is_none(page: Page) -> None:
    """The page drew nothing in place of what was there, and then threw."""
    told = await page.evaluate("""async () => {
      const { get } = await import("/shared/api.js");
      const { Reading } = await import("/shared/reading.js");
      const drawn = [];
      const reading = new Reading({ read: () => get("/a"), load: (whole) => drawn.push(whole) });
      answer = say('{"people": [');
      const broken = await reading.refresh().catch((error) => [error.name, error.code]);
      answer = say('{"people": []}');
      await reading.refresh();
      return { broken, drawn };
    }""")
    assert told == {"broken": ["Problem", "offline"], "drawn": [{"people": []}]}


async def test_lists_and_levels_are_not_edited_before_they_are_there(page: Page) -> None:
    """The levels' button threw, and the terms' one would have saved an empty list over the show's."""
    await page.evaluate("""async () => {
      const { Modes } = await import("/moderate/modes.js");
      window.modes = new Modes(document.body, { send: null, fresh: null, lead: true, host: null });
    }""")
    buttons = [page.locator("#edit-terms"), page.locator("#edit-levels")]
    for button in buttons:
        await expect(button).to_be_disabled()
    await page.evaluate("""() => modes.draw({ terms: {}, modes: { slow_s: 0, delay_s: 0, followers_min: null } })""")
    for button in buttons:
        await expect(button).to_be_enabled()


async def test_a_banks_question_stays_until_its_answer_has_arrived(page: Page) -> None:
    await page.evaluate("""async () => {
      const { askBank } = await import("/watch/payment.js");
      answer = say('{"provider": "simulated"}');
      const node = document.createElement("div");
      document.body.append(node);
      window.settled = false;
      askBank(node, { payment: "p", challenge: "c" }, "5 EUR").then(() => (window.settled = true));
    }""")
    yes = page.get_by_role("button", name="Yes, it is me")
    await page.wait_for_selector("#bank")
    await page.evaluate("answer = null")
    await yes.click()
    await expect(yes).to_be_disabled()
    await page.evaluate("giveUp()")
    await expect(page.locator(".toast")).to_contain_text("has not answered")
    await expect(yes).to_be_enabled()
    await page.evaluate("answer = say('{}')")
    await yes.click()
    await page.wait_for_function("settled")


async def test_a_reviewers_secret_that_got_lost_is_said_to_be_and_can_be_made_anew(page: Page) -> None:
    await page.evaluate("""async () => {
      const { openReviewer } = await import("/moderate/reviewer.js");
      const kept = { url: "", limit_ms: 1000, otherwise: "hold" };
      let made = 0, lost = true;
      window.fetch = async (path, { method, body }) => {
        let secret = "";
        if (method === "PUT") {
          const asked = JSON.parse(body);
          if (asked.url && asked.url !== kept.url) secret = `secret ${(made += 1)}`;
          Object.assign(kept, asked);
          if (lost) throw lost = false, new TypeError("lost");
        }
        return say(JSON.stringify({ ...kept, secret }))();
      };
      openReviewer("s");
    }""")
    await page.locator("#reviewer-url").fill("https://reviewer.test/")
    await page.locator("#save-reviewer").click()
    await expect(page.locator(".toast")).to_contain_text("does not answer")
    await page.locator("#save-reviewer").click()
    await expect(page.locator("dialog [role=alert]")).to_contain_text("did not arrive")
    await page.locator("#renew-secret").click()
    await expect(page.locator("#reviewer-secret")).to_have_value("secret 2")
    await expect(page.locator("dialog [role=alert]")).to_be_hidden()
