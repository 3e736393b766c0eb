// What of the shop's money somebody has to look at; nothing is drawn where there is nothing. Owns the list alone.

import { get, segment } from "../shared/api.js";
import { el, fill, show } from "../shared/dom.js";
import { money } from "../shared/money.js";

const WORDS = {
  give_back_refused: ["Not given back", "The payment came to no order, and the provider refuses to give it back. We go on asking; look there, too."],
  refund_refused: ["Refund refused", "The provider refused this refund. Ask for it again, or pay the buyer back some other way."],
  dispute_inquiry: ["The bank asks", "The buyer's bank has a question about this payment. Answer it at your provider's."],
  dispute_open: ["Disputed", "The buyer's bank has taken the money until it decides. Answer it at your provider's."],
};
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export class TroublesPanel {
  constructor(shop) {
    this.path = `/api/shops/${segment(shop.id)}/troubles`;
    this.list = el("ul", { class: "rows", id: "trouble-list" });
    this.panel = el("section", { class: "panel stack", id: "troubles", "aria-label": "Money to look at", hidden: true },
      el("h2", {}, "Money to look at"), this.list);
  }

  async load() {
    const { troubles } = await get(this.path);
    fill(this.list, troubles.map((one) => {
      const [word, text] = WORDS[one.kind] ?? [one.kind, ""];
      return el("li", { class: "shop-order", data: { trouble: one.order } },
        el("div", { class: "grow" }, el("p", {}, text), el("p", { class: "faint" }, [moment.format(new Date(one.since)), one.order].join(" · "))),
        el("span", { class: "badge bad" }, word), el("strong", { class: "numbers" }, money(one.amount_minor, one.currency)));
    }));
    show(this.panel, troubles.length > 0);
  }
}
