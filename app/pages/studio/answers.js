// Answers by rule: to which keywords the show answers by itself, with what, and how often at most.

import { get, put, segment } from "../shared/api.js";
import { busy, el, fill, show } from "../shared/dom.js";
import { icon } from "../shared/icons.js";
import { toast, toastProblem } from "../shared/toast.js";

const EVERY = [[10, "every 10 s"], [30, "every 30 s"], [60, "every minute"], [300, "every 5 min"], [900, "every 15 min"], [3600, "every hour"]];

export class Answers {
  constructor(host, loaded) {
    this.path = `/api/shows/${segment(loaded.id)}/answers`;
    this.list = el("div", { class: "answer-rows" });
    this.save = el("button", { type: "submit", class: "button small", id: "save-answers" }, "Save");
    const more = el("button", { type: "button", class: "button small", id: "more-answers", onclick: () => this.add().querySelector("input").focus() }, icon("plus"), "Answer");
    this.form = el("form", { class: "stack", hidden: true },
      el("p", { class: "faint" }, "Who writes one of the keywords is answered in the chat. Several keywords with commas between; one with ! in front counts only with it."),
      this.list, el("div", { class: "row between" }, more, this.save));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      busy(this.save, () => this.store());
    });
    fill(host, el("header", { class: "panel-head" }, el("h2", {}, "Answers by rule")), el("div", { class: "panel-pad" }, this.form));
  }

  async load() {
    this.read(await get(this.path));
  }

  read({ rules }) {
    fill(this.list);
    rules.forEach((rule) => this.add(rule));
    show(this.form, true); // not before: what was typed would be lost
  }

  add({ keywords = [], answer = "", every_s: every = 60 } = {}) {
    const times = EVERY.some(([s]) => s === every) ? EVERY : [...EVERY, [every, `every ${every} s`]];
    const often = el("select", { class: "input", "aria-label": "At most", data: { part: "every" } }, times.map(([s, word]) => el("option", { value: String(s) }, word)));
    often.value = String(every);
    const row = el("div", { class: "answer-row" },
      el("input", { class: "input", placeholder: "keywords", "aria-label": "Keywords", autocomplete: "off", data: { part: "keywords" }, value: keywords.join(", ") }),
      el("input", { class: "input", placeholder: "answer", "aria-label": "Answer", maxlength: "500", autocomplete: "off", data: { part: "answer" }, value: answer }),
      often, el("button", { type: "button", class: "icon-button", "aria-label": "Remove this answer", onclick: () => row.remove() }, icon("trash")));
    this.list.append(row);
    return row;
  }

  typed() {
    return [...this.list.children].map((row) => {
      const part = (name) => row.querySelector(`[data-part="${name}"]`).value.trim();
      return { keywords: part("keywords").split(",").map((word) => word.trim()).filter(Boolean), answer: part("answer"), every_s: Number(part("every")) };
    }).filter(({ keywords, answer }) => keywords.length || answer);
  }

  async store() {
    this.form.inert = true; // what was typed meanwhile would be lost
    try {
      this.read(await put(this.path, { rules: this.typed() }));
      toast("Saved.", "good");
    } catch (error) {
      toastProblem(error);
    } finally {
      this.form.inert = false;
    }
  }
}
