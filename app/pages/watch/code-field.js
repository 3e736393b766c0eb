// A code on the sheet: typed, asked about, taken or taken away again, before anything is paid. Owns the field and the
// code that was taken; what it comes to the server reckons, and which rule stands in the way the server says.

import { busy, el, fill, say, show } from "../shared/dom.js";

export class CodeField {
  /** `quote(code)` asks what the order costs with it; `priced(quote or null)` hears of a code that was taken, or none. */
  constructor({ quote, priced, code = null }) {
    Object.assign(this, { quote, priced, code });
    this.turn = 0; // a later press counts, whatever is answered last
    this.input = el("input", { class: "input", name: "code", "aria-label": "Code", autocomplete: "off", autocapitalize: "characters", spellcheck: false, maxlength: 24 });
    this.apply = el("button", { class: "button", id: "apply-code" }, "Apply");
    this.error = el("p", { class: "error", role: "alert", hidden: true });
    this.form = el("form", { class: "row", novalidate: true }, this.input, this.apply);
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      busy(this.apply, () => this.take(this.input.value.trim().toUpperCase()));
    });
    this.node = el("div", { class: "code-field", id: "code-field" });
    this.draw();
  }

  draw() {
    if (this.code === null) {
      fill(this.node, el("details", { open: this.opened }, el("summary", {}, "I have a code"), this.form), this.error);
      return;
    }
    const remove = el("button", { type: "button", class: "button ghost small", id: "remove-code" }, "Remove");
    remove.addEventListener("click", () => busy(remove, () => this.drop()));
    fill(this.node, el("p", { class: "row between", role: "status" }, el("span", {}, "Code ", el("strong", { id: "code" }, this.code)), remove), this.error);
  }

  async take(code) {
    this.opened = true;
    show(this.error, false);
    if (!code) return this.complain("Type the code first.");
    const turn = ++this.turn;
    try {
      const quote = await this.quote(code);
      if (turn !== this.turn) return;
      this.code = code;
      this.draw();
      await this.priced(quote);
    } catch (problem) {
      if (turn !== this.turn) return;
      this.complain(problem.code === "malformed" ? "A code has letters, digits and dashes." : problem.message);
      if (!problem.code) throw problem;
    }
  }

  async drop() {
    this.turn += 1;
    show(this.error, false);
    this.code = null;
    this.draw();
    await this.priced(null);
    this.input.focus();
  }

  /** After a refusal of the order: true when it was the code's, which is then no longer there, and the field says why. */
  async refused(problem) {
    if (this.code === null || !problem.code?.startsWith("coupon_")) return false;
    this.turn += 1;
    this.opened = true;
    this.code = null;
    this.draw();
    this.complain(problem.message);
    await this.priced(null);
    return true;
  }

  /** Prices anew what has changed meanwhile. */
  async again() {
    if (this.code !== null) await this.take(this.code);
  }

  /** The part of the order's request. */
  said() {
    return this.code === null ? {} : { coupon: this.code };
  }

  complain(text) {
    say(this.error, text);
    show(this.error, true);
  }
}
