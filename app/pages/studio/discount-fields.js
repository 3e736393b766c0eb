// The discount of a product, as part of its form: none, percent or amount off, with an optional window.
// Owns its fields alone; the form sends what they say, and prices come from the server.

import { el, show } from "../shared/dom.js";
import { parseMinor, plainAmount } from "../shared/money.js";
import { choice, field, momentInput, readMoment } from "./fields.js";

export class DiscountFields {
  constructor(currency, discount) {
    Object.assign(this, { currency, discount });
    const kind = !discount ? "none" : discount.percent === null ? "amount" : "percent";
    const first = { none: "", percent: String(discount?.percent), amount: discount ? plainAmount(discount.amount_minor ?? 0, currency) : "" }[kind];
    this.kind = choice("discount", [["none", "No discount"], ["percent", "Percent off"], ["amount", `Amount off in ${currency}`]], kind);
    this.amount = el("input", { class: "input numbers", name: "discount_amount", inputmode: "decimal", value: first });
    this.from = momentInput("discount_from", discount?.starts_at_ms ?? null);
    this.until = momentInput("discount_until", discount?.ends_at_ms ?? null);
    this.amountField = field("Off", this.amount);
    this.window = el("div", { class: "pair" }, field("From (empty: now)", this.from), field("Until (empty: for good)", this.until));
    this.node = el("fieldset", { class: "stack" }, el("legend", {}, "Discount"),
      el("div", { class: "pair" }, field("Kind", this.kind), this.amountField), this.window);
    this.kind.addEventListener("change", () => this.redraw());
    this.redraw();
  }

  redraw() {
    for (const node of [this.amountField, this.window]) show(node, this.kind.value !== "none");
  }

  /** The discount as the API wants it, null for none, or the first thing that is wrong, as text. */
  read() {
    if (this.kind.value === "none") return null;
    const window = {
      starts_at_ms: readMoment(this.from, this.discount?.starts_at_ms ?? null),
      ends_at_ms: readMoment(this.until, this.discount?.ends_at_ms ?? null),
    };
    if (window.starts_at_ms !== null && window.ends_at_ms !== null && window.ends_at_ms <= window.starts_at_ms) return "The discount ends before it starts.";
    if (this.kind.value === "percent") {
      const percent = Number(this.amount.value);
      return Number.isInteger(percent) && percent >= 1 && percent <= 99 ? { percent, ...window } : "Percent off is a whole number from 1 to 99.";
    }
    const off = parseMinor(this.amount.value, this.currency);
    return off ? { amount_minor: off, ...window } : `“${this.amount.value}” is not an amount in ${this.currency}.`;
  }
}
