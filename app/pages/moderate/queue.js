// What waits for a decision: held messages, who may be somebody that is banned, who asks to be let back, and reports. `a` lets the chosen one through, `d` turns it down.

import { timeOfDay } from "../shared/clock.js";
import { busy, el, fill, refillRows } from "../shared/dom.js";
import { askText } from "./terms.js";

const WHY = { term: "a blocked term", newcomer: "a first message", restricted: "its author", review: "the reviewer outside" };

// What is only delayed, or hidden, stands in the chat itself.
const forUs = (held) => held.why !== "delay" && held.why !== "hidden";

export class Queue {
  /** `send(op, body)` sends a command; `wordsOf(id)` are a message's words when the chat shows it. */
  constructor(host, { send, wordsOf }) {
    this.send = send;
    this.wordsOf = wordsOf;
    this.held = new Map();
    this.reports = new Map();
    this.unbans = new Map();
    this.evasions = new Map(); // by account
    this.count = el("span", { class: "badge numbers" });
    this.list = el("ol", { class: "queue-rows", id: "queue-rows", "data-rows": "", "aria-label": "Waiting" });
    fill(host, el("div", { class: "row" }, el("h2", {}, "Waiting"), this.count), this.list);
    this.draw();
  }

  load({ held, reports, unbans, evasions }) {
    this.evasions.clear();
    evasions.forEach((one) => this.suspect(one));
    this.unbans = new Map(unbans.map((one) => [one.id, one]));
    this.held = new Map(held.filter(forUs).map((one) => [one.id, one]));
    this.reports.clear();
    reports.forEach((one) => this.report(one));
    this.draw();
  }

  /** Events of the staff room. */
  hear(events) {
    for (const event of events) {
      if (event.t === "held" && forUs(event)) this.held.set(event.id, event);
      else if (event.t === "held.decided") this.held.delete(event.id);
      else if (event.t === "unban.asked") this.unbans.set(event.id, event);
      else if (event.t === "unban.decided") this.unbans.delete(event.id);
      else if (event.t === "evasion") this.suspect(event);
      else if (event.t === "evasion.closed") this.evasions.delete(event.account);
      else if (event.t === "act" && event.act === "ban.set") this.evasions.delete(event.target?.id);
      else if (event.t === "report") this.report(event);
      else if (event.t === "report.closed") this.reports.delete(event.message);
    }
    this.draw();
  }

  report(one) {
    const known = this.reports.get(one.message) ?? { ...one, all: new Map() };
    known.all.set(one.id, one);
    this.reports.set(one.message, known);
  }

  suspect(one) {
    const known = this.evasions.get(one.by.id) ?? { ...one, all: new Map() };
    known.all.set(one.like.id, one);
    this.evasions.set(one.by.id, known);
  }

  draw() {
    const rows = [...[...this.held.values()].sort((a, b) => a.at - b.at).map((one) => this.heldRow(one)), ...[...this.evasions.values()].map((one) => this.evasionRow(one)), ...[...this.unbans.values()].map((one) => this.unbanRow(one)), ...[...this.reports.values()].map((one) => this.reportRow(one))];
    fill(this.count, String(rows.length));
    refillRows(this.list, rows.length ? rows : el("li", { class: "faint" }, "Nothing."));
  }

  row({ kind, data, words, buttons, about }) {
    return el("li", { class: `queue-row ${kind}`, tabindex: "-1", data }, el("p", {}, words), el("p", { class: "faint" }, about), el("div", { class: "row" }, buttons));
  }

  button(word, key, op, body, danger = false) {
    const button = el("button", { type: "button", class: `button small${danger ? " danger" : ""}`, data: { key } }, word);
    button.addEventListener("click", () => busy(button, () => this.send(op, body)));
    return button;
  }

  heldRow(one) {
    const found = one.found ? ` (${one.found})` : "";
    return this.row({
      kind: "held", data: { held: one.id, by: one.by.id }, words: [el("strong", {}, one.by.name), " ", one.text],
      about: `${timeOfDay(one.at)}, held for ${WHY[one.why] ?? one.why}${found}`,
      buttons: [this.button("Approve", "a", "held.approve", { message: one.id }), this.button("Deny", "d", "held.deny", { message: one.id }, true)],
    });
  }

  evasionRow(one) {
    const ban = el("button", { type: "button", class: "button small danger", data: { key: "d" } }, "Ban…");
    ban.addEventListener("click", () => busy(ban, async () => {
      const reason = await askText({ title: `Ban ${one.by.name}`, label: "Why? The person reads this.", yes: "Ban", required: false, danger: true });
      if (reason !== null) await this.send("ban.set", { account: one.by.id, reason });
    }));
    const names = [...one.all.values()].map((flag) => `${flag.like.name} (same ${flag.hint})`).join(", ");
    return this.row({
      kind: "evasion", data: { evasion: one.by.id, by: one.by.id }, words: [el("strong", {}, one.by.name), ` may be ${names}, banned here`],
      about: `${timeOfDay(one.at)}, by what they sign in with; households share an address`,
      buttons: [this.button("Somebody else", "a", "evasion.close", { account: one.by.id }), ban],
    });
  }

  unbanRow(one) {
    const decline = el("button", { type: "button", class: "button small danger", data: { key: "d" } }, "Decline…");
    decline.addEventListener("click", () => busy(decline, async () => {
      const text = await askText({ title: "Decline", label: "Why? The person reads this.", yes: "Decline", required: false, danger: true });
      if (text !== null) await this.send("unban.decline", { request: one.id, text });
    }));
    return this.row({
      kind: "unban", data: { unban: one.id, by: one.by.id }, words: [el("strong", {}, one.by.name), " ", one.text],
      about: `${timeOfDay(one.at)}, asks to be let back`,
      buttons: [this.button("Let back in", "a", "unban.accept", { request: one.id }), decline],
    });
  }

  reportRow(one) {
    const said = [...one.all.values()].map((report) => `${report.by.name}: ${report.reason}`).join(", ");
    return this.row({
      kind: "report", data: { report: one.message, by: one.author.id }, words: [el("strong", {}, one.author.name), " ", this.wordsOf(one.message) ?? "(no longer in the chat)"],
      about: `Reported by ${said}`,
      buttons: [this.button("Nothing wrong", "a", "report.close", { message: one.message }), this.button("Delete it", "d", "chat.delete", { message: one.message }, true)],
    });
  }
}
