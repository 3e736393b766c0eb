// The shop's coupons: codes that take something off an order. Makes them, shows how often each was used, ends them.
// A coupon is never changed once it is made; how often it may be used the server counts.

import { get, post, segment } from "../shared/api.js";
import { serverNow } from "../shared/clock.js";
import { confirmDialog, openDialog } from "../shared/dialog.js";
import { busy, el, fill, say, show } from "../shared/dom.js";
import { icon } from "../shared/icons.js";
import { money, parseMinor } from "../shared/money.js";
import { Reading } from "../shared/reading.js";
import { toastProblem } from "../shared/toast.js";
import { choice, field, momentInput, readMoment } from "./fields.js";

const END = { title: "End this coupon?", text: "Nobody can use its code any more, and it cannot be made again. Orders keep their discount.", yes: "End the coupon", danger: true };
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export class Coupons {
  constructor(host, show) {
    this.shop = show.shop;
    this.showId = show.id;
    this.reading = new Reading({ read: () => get(this.path), load: (found) => this.draw(found) });
    this.list = el("ul", { class: "desk-rows", id: "coupon-rows" });
    const make = el("button", { type: "button", class: "button small", id: "new-coupon" }, icon("plus"), "New coupon");
    make.addEventListener("click", () => new CouponForm(this.shop, this.showId, () => this.load().catch(toastProblem)).open());
    fill(host, el("header", { class: "panel-head" }, el("h2", {}, "Coupons"), make), this.list);
  }

  get path() {
    return `/api/shops/${segment(this.shop.id)}/coupons`;
  }

  load() {
    return this.reading.refresh();
  }

  draw({ coupons }) {
    const shown = coupons.filter((one) => one.state !== "over");
    fill(this.list, shown.length ? shown.map((one) => this.row(one))
      : el("li", { class: "empty" }, "No coupon. A code that you give to people takes something off their order."));
  }

  row(coupon) {
    const end = el("button", { type: "button", class: "button small danger", data: { does: "end-coupon" } }, "End");
    end.addEventListener("click", () => busy(end, () => this.end(coupon)));
    return el("li", { class: "desk-row", data: { coupon: coupon.code } },
      el("span", { class: "grow" }, el("h3", {}, `${coupon.code} · ${this.takes(coupon)}`),
        el("span", { class: "faint numbers" }, this.facts(coupon).join(", "))), end);
  }

  takes({ percent_off: percent, cap_minor: cap, amount_minor: amount }) {
    if (amount !== null) return `${money(amount, this.shop.currency)} off`;
    return cap === null ? `${percent} % off` : `${percent} % off, up to ${money(cap, this.shop.currency)}`;
  }

  facts(coupon) {
    return [
      coupon.uses_max !== null ? `used ${coupon.used} of ${coupon.uses_max}` : coupon.used === 1 ? "used once" : coupon.used ? `used ${coupon.used} times` : "not used yet",
      coupon.minimum_minor ? `orders from ${money(coupon.minimum_minor, this.shop.currency)}` : null,
      coupon.audience === "first_time" ? "first orders" : coupon.once_per_buyer ? "once per buyer" : null,
      coupon.show === null ? null : coupon.show === this.showId ? "this show" : "another show",
      coupon.state === "planned" ? `from ${moment.format(coupon.starts_at_ms)}` : null,
      coupon.ends_at_ms === null ? null : `until ${moment.format(coupon.ends_at_ms)}`,
    ].filter(Boolean);
  }

  async end(coupon) {
    if (!(await confirmDialog(END))) return;
    try {
      await post(`${this.path}/${segment(coupon.id)}/end`);
      await this.load();
    } catch (error) {
      toastProblem(error);
    }
  }
}

class CouponForm {
  constructor(shop, showId, made) {
    Object.assign(this, { shop, showId, made });
    const number = (name, props) => el("input", { class: "input numbers", name, ...props });
    this.code = el("input", { class: "input code-input", name: "code", required: true, maxlength: 24, autocomplete: "off", spellcheck: false });
    this.kind = choice("kind", [["percent", "Percent off"], ["amount", `Amount off in ${shop.currency}`]], "percent");
    this.off = number("off", { inputmode: "decimal", value: "10" });
    this.cap = number("cap", { inputmode: "decimal" });
    this.minimum = number("minimum", { inputmode: "decimal" });
    this.uses = number("uses_max", { type: "number", min: 1, max: 1_000_000 });
    this.who = choice("who", [["any", "Everybody, any number of times"], ["once", "Everybody, once each"], ["first_time", "First orders at this shop"]], "once");
    this.where = choice("where", [["all", "All shows"], ["this", "This show alone"]], "all");
    this.from = momentInput("starts_at");
    this.until = momentInput("ends_at");
    this.capField = field(`At most, in ${shop.currency} (empty: no cap)`, this.cap);
    this.error = el("p", { class: "error", role: "alert", hidden: true });
    this.submit = el("button", { class: "button primary", id: "make-coupon" }, "Make the coupon");
  }

  open() {
    const form = el("form", { class: "stack", novalidate: true },
      field("Code, as people type it", this.code),
      el("div", { class: "pair" }, field("Kind", this.kind), field("Off", this.off)),
      el("div", { class: "pair" }, this.capField, field("Orders from (empty: any)", this.minimum)),
      el("div", { class: "pair" }, field("Uses in all (empty: any number)", this.uses), field("For", this.who)),
      field("In", this.where),
      el("div", { class: "pair" }, field("From (empty: now)", this.from), field("Until (empty: until ended)", this.until)),
      this.error, el("div", { class: "row end" }, this.submit));
    this.kind.addEventListener("change", () => show(this.capField, this.kind.value === "percent"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      busy(this.submit, () => this.send());
    });
    this.sheet = openDialog({ title: "Coupon", body: form });
  }

  complain(text) {
    say(this.error, text);
    show(this.error, true);
  }

  /** An amount of the form: minor units, undefined when it is empty; throws what is wrong with it. */
  amount(input) {
    if (input.value.trim() === "") return undefined;
    const minor = parseMinor(input.value, this.shop.currency);
    if (!minor) throw new RangeError(`“${input.value}” is not an amount in ${this.shop.currency}.`);
    return minor;
  }

  /** What the coupon takes off. */
  takes() {
    if (this.kind.value === "amount") {
      const amount = this.amount(this.off);
      if (amount === undefined) throw new RangeError("Say how much it takes off.");
      return { amount_minor: amount };
    }
    const percent = Number(this.off.value);
    if (!(Number.isInteger(percent) && percent >= 1 && percent <= 99)) throw new RangeError("Percent off is a whole number from 1 to 99.");
    return { percent_off: percent, cap_minor: this.amount(this.cap) };
  }

  /** The body of the request; throws the first thing that is wrong. */
  read() {
    const code = this.code.value.trim().toUpperCase();
    if (!/^(?=.*[A-Z])[A-Z0-9-]{3,24}$/.test(code)) throw new RangeError("A code has 3 to 24 letters, digits and dashes, and at least one letter.");
    const uses = this.uses.value.trim() === "" ? undefined : Number(this.uses.value);
    if (uses !== undefined && !(Number.isInteger(uses) && uses >= 1 && uses <= 1_000_000)) throw new RangeError("The uses are a whole number from 1.");
    const [starts, ends] = [readMoment(this.from), readMoment(this.until)];
    if (ends !== null && ends <= Math.max(starts ?? 0, serverNow())) throw new RangeError("The coupon ends after it starts.");
    return { code, ...this.takes(), minimum_minor: this.amount(this.minimum), uses_max: uses, once_per_buyer: this.who.value !== "any",
      audience: this.who.value === "first_time" ? "first_time" : "everyone", show: this.where.value === "this" ? this.showId : undefined,
      starts_at_ms: starts ?? undefined, ends_at_ms: ends ?? undefined };
  }

  async send() {
    try {
      await post(`/api/shops/${segment(this.shop.id)}/coupons`, this.read());
      this.sheet.dialog.close();
      return this.made();
    } catch (error) {
      if (error.name !== "Problem" && !(error instanceof RangeError)) throw error;
      return this.complain(error.message);
    }
  }
}
