// What is pinned to the chat: a notice of the staff or somebody's message, above the lines. Owns its own element only.

import { el, fill, show } from "./dom.js";
import { icon } from "./icons.js";

export class NoticeBar {
  /** `unpin`, when given, is what the staff's button does. */
  constructor(host, unpin = null) {
    this.unpin = unpin;
    this.bar = el("div", { class: "notice-bar", role: "note", "aria-label": "Pinned to the chat", hidden: true });
    host.before(this.bar);
  }

  /** The state key `notice`. */
  hear(notice) {
    show(this.bar, Boolean(notice));
    if (!notice) return fill(this.bar);
    const button = this.unpin && el("button", { type: "button", class: "icon-button", "aria-label": "Take down what is pinned", onclick: this.unpin }, icon("close"));
    return fill(this.bar, icon("pin"), el("p", { class: "grow" }, el("strong", {}, notice.author ?? notice.by), ` ${notice.text}`), button);
  }
}
