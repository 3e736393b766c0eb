// The shop's orders of all shows: filters, pages, one order's dialog, and the same list as a CSV file.
// Owns what is listed; which orders fit the server decides.

import { get, segment } from "../shared/api.js";
import { busy, el, fill, show } from "../shared/dom.js";
import { money } from "../shared/money.js";
import { openOrder } from "../shared/order-dialog.js";
import { isTrouble, stands, stateWord } from "../shared/order-words.js";
import { Reading } from "../shared/reading.js";
import { toastProblem } from "../shared/toast.js";

const STATES = [["", "Any state"], ["authorised", "Authorised"], ["paid", "Paid"], ["cancelled", "Cancelled"], ["refunded", "Refunded"]];
const SENT = [["", "Shipped or not"], ["no", "Not shipped"], ["yes", "Shipped"]];
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

const field = (label, control) => el("label", { class: "field" }, el("span", {}, label), control);
const choice = (name, options) => el("select", { class: "input", name, "aria-label": options[0][1] }, options.map(([value, text]) => el("option", { value }, text)));

// A date in this reader's zone, as the moment at which it begins.
const dayStart = (value, days = 0) => {
  if (!value) return "";
  const [year, month, day] = value.split("-").map(Number);
  return new Date(year, month - 1, day + days).toISOString().replace("Z", "+00:00");
};

export class OrdersPanel {
  constructor(shop) {
    this.shop = shop;
    this.path = `/api/shops/${segment(shop.id)}/orders`;
    this.reading = new Reading({
      read: () => this.page(null),
      load: (page) => this.draw(page),
      hear: (changed) => changed.forEach((order) => this.redraw(order)),
    });
    this.list = el("ol", { class: "rows", id: "shop-orders" });
    this.more = el("button", { type: "button", class: "button small", id: "more-orders", hidden: true }, "Older orders");
    this.more.addEventListener("click", () => busy(this.more, () => this.reading.change(() => this.page(this.before)).catch(toastProblem)));
    this.shows = choice("show", [["", "Any show"]]);
    this.form = el("form", { class: "filters", role: "search" },
      field("State", choice("state", STATES)), field("Parcel", choice("shipped", SENT)), field("Show", this.shows),
      field("From", el("input", { class: "input", type: "date", name: "since" })), field("Until", el("input", { class: "input", type: "date", name: "until" })),
      field("Product", el("input", { class: "input", name: "product", maxlength: 120 })), field("Buyer", el("input", { class: "input", name: "buyer", maxlength: 120 })),
      el("button", { class: "button", id: "filter-orders" }, "Filter"));
    this.csv = el("a", { class: "button small", id: "orders-csv", download: "orders.csv" }, "CSV");
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.reading.refresh().catch(toastProblem);
    });
    this.panel = el("section", { class: "panel stack", id: "orders", "aria-label": "Orders" },
      el("header", { class: "row between" }, el("h2", {}, "Orders"), this.csv), this.form, this.list, el("div", { class: "row end" }, this.more));
  }

  query() {
    const asked = new FormData(this.form);
    const words = ["state", "shipped", "show", "product", "buyer"].map((name) => [name, asked.get(name).trim()]);
    const days = [["since", dayStart(asked.get("since"))], ["until", dayStart(asked.get("until"), 1)]];
    return new URLSearchParams([...words, ...days].filter(([, value]) => value));
  }

  async load() {
    const { shows } = await get("/api/shows");
    this.shows.append(...shows.filter((one) => one.shop.id === this.shop.id).map((one) => el("option", { value: one.id }, one.title)));
    await this.reading.refresh();
  }

  /** The newest orders that fit, or those from before `before`. */
  async page(before) {
    const query = this.query();
    this.csv.href = `${this.path}.csv?${query}`;
    if (before) query.set("before", before);
    return { ...(await get(`${this.path}?${query}`)), older: Boolean(before) };
  }

  draw({ orders, before, older }) {
    const rows = orders.map((order) => this.row(order));
    if (older) this.list.append(...rows);
    else fill(this.list, rows.length ? rows : el("li", { class: "empty" }, "No orders fit."));
    this.before = before;
    show(this.more, Boolean(before));
  }

  /** An order as it is after an act on it. */
  redraw(order) {
    [...this.list.children].find((row) => row.dataset.order === order.id)?.replaceWith(this.row(order));
  }

  row(order) {
    const open = el("button", { type: "button", class: "button small" }, stands(order) ? "Manage" : "Open");
    open.addEventListener("click", () => openOrder(order, this.shop.id, (changed) => this.reading.hear([{ ...order, ...changed }])));
    return el("li", { class: "shop-order", data: { order: order.id } },
      el("div", { class: "grow" }, el("h3", {}, order.lines.map((line) => `${line.quantity} × ${line.title}`).join(", ")),
        el("p", { class: "faint" }, [order.buyer, moment.format(new Date(order.created_at)), order.id].join(" · "))),
      el("span", { class: isTrouble(order) ? "badge bad" : "badge" }, stateWord(order)), el("strong", { class: "numbers" }, money(order.total_minor, order.currency)),
      open);
  }
}
