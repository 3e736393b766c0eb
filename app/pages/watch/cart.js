// The cart of this show's shop: what is in it, its line on the page, and the sheet in which all of it is one order.
// Owns the calls to /api/shops/…/cart; the server alone knows prices and what is left. The stream goes on behind it.

import { get, post, put, remove, segment } from "../shared/api.js";
import { countdown, everyTick, serverNow } from "../shared/clock.js";
import { openDialog } from "../shared/dialog.js";
import { busy, el, fill, say, show } from "../shared/dom.js";
import { icon } from "../shared/icons.js";
import { money } from "../shared/money.js";
import { Reading } from "../shared/reading.js";
import { toast } from "../shared/toast.js";
import { totalRows } from "../shared/totals.js";
import { CheckoutForm, isStale } from "./checkout-form.js";
import { CodeField } from "./code-field.js";
import { PaymentPanel } from "./payment.js";

const QUANTITY_MAX = 99;
const PUT_RIGHT = new Set(["payment_declined", "hold_ended", "sold_out", "all_held", "stock_short", "over_limit", "ended", "not_found", "cart_empty"]);

export class Cart {
  /** `host` gets the line; `holds` asks for orders until they are decided; `done(order)` shows one. */
  constructor(host, { show: showId, holds, done }) {
    Object.assign(this, { host, showId, holds, done });
    this.shop = null;
    this.items = [];
    this.paying = false;
    this.reading = new Reading({ read: () => get(this.path), load: (cart) => this.take(cart) });
  }

  get path() {
    return `/api/shops/${segment(this.shop)}/cart`;
  }

  load() {
    return this.reading.refresh();
  }

  /** The person is signed out: what still comes of theirs is not shown. */
  leave() {
    this.left = true;
    show(this.host, false);
  }

  take(cart) {
    if (this.left) return;
    this.cart = cart;
    this.items = cart.items.map((item) => ({ ...item, deadline: item.hold ? serverNow() + item.held_ms : null }));
    this.drawLine();
    if (this.isOpen) this.drawItems();
  }

  /** True of a hold that is shown with the cart, not among the others. */
  has(hold) {
    return this.items.some((item) => item.hold === hold);
  }

  add(pool, quantity, admission) {
    return this.reading.change(() => put(`${this.path}/${segment(pool)}`, { quantity, show: this.showId, admission }));
  }

  drawLine() {
    const count = this.items.reduce((sum, item) => sum + item.quantity, 0);
    show(this.host, count > 0);
    fill(this.host, count > 0 && el("button", { type: "button", class: "held-item cart-line", id: "open-cart", onclick: () => this.open() },
      icon("bag"), el("span", { class: "grow" }, `${count} ${count === 1 ? "item" : "items"} in your cart`),
      el("strong", { class: "numbers" }, this.cart ? money(this.cart.goods_minor, this.cart.currency) : ""), el("span", { class: "held-pay" }, "Open")));
  }

  get isOpen() {
    return Boolean(this.dialog?.open);
  }

  open() {
    if (this.isOpen) return;
    this.list = el("ul", { class: "cart-items", id: "cart-items" });
    this.note = el("p", { class: "sheet-note", role: "alert", hidden: true });
    this.panel = new PaymentPanel({ amount_minor: this.cart.goods_minor, currency: this.cart.currency }, (way) => this.pay(way));
    this.form = new CheckoutForm(this.shop, {
      quote: (country, shipping) => post(`${this.path}/quotes`, { country, shipping, ...this.code.said() }),
      priced: (total) => {
        if (total !== null) this.panel.setAmount(total);
        if (!this.paying) this.panel.disable(total === null);
      },
    });
    this.goods = el("p", { class: "row between total" });
    this.sums = el("div", { "aria-live": "polite" });
    this.code = this.codeField();
    const { dialog, closed } = openDialog({ title: "Your cart", className: "buy-sheet",
      body: el("div", { class: "sheet", id: "cart-sheet" }, this.list, this.goods, this.form.node, this.code.node, this.sums, this.note, this.panel.node) });
    this.dialog = dialog;
    this.drawItems();
    const stop = everyTick((now) => this.tick(now));
    closed.then(stop);
    this.reload();
  }

  // What is in it may have changed since: prices, what is left, what was bought in another window.
  async reload() {
    try {
      await this.load();
      await this.requote();
    } catch (problem) {
      this.tell(problem.message, "bad");
      if (!problem.code) throw problem;
    }
  }

  async requote() {
    if (!this.items.length || !this.isOpen) return;
    await this.form.ready;
    if (this.form.asks) await this.form.refresh();
    else if (this.code.code !== null) await this.code.again();
    else this.panel.setAmount(this.cart.goods_minor);
  }

  // A code that the buyer has; a shop that asks for nothing else shows what it comes to right below.
  codeField() {
    this.total = null;
    return new CodeField({
      quote: (typed) => post(`${this.path}/quotes`, { ...this.form.asked(), coupon: typed }),
      priced: async (quote) => {
        if (this.form.asks) return this.form.refresh();
        this.total = quote?.totals.total_minor ?? null;
        show(this.goods, !quote); // it is among the sums
        fill(this.sums, quote && totalRows(quote.totals, quote.currency, ""));
        return this.panel.setAmount(this.total ?? this.cart.goods_minor);
      },
    });
  }

  drawItems() {
    this.clocks = new Map();
    fill(this.list, this.items.length ? this.items.map((item) => this.row(item)) : el("li", { class: "empty" }, "Your cart is empty."));
    show(this.panel.node, this.items.length > 0);
    show(this.code.node, this.items.length > 0);
    show(this.form.node, this.items.length > 0 && this.form.asks && Boolean(this.form.conditions));
    fill(this.goods, el("span", {}, "Goods"), el("strong", { class: "numbers" }, money(this.cart.goods_minor, this.cart.currency)));
    this.tick(serverNow());
  }

  row(item) {
    const count = el("output", { class: "stepper-count numbers" }, String(item.quantity));
    const step = (by, label, mark) => {
      const button = el("button", { type: "button", class: "icon-button", "aria-label": `${label}: ${item.title}` }, mark);
      button.disabled = item.quantity + by < 1 || item.quantity + by > QUANTITY_MAX;
      button.addEventListener("click", () => this.change(button, () => put(`${this.path}/${segment(item.pool)}`, { quantity: item.quantity + by, show: this.showId })));
      return button;
    };
    const out = el("button", { type: "button", class: "icon-button", "aria-label": `Take out: ${item.title}` }, icon("trash"));
    out.addEventListener("click", () => this.change(out, () => remove(`${this.path}/${segment(item.pool)}`)));
    const clock = el("span", { class: "faint numbers" });
    this.clocks.set(item, clock);
    return el("li", { class: "cart-item", data: { pool: item.pool } },
      el("div", { class: "grow" }, el("h3", {}, item.title), el("span", { class: "numbers soft" }, money(item.price_minor, item.currency ?? this.cart.currency)), " ", clock),
      el("div", { class: "stepper" }, step(-1, "One less", "−"), count, step(1, "One more", icon("plus"))), out);
  }

  tick(now) {
    for (const [item, clock] of this.clocks ?? []) {
      const left = item.deadline === null ? 0 : item.deadline - now;
      if (left > 0) say(clock, `held for you ${countdown(left)}`);
      else if (item.of_sale) say(clock, item.left >= item.quantity ? "not held any more; still there" : "not held any more");
      else say(clock, item.left >= item.quantity ? "" : item.left ? `only ${item.left} left` : "none left");
    }
  }

  change(button, call) {
    return busy(button, async () => {
      show(this.note, false);
      try {
        await this.reading.change(call);
        await this.requote();
      } catch (problem) {
        this.tell(problem.message, "bad");
        if (!problem.code) throw problem;
      }
    });
  }

  async pay(way) {
    if (this.paying) return;
    this.paying = true;
    this.panel.disable(true);
    const { dialog } = this;
    try {
      await this.form.ready;
      const said = { agreed: { total_minor: this.total ?? this.cart.goods_minor }, ...this.form.read(), ...this.code.said() };
      this.tell("Paying…", "busy");
      const order = await this.holds.insist(`${this.path}/order`, { ...(await way()), ...said }, {
        pending: () => this.tell("Payment pending: the provider has not answered yet. You will see the outcome here.", "busy"),
        ask: async (question) => {
          this.tell("Your bank wants to know whether it is you.", "busy");
          await this.panel.ask(question);
          this.tell("Paying…", "busy");
        },
      });
      const here = dialog.open;
      if (here) dialog.close();
      if (here) this.done(order);
      else toast(`It is yours: order ${order.id}.`, "good");
      await this.load();
    } catch (problem) {
      await this.refused(problem);
    } finally {
      this.paying = false;
      this.panel.disable(false);
    }
  }

  async refused(problem) {
    if (!this.isOpen) toast(problem.message, "bad");
    if (await this.code.refused(problem)) return show(this.note, false);
    this.tell(problem.message, "bad");
    if (!problem.code) throw problem;
    if (isStale(problem) && this.form.asks) await this.form.again();
    if (isStale(problem) || PUT_RIGHT.has(problem.code)) await this.reload();
    const item = this.items.find((one) => one.pool === problem.more?.details?.pool);
    return item && this.tell(`${item.title}: ${problem.message}`, "bad");
  }

  tell(text, tone) {
    if (!this.note) return;
    say(this.note, text);
    this.note.dataset.tone = tone;
    show(this.note, true);
    this.note.scrollIntoView({ block: "nearest" }); // on a phone it is above what was pressed
  }
}
