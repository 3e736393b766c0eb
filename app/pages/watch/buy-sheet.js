// The sheet in which a viewer buys without leaving the stream: choose → hold → pay → done.
// Owns what is drawn in it; holds.js does the calls and the countdown comes from the server's clock.

import { post, segment } from "../shared/api.js";
import { countdown, everyTick, serverNow } from "../shared/clock.js";
import { openDialog } from "../shared/dialog.js";
import { busy, el, fill, say, show } from "../shared/dom.js";
import { icon } from "../shared/icons.js";
import { money } from "../shared/money.js";
import { photo } from "../shared/offer-card.js";
import { fullTitle, offerOf, ordinaryOffer, stockLine } from "../shared/offers.js";
import { signInUrl } from "../shared/session.js";
import { toast } from "../shared/toast.js";
import { totalRows } from "../shared/totals.js";
import { CheckoutForm, isStale } from "./checkout-form.js";
import { CodeField } from "./code-field.js";
import { PaymentPanel } from "./payment.js";
import { QuickBuy } from "./quick-buy.js";

const QUANTITY_MAX = 10;
const SLOW_MS = 1500;

export class BuySheet {
  constructor({ holds, state, signedIn }) {
    this.holds = holds;
    this.state = state;
    this.signedIn = signedIn;
    this.stopTick = null;
    this.shop = null;
    // Offers are on the page as soon as the room names them; whose they are, and so what is asked beside, comes later.
    this.ready = new Promise((ready) => {
      this.sellFor = (shop) => {
        this.shop = shop;
        ready();
      };
    });
    this.cart = null;
    this.quick = new QuickBuy(this);
  }

  get isOpen() {
    return Boolean(this.sheet?.dialog.open);
  }

  /** False once the person has closed the sheet of this body, or opened another: a late answer must not draw over that. */
  shows(body) {
    return this.isOpen && this.body === body;
  }

  /** Opens on the choice of variant and quantity; `ordinary` at the ordinary price, beside a sale. */
  async choose(product, variantId, ordinary = false) {
    this.open("Buy");
    if (!this.signedIn) return this.drawSignIn(product);
    const { body } = this;
    await this.ready;
    await this.quick.ready();
    if (!this.shows(body)) return undefined;
    return this.drawChoice(product, product.variants.find((one) => one.id === variantId) ?? product.variants[0], ordinary);
  }

  offer(variant, ordinary) {
    return ordinary ? ordinaryOffer(variant, this.state) : offerOf(variant, this.state, serverNow());
  }

  /** Opens on the payment of a hold. */
  async resume(hold, product) {
    this.open("Pay");
    const { body } = this;
    await this.ready;
    if (this.shows(body)) this.drawPayment(hold, product);
  }

  open(title) {
    if (this.isOpen) this.sheet.dialog.close();
    this.body = el("div", { class: "sheet", id: "sheet" });
    const sheet = openDialog({ title, body: this.body, className: "buy-sheet" });
    this.sheet = sheet;
    sheet.closed.then(() => this.sheet === sheet && this.stopTick?.());
  }

  draw(step, title, ...content) {
    this.stopTick?.();
    this.stopTick = null;
    this.body.dataset.step = step;
    say(this.sheet.heading, title);
    fill(this.body, content);
  }

  summary(product, title, amount) {
    return el("div", { class: "sheet-item" }, photo(product, "thumb"),
      el("div", { class: "grow" }, el("h3", {}, title), amount));
  }

  drawSignIn(product) {
    this.draw("sign-in", "Sign in to buy", this.summary(product, product.title, null),
      el("p", { class: "soft" }, "The stream goes on; you come straight back here."),
      el("a", { class: "button primary wide", href: signInUrl() }, "Sign in"));
  }

  drawChoice(product, variant, ordinary = false, why = null) {
    const { body, sheet } = this;
    let chosen = variant;
    let quantity = 1;
    const title = el("h3", {});
    const price = el("span", { class: "offer-price numbers" });
    const list = el("s", { class: "offer-list numbers" });
    const facts = el("span", { class: "faint numbers" });
    const count = el("output", { class: "stepper-count numbers", id: "quantity" });
    const less = el("button", { type: "button", class: "icon-button", "aria-label": "One less" }, "−");
    const moreOne = el("button", { type: "button", class: "icon-button", "aria-label": "One more", id: "one-more" }, icon("plus"));
    const { card } = this.quick; // as it is now: it may be gone while this is drawn
    const hold = el("button", { type: "button", class: card ? "button wide" : "button primary wide", id: "hold" });
    const error = el("p", { class: "error", role: "alert", hidden: !why }, why);
    const now = this.quick.button(() => {
      const { pool, price, currency } = this.offer(chosen, ordinary);
      const wish = { card, product, title: fullTitle(product, chosen), pool, quantity, amount_minor: price * quantity, currency };
      this.quick.buy(wish, (problem) => this.drawChoice(product, chosen, ordinary, problem.message));
    });
    const chips = product.variants.length > 1 ? el("div", { class: "chips", role: "group", "aria-label": "Variant" },
      product.variants.map((one) => el("button", { type: "button", class: "chip", data: { variant: one.id }, onclick: () => {
        chosen = one;
        quantity = 1;
        ordinary = false;
        redraw();
      } }, one.title || "Standard"))) : null;
    const later = el("button", { type: "button", class: "button wide", id: "to-cart" }, icon("bag"), "Add to cart");
    const redraw = () => {
      const offer = this.offer(chosen, ordinary);
      const most = Math.max(1, Math.min(QUANTITY_MAX, offer.limit ?? QUANTITY_MAX, offer.left || 1));
      quantity = Math.min(quantity, most);
      say(title, fullTitle(product, chosen));
      say(price, money(offer.price, offer.currency));
      say(list, offer.listPrice === null ? "" : money(offer.listPrice, offer.currency));
      show(list, offer.listPrice !== null);
      say(facts, [offer.campaign, stockLine(offer).text, offer.limit ? `max ${offer.limit} each` : ""].filter(Boolean).join(" · "));
      say(count, String(quantity));
      less.disabled = quantity <= 1;
      moreOne.disabled = quantity >= most;
      later.disabled = offer.status !== "open" || later.getAttribute("aria-busy") === "true";
      hold.disabled = offer.status !== "open" || hold.getAttribute("aria-busy") === "true";
      if (now) {
        now.disabled = offer.status !== "open";
        say(now, this.quick.label(card, money(offer.price * quantity, offer.currency)));
      }
      say(hold, offer.status === "open" ? `Hold ${quantity} for ${money(offer.price * quantity, offer.currency)}` : stockLine(offer).text);
      for (const chip of chips?.children ?? []) chip.setAttribute("aria-pressed", String(chip.dataset.variant === chosen.id));
    };
    less.addEventListener("click", () => { quantity -= 1; redraw(); });
    moreOne.addEventListener("click", () => { quantity += 1; redraw(); });
    hold.addEventListener("click", () => busy(hold, async () => {
      show(error, false);
      try {
        const taken = await this.holds.take(this.offer(chosen, ordinary).pool, quantity);
        if (this.shows(body)) this.drawPayment(taken, product);
      } catch (problem) {
        this.complain(error, problem);
      }
    }));
    later.addEventListener("click", () => busy(later, async () => {
      show(error, false);
      try {
        const { pool } = this.offer(chosen, ordinary);
        await this.cart.add(pool, quantity, this.holds.lines?.admission(pool));
        this.holds.lines?.used(pool);
        sheet.dialog.close();
        toast(`In your cart: ${quantity} × ${fullTitle(product, chosen)}.`, "good");
      } catch (problem) {
        this.complain(error, problem);
      }
    }));
    this.draw("choose", "Buy",
      el("div", { class: "sheet-item" }, photo(product, "thumb"),
        el("div", { class: "grow" }, title, el("div", { class: "offer-prices" }, price, list), facts)),
      chips,
      el("div", { class: "row between" }, el("span", {}, "Quantity"), el("div", { class: "stepper" }, less, count, moreOne)),
      error, now, hold, later,
      el("p", { class: "faint centred" }, now ? "Buy now pays at once. What you hold is kept for you while you pay; a hold charges nothing." : "It is kept for you while you pay. Nothing is charged yet."));
    this.stopTick = everyTick(redraw);
    hold.focus();
  }

  drawPayment(hold, product, code = null) {
    const clock = el("strong", { class: "hold-clock numbers", id: "hold-clock" });
    const bar = el("div", { class: "hold-bar" }, el("i", {}));
    const yours = el("span", {}, "Yours for");
    const note = el("p", { class: "sheet-note", role: "alert", hidden: true });
    const release = el("button", { type: "button", class: "button ghost small", id: "release" }, "Let it go");
    const parts = { note, release };
    const panel = new PaymentPanel(hold, (way) => this.pay(hold, product, way, parts));
    parts.panel = panel;
    parts.form = this.checkoutForm(hold, panel, () => parts.code?.said());
    const sums = el("div", { "aria-live": "polite" });
    parts.code = this.shop ? this.codeField(hold, parts, sums, code) : null;
    const { sheet } = this;
    release.addEventListener("click", () => busy(release, async () => {
      try {
        await this.holds.release(hold.id);
        sheet.dialog.close();
      } catch (problem) {
        this.complain(note, problem);
      }
    }));
    this.draw("pay", "Held for you",
      el("div", { class: "hold-timer" }, yours, clock, bar),
      this.summary(product, `${hold.quantity} × ${hold.title}`,
        el("span", { class: "offer-price numbers" }, money(hold.amount_minor, hold.currency))),
      parts.form?.node, parts.code?.node, sums, note, panel.node, el("div", { class: "row end" }, release));
    const whole = hold.deadline - serverNow();
    this.paying = false;
    this.stopTick = everyTick((now) => {
      const left = hold.deadline - now;
      say(clock, left > 0 ? countdown(left) : "");
      if (left <= 0) say(yours, "The time is over. If the payment comes and one is still there, it is yours.");
      bar.firstChild.style.setProperty("width", `${Math.max(0, Math.min(100, (100 * left) / whole))}%`);
      bar.classList.toggle("few", left < 20_000);
      if (!this.paying && (left <= 0 || !this.holds.find(hold.id))) this.drawLost(product, hold);
    });
    panel.focus();
    return parts;
  }

  // What the shop asks beside the money; the ways to pay wait until it is known.
  checkoutForm(hold, panel, code) {
    if (!this.shop) return null;
    return new CheckoutForm(this.shop, {
      quote: (country, shipping) => this.quote(hold, { country, shipping, ...code() }),
      priced: (total) => {
        if (total !== null) panel.setAmount(total);
        if (!this.paying) panel.disable(total === null);
      },
    });
  }

  quote(hold, asked) {
    return post(`/api/shops/${segment(this.shop)}/quotes`, { holds: [hold.id], ...asked });
  }

  // A code that the buyer has; a shop that asks for nothing else shows what it comes to right below.
  codeField(hold, { form, panel }, sums, code) {
    return new CodeField({
      code,
      quote: (typed) => this.quote(hold, { ...form.asked(), coupon: typed }),
      priced: async (quote) => {
        if (form.asks) return form.refresh();
        fill(sums, quote && totalRows(quote.totals, quote.currency, ""));
        return panel.setAmount(quote ? quote.totals.total_minor : hold.amount_minor);
      },
    });
  }

  // What the buyer agreed to; null while something is missing, and the note says what.
  async readForm({ form, code, note }) {
    try {
      await form?.ready;
      return { ...form?.read(), ...code?.said() };
    } catch (problem) {
      this.tell(note, problem.message, "bad");
      if (!problem.code) throw problem;
      return null;
    }
  }

  // A declined payment gave the units back: another method takes them again first, if they are still there.
  drawDeclined(product, hold, why, code = null) {
    const { body } = this;
    const note = el("p", { class: "sheet-note", role: "alert" });
    const panel = new PaymentPanel(hold, async (chosen) => {
      panel.disable(true);
      try {
        const way = await chosen();
        // Whoever waited in line may have it back already, as an offer.
        const offered = this.holds.all().find((one) => one.pool === hold.pool);
        const taken = offered ?? (await this.holds.take(hold.pool, hold.quantity));
        if (this.shows(body)) this.pay(taken, product, async () => way, this.drawPayment(taken, product, code));
      } catch (problem) {
        this.tell(note, problem.message, "bad");
        panel.disable(false);
        if (!problem.code) throw problem;
      }
    });
    this.draw("declined", "Not paid",
      this.summary(product, `${hold.quantity} × ${hold.title}`,
        el("span", { class: "offer-price numbers" }, money(hold.amount_minor, hold.currency))),
      note, el("p", { class: "soft" }, "Another method takes it again for you, if it is still there."), panel.node);
    this.tell(note, why, "bad");
    panel.focus();
  }

  async pay(hold, product, way, parts) {
    const { panel, release, note, form } = parts;
    const body = this.body;
    if (this.paying) return;
    this.paying = true;
    const said = await this.readForm(parts);
    if (said === null) {
      this.paying = false;
      return;
    }
    const disable = (disabled) => {
      panel.disable(disabled);
      release.disabled = disabled;
    };
    this.paying = true;
    disable(true);
    this.tell(note, "Paying…", "busy");
    const slow = setTimeout(() => this.tell(note, "The payment provider is slow to answer. Your item stays held; keep watching.", "busy"), SLOW_MS);
    // Whoever closed the sheet meanwhile hears of the outcome all the same.
    try {
      const order = await this.holds.pay(hold.id, await way(), {
        pending: () => this.tell(note, "Payment pending: the provider has not answered yet. You will see the outcome here.", "busy"),
        ask: async (question) => {
          clearTimeout(slow);
          this.tell(note, "Your bank wants to know whether it is you. Your item stays held.", "busy");
          await panel.ask(question);
          this.tell(note, "Paying…", "busy");
        },
      }, said);
      if (!this.shows(body)) toast(`It is yours: ${hold.quantity} × ${hold.title}, order ${order.id}.`, "good");
      else this.drawDone(order);
    } catch (problem) {
      if (!this.shows(body)) toast(`${hold.title}: ${problem.message}`, "bad");
      else if (problem.code === "payment_declined") this.drawDeclined(product, hold, problem.message, parts.code?.code);
      else if (problem.code === "hold_ended") this.drawLost(product, hold, problem.message);
      else {
        disable(false);
        if (await parts.code?.refused(problem)) show(note, false);
        else this.tell(note, problem.message, "bad");
        if (form && isStale(problem)) await form.again();
      }
      if (!problem.code) throw problem;
    } finally {
      clearTimeout(slow);
      if (this.body === body) this.paying = false;
    }
  }

  /** Opens on an order that was just made. */
  showDone(order) {
    this.open("It is yours");
    this.drawDone(order);
  }

  drawDone(order) {
    const { body } = this;
    const close = el("button", { type: "button", class: "button primary wide", onclick: () => this.sheet.dialog.close() }, "Keep watching");
    const cancel = el("button", { type: "button", class: "button ghost small", id: "cancel-order" }, "Cancel this order");
    const error = el("p", { class: "error", role: "alert", hidden: true });
    cancel.addEventListener("click", () => busy(cancel, async () => {
      try {
        await this.holds.cancelOrder(order.id);
        if (this.shows(body)) this.drawCancelled(order);
        else toast("The order is cancelled.", "good");
      } catch (problem) {
        this.complain(error, problem);
      }
    }));
    this.draw("done", "It is yours",
      el("div", { class: "done-mark", "aria-hidden": "true" }, icon("check")),
      el("p", { class: "centred", role: "status" }, "Order ", el("code", { id: "order-number" }, order.id)),
      el("p", { class: "centred" }, el("a", { href: `/orders/${segment(order.id)}`, target: "_blank", id: "order-link" }, "See this order")),
      el("ul", { class: "done-lines" }, order.lines.map((line) => el("li", { class: "row between" },
        el("span", {}, `${line.quantity} × ${line.title}`),
        el("span", { class: "numbers" }, money(line.unit_price_minor * line.quantity, order.currency))))),
      order.charges ? totalRows(order.charges, order.currency, order.charges.shipping, "Paid")
        : el("p", { class: "row between total" }, el("span", {}, "Paid"), el("strong", { class: "numbers" }, money(order.total_minor, order.currency))),
      close, error, el("div", { class: "row end" }, cancel));
    close.focus();
  }

  drawCancelled(order) {
    const close = el("button", { type: "button", class: "button primary wide", onclick: () => this.sheet.dialog.close() }, "Keep watching");
    this.draw("cancelled", "Cancelled",
      el("p", { role: "status" }, `${money(order.total_minor, order.currency)} goes back to you; the items are on the shelf again.`), close);
    close.focus();
  }

  drawLost(product, hold, refused = null) {
    const inTime = "It was given back meanwhile, or paid for in another window. Nothing was charged here.";
    const tooLate = "The time to pay ran out and the item went back on the shelf. Nothing was charged.";
    const why = refused ? `${refused} Nothing was charged.` : hold.deadline > serverNow() ? inTime : tooLate;
    const again = el("button", { type: "button", class: "button primary wide", onclick: () => this.drawChoice(product, product.variants.find((one) => one.id === hold.variant) ?? product.variants[0]) }, "Try again");
    this.draw("lost", "The hold has ended",
      el("p", { class: "soft", role: "alert" }, why),
      product.variants.length ? again : null);
  }

  tell(note, text, tone) {
    say(note, text);
    note.dataset.tone = tone;
    show(note, true);
    note.scrollIntoView({ block: "nearest" }); // on a phone it is above what was pressed
  }

  complain(node, problem) {
    if (!node.isConnected) toast(problem.message, "bad");
    say(node, problem.message);
    show(node, true);
    if (!problem.code) throw problem;
  }
}
