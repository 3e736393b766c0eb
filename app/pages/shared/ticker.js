// Announcements of the staff, one after the other in one line. Owns the line; the dialog that writes them is the staff's.

import { openDialog } from "./dialog.js";
import { busy, el, say, show } from "./dom.js";

const LINE_MS = 6000;

export class Ticker {
  /** `host` is the line itself. */
  constructor(host) {
    this.host = host;
    this.lines = [];
    this.at = 0;
    setInterval(() => this.step(), LINE_MS);
  }

  /** The state key `ticker`. */
  hear(value) {
    this.lines = value?.lines ?? [];
    this.at = 0;
    this.draw();
  }

  step() {
    if (this.lines.length < 2) return;
    this.at = (this.at + 1) % this.lines.length;
    this.draw();
  }

  draw() {
    show(this.host, this.lines.length > 0);
    say(this.host, this.lines[this.at] ?? "");
  }
}

/** Asks for a list of texts, one a line; `save(lines)` is true when they are taken. What was typed stays when they are not. */
export function writeLines({ title, label, lines, save }) {
  const text = el("textarea", { class: "input", id: "lines-text", rows: "6", autofocus: true });
  text.value = lines.join("\n");
  const keep = el("button", { type: "submit", class: "button primary", id: "save-lines" }, "Save");
  const form = el("form", { class: "stack" }, el("label", { class: "field" }, el("span", {}, label), text), el("div", { class: "row end" }, keep));
  const { dialog } = openDialog({ title, body: form, className: "small" });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    busy(keep, async () => {
      if (await save(text.value.split("\n").map((line) => line.trim()).filter(Boolean))) dialog.close("saved");
    });
  });
}
