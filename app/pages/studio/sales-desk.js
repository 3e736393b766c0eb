// The sales of the show that are coming or running, each with its countdown, its stock and the buttons that start, lengthen, fill and stop it.

import { post, segment } from "../shared/api.js";
import { countdown, serverNow, startWords } from "../shared/clock.js";
import { confirmDialog, openDialog } from "../shared/dialog.js";
import { busy, el, fill, say, show } from "../shared/dom.js";
import { money } from "../shared/money.js";
import { photo } from "../shared/offer-card.js";
import { openSales, salePhase } from "../shared/offers.js";
import { toastProblem } from "../shared/toast.js";

const LONGER_S = 60;
const STOPS = {
  end: { title: "End this sale?", text: "Nobody can take more at this price. Whoever holds one may still pay.", yes: "End the sale", no: "Keep it running", danger: true },
  cancel: { title: "Cancel this sale?", text: "Everything that is held goes back on the shelf at once, also from under those who are paying. What is already bought stays bought.", yes: "Cancel the sale", no: "Keep the sale", danger: true },
  callOff: { title: "Call this sale off?", text: "It does not start, and its units go back on the shelf. Whoever waits for it waits no more.", yes: "Call it off", no: "Keep the sale", danger: true },
};

const inLine = (line) => (line?.waiting ? ` · ${line.waiting} in line` : "");

export class SalesDesk {
  constructor(host, { show, state }) {
    this.show = show;
    this.state = state;
    this.rows = new Map();
    this.list = el("ul", { class: "desk-rows", id: "sale-rows" });
    fill(host, el("header", { class: "panel-head" }, el("h2", {}, "Flash sales")), this.list);
    this.draw();
  }

  /** Draws the rows anew: a sale came, changed or went. */
  draw() {
    const sales = openSales(this.state, serverNow());
    this.rows = new Map(sales.map((sale) => [sale.id, this.row(sale)]));
    fill(this.list, sales.length ? [...this.rows.values()].map((row) => row.node)
      : el("li", { class: "empty" }, "No sale is running. Start one from a product of the line-up."));
    this.update(serverNow());
  }

  row(sale) {
    const clock = el("strong", { class: "numbers sale-clock" });
    const facts = el("span", { class: "faint numbers" });
    const bar = el("div", { class: "meter" }, el("i", {}));
    const tools = {
      start: this.tool("start-sale", "Start now", () => this.act(sale, "start")),
      longer: this.tool("extend-sale", "+1 min", () => this.act(sale, "extend", { by_s: LONGER_S })),
      more: this.tool("add-stock", "+ Units", () => this.addStock(sale)),
      end: this.tool("end-sale", "End", () => this.stop(sale, "end")),
      cancel: this.tool("cancel-sale", "Cancel", () => this.stop(sale, "cancel")),
    };
    const title = sale.variant_title ? `${sale.product.title} · ${sale.variant_title}` : sale.product.title;
    const node = el("li", { class: "desk-row sale-row", data: { sale: sale.id } }, photo(sale.product, "thumb"),
      el("span", { class: "grow" }, el("h3", {}, title),
        el("span", { class: "offer-prices" }, el("strong", { class: "sale-price numbers" }, money(sale.price_minor, sale.currency)), el("s", { class: "faint numbers" }, money(sale.list_minor, sale.currency))),
        bar, facts, el("span", { class: "sale-tools" }, Object.values(tools))), clock);
    return { sale, clock, facts, bar: bar.firstChild, tools, node };
  }

  tool(does, words, work) {
    const danger = does === "end-sale" || does === "cancel-sale";
    const button = el("button", { type: "button", class: `button small${danger ? " danger" : ""}`, data: { does } }, words);
    button.addEventListener("click", () => busy(button, work));
    return button;
  }

  update(now) {
    for (const { sale, clock, facts, bar, tools, node } of this.rows.values()) {
      const phase = salePhase(sale, now);
      if (phase === "over") return this.draw();
      const pool = this.state.get(`pool:${sale.pool}`);
      say(clock, phase === "soon" ? startWords(sale, now) : countdown(sale.ends_at_ms - now));
      show(tools.start, phase === "soon");
      show(tools.end, phase !== "soon");
      node.dataset.status = pool?.status ?? "open";
      const sold = pool?.sold ?? 0;
      const words = { open: `${pool?.left ?? sale.allotment} left`, all_held: "all held", sold_out: "sold out" }[pool?.status ?? "open"];
      say(facts, `${words} · ${pool?.held ?? 0} held · ${sold} of ${sale.allotment} sold · max ${sale.per_buyer_limit} each${inLine(this.state.get(`line:${sale.pool}`))}`);
      bar.style.setProperty("width", `${(100 * sold) / sale.allotment}%`);
    }
    return undefined;
  }

  async act(sale, word, body) {
    try {
      await post(`/api/shows/${segment(this.show.id)}/flash-sales/${segment(sale.id)}/${word}`, body);
      return true;
    } catch (error) {
      toastProblem(error);
      return false;
    }
  }

  addStock(sale) {
    const units = el("input", { class: "input numbers", name: "units", type: "number", min: 1, max: 1000000, required: true, value: "5" });
    const add = el("button", { class: "button sale", id: "add-units" }, "Add to the sale");
    const error = el("p", { class: "error", role: "alert", hidden: true }, "Units to add is a whole number, one or more.");
    const form = el("form", { class: "stack", novalidate: true },
      el("label", { class: "field" }, el("span", {}, "Units to add, from what is on hand"), units), error, el("div", { class: "row end" }, add));
    const { dialog, closed } = openDialog({ title: "More units", body: form, className: "small" });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const count = Number(units.value);
      const whole = Number.isInteger(count) && count >= 1;
      show(error, !whole);
      if (whole) busy(add, async () => {
        if (await this.act(sale, "stock", { units: count })) dialog.close();
      });
    });
    return closed;
  }

  async stop(sale, word) {
    const begun = salePhase(sale, serverNow()) === "running";
    if (await confirmDialog(STOPS[begun ? word : "callOff"])) await this.act(sale, word);
  }
}
