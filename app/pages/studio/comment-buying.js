// Comment to buy: whether messages in the chat buy, and which word stands for which variant of the line-up.

import { get, put, segment } from "../shared/api.js";
import { busy, el, fill, show } from "../shared/dom.js";
import { fullTitle } from "../shared/offers.js";
import { toast, toastProblem } from "../shared/toast.js";

export class CommentBuying {
  constructor(host, loaded) {
    this.path = `/api/shows/${segment(loaded.id)}/comment-buying`;
    this.on = el("input", { type: "checkbox", id: "comments-buy" });
    this.list = el("div", { class: "keyword-rows" });
    this.save = el("button", { type: "submit", class: "button small", id: "save-keywords" }, "Save");
    this.form = el("form", { class: "stack", hidden: true }, el("label", { class: "row" }, this.on, "Messages in the chat buy"),
      el("p", { class: "faint" }, "“buy 2” holds two of what is pinned; a keyword holds that item. The person alone is told, with a link to pay."),
      this.list, el("div", { class: "row end" }, this.save));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      busy(this.save, () => this.store());
    });
    fill(host, el("header", { class: "panel-head" }, el("h2", {}, "Comment to buy")), el("div", { class: "panel-pad" }, this.form));
    this.keywords = {};
    this.take(loaded);
  }

  async load() {
    this.read(await get(this.path));
  }

  read({ on, keywords }) {
    this.on.checked = on;
    this.keywords = Object.fromEntries(Object.entries(keywords).map(([word, variant]) => [variant, word.toUpperCase()]));
    this.draw();
    show(this.form, true); // not before: what was typed would be lost
  }

  /** The line-up may have changed. What is typed and not saved stays. */
  take({ lineup }) {
    if (lineup === this.lineup) return;
    this.typed();
    this.lineup = lineup ?? [];
    this.draw();
  }

  typed() {
    for (const input of this.list.querySelectorAll("input")) this.keywords[input.dataset.variant] = input.value;
  }

  draw() {
    const rows = this.lineup.flatMap((product) => product.variants.map((variant) => el("label", { class: "keyword-row" },
      el("span", {}, fullTitle(product, variant)),
      el("input", { class: "input", maxlength: "16", autocomplete: "off", placeholder: "no keyword", data: { variant: variant.id }, value: this.keywords[variant.id] ?? "" }))));
    fill(this.list, rows.length ? rows : el("p", { class: "faint" }, "Nothing in the line-up yet."));
  }

  async store() {
    this.typed();
    const shown = new Set(this.lineup.flatMap((product) => product.variants.map((variant) => variant.id)));
    const named = Object.entries(this.keywords).filter(([variant, word]) => word.trim() && shown.has(variant));
    if (new Set(named.map(([, word]) => word.trim().toUpperCase())).size < named.length) return toast("Each keyword can stand for one item.", "bad");
    this.form.inert = true; // what was typed meanwhile would be lost
    try {
      this.read(await put(this.path, { on: this.on.checked, keywords: Object.fromEntries(named.map(([variant, word]) => [word.trim(), variant])) }));
      toast(this.on.checked ? "Messages buy now." : "Messages do not buy.", "good");
    } catch (error) {
      toastProblem(error);
    } finally {
      this.form.inert = false;
    }
    return undefined;
  }
}
