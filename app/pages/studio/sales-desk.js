// The sales of the show that are coming or running, each with its countdown, its stock and the buttons that stop it.

import { post, segment } from "../shared/api.js";
import { countdown, serverNow } from "../shared/clock.js";
import { confirmDialog } from "../shared/dialog.js";
import { busy, el, fill, say } from "../shared/dom.js";
import { money } from "../shared/money.js";
import { photo } from "../shared/offer-card.js";
import { openSales, salePhase } from "../shared/offers.js";
import { toastProblem } from "../shared/toast.js";

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
    const soon = salePhase(sale, serverNow()) === "soon";
    const end = el("button", { type: "button", class: "button small danger", data: { does: "end-sale" } }, soon ? "Cancel" : "End");
    end.addEventListener("click", () => this.stop(end, sale));
    const title = sale.variant_title ? `${sale.product.title} · ${sale.variant_title}` : sale.product.title;
    const node = el("li", { class: "desk-row sale-row", data: { sale: sale.id } }, photo(sale.product, "thumb"),
      el("span", { class: "grow" }, el("h3", {}, title),
        el("span", { class: "offer-prices" }, el("strong", { class: "sale-price numbers" }, money(sale.price_minor, sale.currency)), el("s", { class: "faint numbers" }, money(sale.list_minor, sale.currency))),
        bar, facts), clock, end);
    return { sale, clock, facts, bar: bar.firstChild, end, node };
  }

  update(now) {
    for (const { sale, clock, facts, bar, end, node } of this.rows.values()) {
      const phase = salePhase(sale, now);
      if (phase === "over") return this.draw();
      const pool = this.state.get(`pool:${sale.pool}`);
      say(clock, phase === "soon" ? `in ${countdown(sale.starts_at_ms - now)}` : countdown(sale.ends_at_ms - now));
      say(end, phase === "soon" ? "Cancel" : "End");
      node.dataset.status = pool?.status ?? "open";
      const sold = pool?.sold ?? 0;
      const words = { open: `${pool?.left ?? sale.allotment} left`, all_held: "all held", sold_out: "sold out" }[pool?.status ?? "open"];
      say(facts, `${words} · ${pool?.held ?? 0} held · ${sold} of ${sale.allotment} sold · max ${sale.per_buyer_limit} each`);
      bar.style.setProperty("width", `${(100 * sold) / sale.allotment}%`);
    }
    return undefined;
  }

  async stop(button, sale) {
    const soon = salePhase(sale, serverNow()) === "soon";
    if (!soon && !(await confirmDialog({
      title: "End this sale?", text: "Nobody can take more at this price. Whoever holds one may still pay.", yes: "End the sale", danger: true,
    }))) return;
    await busy(button, async () => {
      try {
        await post(`/api/shows/${segment(this.show.id)}/flash-sales/${segment(sale.id)}/${soon ? "cancel" : "end"}`);
      } catch (error) {
        toastProblem(error);
      }
    });
  }
}
