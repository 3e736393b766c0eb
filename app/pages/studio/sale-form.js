// The form that starts a flash sale on one variant: price or percentage, units, limit, duration, countdown.

import { post, segment } from "../shared/api.js";
import { serverNow } from "../shared/clock.js";
import { openDialog } from "../shared/dialog.js";
import { busy, el, say, show } from "../shared/dom.js";
import { icon } from "../shared/icons.js";
import { money, parseMinor, plainAmount } from "../shared/money.js";
import { ordinaryOffer } from "../shared/offers.js";
import { toast } from "../shared/toast.js";
import { choice, field, localTime } from "./fields.js";

const DURATIONS = [[30, "30 s"], [60, "1 min"], [120, "2 min"], [300, "5 min"], [600, "10 min"], [1200, "20 min"]];
const COUNTDOWNS = [[0, "At once"], [10, "In 10 s"], [30, "In 30 s"], [60, "In 1 min"], [300, "In 5 min"], ["at", "At a set time"]];
const AHEAD_MS = 600_000; // the time that is suggested

const isPercent = (value) => Number.isInteger(value) && value >= 1 && value <= 99;
const ALLOTMENT_FIRST = 10;
const LIMIT_MAX = 99;

/** Opens the form for a product of the line-up. */
export function openSaleForm(loaded, product, state) {
  new SaleForm(loaded, product, state).open();
}

class SaleForm {
  constructor(loaded, product, state) {
    Object.assign(this, { loaded, product, state, currency: loaded.shop.currency });
    this.variant = choice("variant", product.variants.map((one) => [one.id, `${one.title || product.title} · ${money(one.price_minor, this.currency)}`]), product.variants[0].id);
    this.kind = choice("kind", [["percent", "Percent off"], ["price", `Price in ${this.currency}`]], "percent");
    this.amount = el("input", { class: "input numbers", name: "amount", inputmode: "decimal", required: true, value: "25" });
    this.preview = el("span", { class: "faint numbers" });
    this.allotment = el("input", { class: "input numbers", name: "allotment", type: "number", min: 1, required: true, value: "10" });
    this.stock = el("span", { class: "faint numbers" });
    this.limit = el("input", { class: "input numbers", name: "limit", type: "number", min: 1, max: LIMIT_MAX, required: true, value: "2" });
    this.network = el("input", { class: "input numbers", name: "per_address_limit", type: "number", min: 0, max: 1000000, placeholder: "automatic" });
    this.length = choice("duration", DURATIONS, 120);
    this.start = choice("countdown", COUNTDOWNS, 0);
    this.at = el("input", { class: "input", name: "starts_at", type: "datetime-local", value: localTime(serverNow() + AHEAD_MS) });
    this.atField = el("label", { class: "field", hidden: true }, el("span", {}, "Starts at (counts down for the last minute)"), this.at);
    this.room = el("input", { type: "checkbox", name: "waiting_room" });
    this.roomField = el("label", { class: "check", hidden: true }, this.room,
      el("span", {}, "Waiting room: those who come before the start are drawn, then one after the other"));
    this.error = el("p", { class: "error", role: "alert", hidden: true });
    this.submit = el("button", { class: "button sale", id: "start-sale" }, icon("bolt"), "Start the sale");
  }

  open() {
    const { product } = this;
    const what = product.variants.length > 1 ? field("Variant", this.variant)
      : el("p", { class: "soft" }, `${product.title} · ${money(product.variants[0].price_minor, this.currency)}`);
    const form = el("form", { class: "stack", novalidate: true }, what,
      el("div", { class: "pair" }, field("Kind", this.kind), field("Amount", this.amount, this.preview)),
      el("div", { class: "pair" }, field("Units in the sale", this.allotment, this.stock), field("Most per buyer", this.limit)),
      field("Most per network (0: no limit)", this.network),
      el("div", { class: "pair" }, field("Lasts", this.length), field("Starts", this.start)), this.atField, this.roomField,
      this.error, el("div", { class: "row end" }, this.submit));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    this.kind.addEventListener("change", () => {
      this.amount.value = this.byPercent ? "25" : plainAmount(this.chosen.price_minor, this.currency);
      this.redraw();
    });
    this.start.addEventListener("change", () => {
      show(this.atField, this.start.value === "at");
      show(this.roomField, this.start.value !== "0");
    });
    for (const control of [this.variant, this.amount]) control.addEventListener("input", () => this.redraw());
    this.sheet = openDialog({ title: "Flash sale", body: form });
    this.allotment.value = String(Math.max(1, Math.min(ALLOTMENT_FIRST, this.left)));
    this.redraw();
  }

  get chosen() {
    return this.product.variants.find((one) => one.id === this.variant.value);
  }

  get left() {
    return ordinaryOffer(this.chosen, this.state).left;
  }

  get byPercent() {
    return this.kind.value === "percent";
  }

  redraw() {
    say(this.stock, `${this.left} on hand`);
    const percent = Number(this.amount.value);
    const price = Math.max(1, Math.floor((this.chosen.price_minor * (100 - percent)) / 100));
    say(this.preview, this.byPercent && isPercent(percent) ? `about ${money(price, this.currency)}` : "");
  }

  complain(text) {
    say(this.error, text);
    show(this.error, true);
  }

  /** The body of the request, or the first thing that is wrong, as text. */
  read() {
    const body = {
      variant: this.variant.value,
      allotment: Number(this.allotment.value),
      per_buyer_limit: Number(this.limit.value),
      duration_s: Number(this.length.value),
    };
    if (this.start.value !== "at") body.countdown_s = Number(this.start.value);
    else {
      body.starts_at_ms = new Date(this.at.value).getTime();
      if (!(body.starts_at_ms > serverNow())) return "The time to start at is in the past.";
    }
    const network = this.network.value.trim();
    if (network !== "") {
      body.per_address_limit = Number(network);
      if (!(Number.isInteger(body.per_address_limit) && body.per_address_limit >= 0)) return "Most per network is a whole number, zero or more.";
    }
    if (this.room.checked && this.start.value !== "0") body.waiting_room = true;
    if (this.byPercent) {
      body.percent_off = Number(this.amount.value);
      if (!isPercent(body.percent_off)) return "Percent off is a whole number from 1 to 99.";
    } else {
      body.price_minor = parseMinor(this.amount.value, this.currency);
      if (!body.price_minor) return `“${this.amount.value}” is not a price in ${this.currency}.`;
      const list = this.chosen.price_minor;
      if (body.price_minor >= list) return `A sale's price is below the list price, ${money(list, this.currency)}.`;
    }
    if (!(Number.isInteger(body.allotment) && body.allotment >= 1)) return "Units in the sale is a whole number, one or more.";
    if (!(Number.isInteger(body.per_buyer_limit) && body.per_buyer_limit >= 1 && body.per_buyer_limit <= LIMIT_MAX)) {
      return `Most per buyer is a whole number from 1 to ${LIMIT_MAX}.`;
    }
    return body;
  }

  async send() {
    const body = this.read();
    if (typeof body === "string") return this.complain(body);
    return busy(this.submit, async () => {
      try {
        await post(`/api/shows/${segment(this.loaded.id)}/flash-sales`, body);
        this.sheet.dialog.close();
        toast("The sale is set. Everybody sees it now.", "good");
      } catch (problem) {
        if (problem.name !== "Problem") throw problem;
        this.complain(problem.message);
      }
    });
  }
}
