"""The cards of sales and of the line-up in a real browser: what somebody is at stays, whatever begins or ends."""

import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.journeys.browser import open_modules

# A phone's row of sales, each of a product's variant that its id names; `sell(ids)` has these be the sales, the first
# ends first.
STRIP = """
async () => {
  const { SaleStrip } = await import("/watch/sale-strip.js");
  const { LineUp } = await import("/watch/line-up.js");
  const { serverNow } = await import("/shared/clock.js");
  document.body.innerHTML = `<style>
    #sales { display: flex; width: 300px; overflow: auto hidden; scroll-snap-type: x mandatory; }
    .offer.strip { flex: 0 0 100%; scroll-snap-align: start; }
  </style><div id="sales"></div><section id="lineup"></section>`;
  window.state = new Map();
  const lines = { ofOffer: () => ({ locked: false, join: null }) };
  const options = { state, buy: () => {}, lines };
  window.variant = (id, more) => ({ id, title: id.toUpperCase(), pool: `pool-${id}`, price_minor: 200, currency: "EUR",
    on_hand: 9, ...more });
  window.product = (id, ...variants) => ({ id, title: `Product ${id}`, photo: null, variants });
  window.lineUp = new LineUp(document.getElementById("lineup"), options);
  lineUp.show([product("p", ..."abcdefghi".split("").map((id) => variant(id)))]);
  window.row = document.getElementById("sales");
  window.strip = new SaleStrip(row, { ...options, find: (id) => lineUp.find(id) });
  const start = serverNow() - 1000;
  window.sell = (ids, out = []) => {
    state.clear();
    ids.forEach((id, n) => state.set(`sale:${id}`, { id, variant: id, pool: `sale-${id}`, product: { id: "p" },
      state: out.includes(id) ? "sold_out" : "running", allotment: 5, price_minor: 100, list_minor: 200,
      currency: "EUR", starts_at_ms: start, ends_at_ms: start + 600_000 + n * 1000 }));
    strip.update(serverNow(), null);
  };
  window.buttons = () => [...row.querySelectorAll(".buy")];
  window.names = () => buttons().map((button) => button.getAttribute("aria-label"));
  window.inSight = () => {
    const { left, top } = row.getBoundingClientRect();
    return document.elementFromPoint(left + 150, top + 10).closest(".offer").querySelector("h3").textContent;
  };
}
"""


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> Page:
    """A page with these and nothing else."""
    return await open_modules(browser, STRIP)


async def test_a_sale_that_begins_or_ends_takes_neither_focus_nor_press_nor_place_from_another(page: Page) -> None:
    told = await page.evaluate("""async () => {
      sell(["a", "b", "c"]);
      const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
      const told = { names: names() }, moved = [];
      row.scrollLeft = 600;
      await frame();
      const watch = new MutationObserver((all) => all.forEach(({ removedNodes }) => moved.push(...removedNodes)));
      watch.observe(row, { childList: true });
      told.before = inSight();
      sell(["c", "d", "b"]); // a has ended, d has begun, c ends first now
      await frame();
      told.after = inSight();
      told.order = names();
      told.stayed = !moved.some((node) => node.textContent.includes("Product p · C"));
      buttons()[2].focus();
      sell(["b", "e", "c"]);
      told.focused = document.activeElement.getAttribute("aria-label");
      return told;
    }""")
    name = "Buy: Product p · {}".format
    assert told == {
        "names": [name("A"), name("B"), name("C")],
        "before": "Product p · C",
        "after": "Product p · C",
        "order": [name("C"), name("D"), name("B")],
        "stayed": True,
        "focused": name("B"),
    }


async def test_sales_that_are_sold_out_take_no_place_from_those_that_run(page: Page) -> None:
    words = await page.evaluate("""() => {
      sell([..."abcdefghi"], ["a", "b", "c", "d"]);
      return names().map((name) => [name.at(-1), name.split(":")[0]]);
    }""")
    assert words == [["A", "Sold out"], *([one, "Buy"] for one in "EFGHI")]


async def test_a_line_up_that_is_read_again_keeps_the_cards_of_products_that_are_as_before(page: Page) -> None:
    told = await page.evaluate("""() => {
      const read = (on_hand, price_minor) => lineUp.show([product("n", variant("n")),
        product("p", variant("a", { on_hand })), product("q", variant("q", { price_minor }))]);
      read(9, 200);
      const [, p, q] = lineUp.cards;
      p.button.focus();
      read(7, 300);
      lineUp.cards.forEach((card) => card.update(Date.now()));
      const [, p2, q2] = lineUp.cards;
      return [p === p2, document.activeElement === p.button, p.stock.textContent, q === q2, q2.price.textContent];
    }""")
    assert told == [True, True, "7 left", False, "€3.00"]
