// The orders of the show, newest first, as they come in the staff room, with a running total.

import { get, segment } from "../shared/api.js";
import { timeOfDay } from "../shared/clock.js";
import { el, fill, say } from "../shared/dom.js";
import { money } from "../shared/money.js";
import { openOrder } from "../shared/order-dialog.js";
import { isTrouble, stands, stateWord } from "../shared/order-words.js";
import { Reading } from "../shared/reading.js";

const SHOWN_MAX = 200;
const UNSAID = new Set(["authorised", "paid"]);

export class Orders {
  constructor(host, show) {
    this.show = show;
    this.orders = new Map();
    this.reading = new Reading({
      read: () => get(`/api/shows/${segment(this.show.id)}/orders`),
      load: ({ orders }) => this.take(orders),
      hear: (orders) => this.take(orders),
    });
    this.total = el("strong", { class: "numbers", id: "orders-total" });
    this.list = el("ol", { class: "order-rows", id: "order-rows" });
    fill(host, el("header", { class: "panel-head" }, el("h2", {}, "Orders"), this.total), this.list);
    this.draw();
  }

  load() {
    return this.reading.refresh();
  }

  hear(orders) {
    this.reading.hear(orders);
  }

  take(orders) {
    for (const order of orders) this.orders.set(order.id, order);
    this.draw();
  }

  draw() {
    const newest = [...this.orders.values()].sort((a, b) => Date.parse(b.created_at) - Date.parse(a.created_at));
    const standing = newest.filter((order) => stands(order));
    const sum = standing.reduce((minor, order) => minor + order.total_minor - (order.refunded_minor ?? 0), 0);
    say(this.total, standing.length ? `${standing.length} · ${money(sum, this.show.shop.currency)}` : "");
    fill(this.list, newest.length ? newest.slice(0, SHOWN_MAX).map((order) => this.row(order))
      : el("li", { class: "empty" }, "Orders appear here the moment they are paid."));
  }

  row(order) {
    return el("li", { class: "order-row", data: { order: order.id } },
      el("span", { class: "grow" }, el("strong", {}, order.lines.map((line) => `${line.quantity} × ${line.title}`).join(", ")),
        el("span", { class: "faint" }, [order.buyer, timeOfDay(Date.parse(order.created_at)), order.id].join(" · "))),
      this.badge(order),
      el("span", { class: "numbers" }, money(order.total_minor, order.currency)),
      el("button", { type: "button", class: "button ghost small manage", onclick: () => this.open(order) }, stands(order) ? "Manage" : "Open"));
  }

  badge(order) {
    const word = stateWord(order);
    return UNSAID.has(word) ? null : el("span", { class: isTrouble(order) ? "badge bad" : "badge" }, word);
  }

  open(order) {
    openOrder(order, this.show.shop.id, (changed) => this.hear([{ ...this.orders.get(order.id), ...changed }]));
  }
}
