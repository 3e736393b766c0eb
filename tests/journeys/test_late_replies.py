"""Panels of the pages in a real browser, before a server whose answers overtake each other and the room's word."""

from pathlib import Path

import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.journeys.browser import open_modules

SERVER = (Path(__file__).parent / "late_server.js").read_text()


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> Page:
    """A page with nothing but the modules and such a server."""
    return await open_modules(browser, SERVER)


async def test_who_is_appointed_while_the_list_is_read_stays_in_it(page: Page) -> None:
    shown = await page.evaluate("""async () => {
      const { Moderators } = await import("/studio/moderators.js");
      const moderators = [], path = "/api/shows/s/moderators";
      server.answers[`GET ${path}`] = () => ({ moderators });
      server.answers[`PUT ${path}`] = ({ name }) => ({ moderators: (moderators.push({ id: name, name }), moderators) });
      server.late.add(`GET ${path}`);
      const place = server.place();
      new Moderators(place, { id: "s" }).load();
      place.querySelector("#appoint-name").value = "Mo";
      place.querySelector("#appoint").click();
      await server.settled();
      return [...place.querySelectorAll(".person")].map((row) => row.textContent);
    }""")
    assert shown == ["Mo"]


async def test_what_is_put_into_a_cart_while_it_is_read_stays_in_it(page: Page) -> None:
    counts = await page.evaluate("""async () => {
      const { Cart } = await import("/watch/cart.js");
      const items = [], path = "/api/shops/h/cart";
      const cart = () => ({ items, goods_minor: 100 * items.length, currency: "EUR" });
      server.answers[`GET ${path}`] = cart;
      for (const pool of ["a", "b"]) {
        const put = `PUT ${path}/${pool}`;
        server.answers[put] = ({ quantity }) => (items.push({ pool, quantity, title: pool, hold: null }), cart());
      }
      server.late.add(`GET ${path}`).add(`PUT ${path}/a`);
      const panel = new Cart(server.place(), { show: "s", holds: null, done: null });
      panel.shop = "h";
      panel.load();
      panel.add("a", 1);
      panel.add("b", 2);
      await server.settled();
      return panel.items.map((item) => [item.pool, item.quantity]);
    }""")
    assert counts == [["a", 1], ["b", 2]]


async def test_a_shop_is_followed_though_an_older_list_is_still_awaited(page: Page) -> None:
    words = await page.evaluate("""async () => {
      const { Follow } = await import("/watch/follow.js");
      const shops = [], button = document.createElement("button");
      server.place().append(button);
      server.answers["GET /api/follows"] = () => ({ shops });
      server.answers["PUT /api/follows/h"] = () => ({ shops: (shops.push({ id: "h" }), shops) });
      server.late.add("GET /api/follows");
      const follow = new Follow(button);
      await follow.load({ id: "h", name: "H" });
      follow.load({ id: "h", name: "H" });
      button.click();
      await server.settled();
      return [button.textContent, button.hidden];
    }""")
    assert words == ["Following", False]


async def test_the_filter_that_was_set_last_is_what_a_shops_orders_show(page: Page) -> None:
    shown = await page.evaluate("""async () => {
      const { OrdersPanel } = await import("/shop/orders.js");
      const path = "/api/shops/h/orders";
      const order = (id, state) => ({ id, state, created_at: "2026-01-01T00:00:00Z", buyer: "B", total_minor: 1,
        currency: "EUR", lines: [] });
      server.answers[`GET ${path}?state=paid`] = () => ({ orders: [order("p", "paid")], before: null });
      server.answers[`GET ${path}?state=refunded`] = () => ({ orders: [order("r", "refunded")], before: null });
      server.late.add(`GET ${path}?state=paid`);
      const { panel, form } = new OrdersPanel({ id: "h" });
      server.place().append(panel);
      for (const state of ["paid", "refunded"]) {
        form.elements.state.value = state;
        form.requestSubmit();
        await new Promise((over) => setTimeout(over, 20));
      }
      await server.settled();
      return [...panel.querySelectorAll("[data-order]")].map((row) => row.dataset.order);
    }""")
    assert shown == ["r"]


DESK = """async () => {
  const { openDesk } = await import("/studio/desk.js");
  const product = (id) => ({ id, title: id, photo: null, variants: [] });
  const show = { id: "s", title: "Evening", state: "scheduled", standing: "host", pinned: null,
    shop: { id: "h", name: "H", currency: "EUR" }, lineup: [product("a"), product("b"), product("c")] };
  const all = show.lineup;
  server.answers = {
    "GET /api/shows/s": () => show,
    "PUT /api/shows/s/lineup": ({ products }) => {
      return Object.assign(show, { lineup: products.map((id) => all.find((one) => one.id === id)) });
    },
    "PUT /api/shows/s/pins": ({ product: pinned }) => (Object.assign(show, { pinned }), null),
    "GET /api/products?shop=h": () => ({ products: all }),
    "GET /api/campaigns?shop=h": () => ({ campaigns: [] }),
    "GET /api/shops/h/coupons": () => ({ coupons: [] }),
    "GET /api/shows/s/comment-buying": () => ({ on: false, keywords: {} }),
    "GET /api/shows/s/answers": () => ({ rules: [] }),
    "GET /api/shows/s/orders": () => ({ orders: [] }),
    "GET /api/shows/s/moderators": () => ({ moderators: [] }),
    "GET /api/shows/s/stream-key": () => ({ hint: null, whip_url: "w" }),
  };
  server.late = new Set(["PUT /api/shows/s/lineup", "PUT /api/shows/s/pins"]);
  await openDesk(server.place(), "s", { person: { id: "me", name: "Me" } });
  const me = { person: { id: "me" }, timeout_ms: null };
  server.states = (version, state, pin) => ({ show: [version, { title: "Evening", state }], pin: [version, pin] });
  const k = server.states(1, "scheduled", null);
  server.say(0, { joined: { e: "e", o: 0, first: 1, m: [], k, server_now_ms: Date.now(), me } });
  const rows = '#lineup-rows [data-product="';
  server.press = (product, tool) => document.querySelector(`${rows}${product}"] [data-does="${tool}"]`).click();
  server.desk = () => ({
    state: document.querySelector("#state [data-state]").dataset.state,
    rows: [...document.querySelectorAll("#lineup-rows [data-product]")].map((row) => row.dataset.product),
    pinned: [...document.querySelectorAll("#lineup-rows .is-pinned")].map((row) => row.dataset.product),
  });
}"""


async def test_an_older_answer_takes_nothing_back_that_the_room_said_since(page: Page) -> None:
    """A line-up was stored; before its answer came, somebody else started the show and pinned something."""
    await page.evaluate(DESK)
    shown = await page.evaluate("""async () => {
      server.press("a", "close");
      server.press("b", "pin");
      await new Promise((over) => setTimeout(over, 20));
      server.say(0, { k: server.states(2, "live", { id: "c" }) });
      const heard = server.desk();
      await server.settled();
      const answered = server.desk();
      server.say(0, { k: server.states(3, "live", { id: "b" }) });
      return [heard, answered.state, server.desk()];
    }""")
    assert shown == [
        {"state": "live", "rows": ["a", "b", "c"], "pinned": ["c"]},
        "live",
        {"state": "live", "rows": ["b", "c"], "pinned": ["b"]},
    ]


async def test_two_products_are_taken_out_at_once_and_neither_comes_back(page: Page) -> None:
    """The second act was made of the line-up before the first."""
    await page.evaluate(DESK)
    shown = await page.evaluate("""async () => {
      server.press("a", "close");
      server.press("c", "close");
      await server.settled();
      return server.desk().rows;
    }""")
    assert shown == ["b"]


async def test_a_hold_that_a_join_did_not_know_of_yet_is_kept_and_what_ended_meanwhile_stays_gone(page: Page) -> None:
    told = await page.evaluate("""async () => {
      const { Holds } = await import("/watch/holds.js");
      const hold = (id) => ({ id, pool: id, state: "held", expires_in_ms: 60_000 });
      server.answers["POST /api/holds"] = () => hold("new");
      server.answers["DELETE /api/holds/old"] = () => null;
      const holds = new Holds("s", { id: "me" }, () => {});
      const ids = () => holds.all().map((one) => one.id).sort();
      holds.replaceAll([hold("old"), hold("other")]);
      holds.join();
      await holds.take("new", 1);
      await holds.release("old");
      holds.replaceAll([hold("old")]);
      const first = ids();
      holds.join();
      holds.replaceAll([hold("old")]);
      return [first, ids()];
    }""")
    assert told == [["new"], ["old"]]


async def test_a_hold_that_is_answered_late_is_not_drawn_over_another_sheet(page: Page) -> None:
    told = await page.evaluate("""async () => {
      const { BuySheet } = await import("/watch/buy-sheet.js");
      const { Holds } = await import("/watch/holds.js");
      const product = (id) => ({ id, title: id, photo: null,
        variants: [{ id, title: "", pool: id, price_minor: 100, currency: "EUR", on_hand: 5 }] });
      server.answers["POST /api/holds"] = ({ pool }) => ({ id: "hold", pool, variant: pool, title: pool, quantity: 1,
        amount_minor: 100, currency: "EUR", state: "held", expires_in_ms: 60_000 });
      server.late.add("POST /api/holds");
      server.place();
      const holds = new Holds("s", { id: "me" }, () => {});
      const sheet = new BuySheet({ holds, state: new Map(), signedIn: true });
      sheet.sellFor("h");
      await sheet.choose(product("a"), "a");
      document.querySelector("#hold").click();
      sheet.sheet.dialog.close();
      await sheet.choose(product("b"), "b");
      await server.settled();
      const shown = document.querySelector("#sheet");
      return [shown.dataset.step, shown.querySelector("h3").textContent, holds.all().map((one) => one.pool)];
    }""")
    assert told == ["choose", "b", ["a"]]


async def test_who_still_pays_when_the_time_is_over_is_told_what_becomes_of_it(page: Page) -> None:
    told = await page.evaluate("""async () => {
      const { BuySheet } = await import("/watch/buy-sheet.js");
      const { Holds } = await import("/watch/holds.js");
      const { serverNow, syncServerClock } = await import("/shared/clock.js");
      const pay = () => document.querySelector("#sheet .method")?.click();
      server.answers["GET /api/payment-offer"] = () => ({ provider: "simulated", methods: ["works"] });
      server.answers["GET /api/saved-cards"] = () => ({ cards: [] });
      server.answers["GET /api/shops/h/conditions"] = () => ({ shipping: [], tax: [], policy_version: 0 });
      server.answers["POST /api/holds"] = ({ pool }) => ({ id: "hold", pool, variant: pool, title: pool, quantity: 1,
        amount_minor: 100, currency: "EUR", state: "held", expires_in_ms: 60_000 });
      server.place();
      const holds = new Holds("s", { id: "me" }, () => {});
      const sheet = new BuySheet({ holds, state: new Map(), signedIn: true });
      sheet.sellFor("h");
      await sheet.choose({ id: "a", title: "a", photo: null,
        variants: [{ id: "a", title: "", pool: "a", price_minor: 100, currency: "EUR", on_hand: 5 }] }, "a");
      document.querySelector("#hold").click();
      await server.settled();
      holds.pay = () => new Promise(() => {});
      pay();
      const words = () => document.querySelector(".hold-timer").textContent;
      const before = words();
      syncServerClock(serverNow() + 61_000);
      while (words() === before || words().startsWith("Yours")) await new Promise((over) => setTimeout(over, 20));
      return [before, words(), document.querySelector("#sheet").dataset.step];
    }""")
    assert told[0].startswith("Yours for")
    assert told[1:] == ["The time is over. If the payment comes and one is still there, it is yours.", "pay"]


async def test_who_asked_to_be_let_back_hears_of_it_without_loading_the_page_anew(page: Page) -> None:
    await page.clock.install()
    await page.evaluate("""async () => {
      const { bannedPage } = await import("/watch/banned.js");
      server.ban = { banned: true, state: "open", answer: "", reason: "enough" };
      server.answers["GET /api/shows/s/unban-request"] = () => server.ban;
      server.place().append(bannedPage("s", true));
    }""")
    await expect(page.locator("#ban-reason")).to_have_text("enough")
    await expect(page.locator("#unban")).to_contain_text("not answered yet")
    await page.evaluate("server.ban = { banned: false, state: 'none', answer: '', reason: '' }")
    await page.clock.fast_forward(21_000)
    await expect(page.locator("#come-back")).to_be_visible()
    await expect(page.locator("#ban-reason")).to_be_hidden()


async def test_what_a_shop_asks_is_asked_again_by_who_pays_once_the_network_is_back(page: Page) -> None:
    told = await page.evaluate("""async () => {
      const { CheckoutForm } = await import("/watch/checkout-form.js");
      const asked = "GET /api/shops/s/conditions";
      server.answers[asked] = () => { throw new TypeError("Failed to fetch"); };
      const form = new CheckoutForm("s", { quote: async () => ({}), priced: () => {} });
      server.place().append(form.node);
      const read = async () => {
        await form.ready;
        try { return JSON.stringify(form.read()); } catch (error) { return error.code; }
      };
      const away = [await read(), form.node.hidden];
      await form.refresh();
      server.answers[asked] = () => ({ shipping: [], tax: [], policy_version: 0 });
      return [...away, await read(), form.node.hidden];
    }""")
    assert told == ["form", False, "{}", True]


async def test_why_a_text_was_not_sent_stays_said_when_it_may_be_sent_again(page: Page) -> None:
    """A fault of the server's asks for a short wait, within which nobody reads anything."""
    told = await page.evaluate("""async () => {
      const { Draft } = await import("/shared/draft.js");
      const { RoomRefusal } = await import("/shared/room-client.js");
      const refused = { code: "unavailable", message: "Not just now.", retry_after_ms: 10 };
      const draft = new Draft({ command: async () => { throw new RoomRefusal(refused); } }, "say");
      draft.text = "kept";
      await draft.send();
      const last = await new Promise((done) => { draft.on = (view) => view.retry_in_ms ?? done(view); });
      return [last.text, last.error?.message];
    }""")
    assert told == ["kept", "Not just now."]
