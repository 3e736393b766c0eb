// The log of what moderators and hosts did in the show, newest first: read, and heard in the staff room. What can be
// taken back has a button for it (`u`); taking back is an act of its own.

import { get, segment } from "../shared/api.js";
import { timeOfDay } from "../shared/clock.js";
import { busy, el, fill, refillRows } from "../shared/dom.js";

const SHOWN_MAX = 200;
const WORDS = {
  "message.delete": "deleted a message of",
  "timeout.set": "timed out",
  "timeout.end": "ended the timeout of",
  "message.delete_all": "deleted everything of",
  "chat.clear": "cleared the chat",
  "held.approve": "let through a message of",
  "held.deny": "turned down a message of",
  "ban.set": "banned",
  "ban.end": "let back in",
  "unban.accepted": "accepted the request of",
  "unban.declined": "declined the request of",
  "review.set": "chose who is asked about messages",
  "list.share": "offered the shop's bans to others",
  "list.withdraw": "shares the shop's bans no more",
  "list.take": "took over another shop's bans",
  "list.leave": "left another shop's bans",
  "person.watch": "chose how closely to watch",
  "warning.give": "warned",
  "question.answer": "answered a question of",
  "question.let": "let through a question of",
  "question.close": "closed a question of",
  "question.reopen": "opened again a question of",
  "question.remove": "removed a question of",
  "ticker.set": "changed the announcements",
  "answers.set": "changed the answers by rule",
  "replies.set": "changed the quick replies",
  "poll.start": "asked everybody",
  "poll.end": "ended the poll",
  "poll.withdraw": "took back the poll",
  "poll.reopen": "had the poll go on",
  "warning.withdraw": "took back the warning of",
  "modes.set": "changed the room's modes",
  "shield.up": "raised the shield",
  "shield.down": "lowered the shield",
  "terms.set": "changed the terms",
  "notice.set": "pinned something to the chat",
  "notice.clear": "took down what was pinned",
  appoint: "appointed",
  dismiss: "dismissed",
  "moderator.appoint": "appointed",
  "moderator.dismiss": "dismissed",
};

/** An act as a verb. */
export const wordsOf = (act) => WORDS[act] ?? act;

// By its number in the log, where it has one: the room and the log do not tell the same moment of an act.
const keyOf = (act) => (act.n ? act.n : [act.at, act.act, act.actor.id, act.target?.id].join());

function asLoaded({ at_ms: at, detail, ...act }) {
  const { everywhere, lead, reason, undoes, after } = detail;
  return { ...act, at, reason, undoes, how: [lead ? "as lead" : "", everywhere ? "for all shows" : "", act.act === "person.watch" ? `(${after})` : ""].filter(Boolean).join(", "), detail };
}

export class Acts {
  /** `send(op, body)` sends a command. */
  constructor(host, showId, send) {
    this.showId = showId;
    this.send = send;
    this.list = el("ol", { class: "act-rows", id: "act-rows", "data-rows": "", "aria-label": "What was done" });
    const file = (name, word) => el("a", { class: "button small ghost", href: `/api/shows/${segment(showId)}/moderation/${name}`, download: name }, word);
    fill(host, el("div", { class: "row between" }, el("h2", {}, "What was done"), el("div", { class: "row" }, file("chat.csv", "Chat as CSV"), file("log.csv", "Log as CSV"))), this.list);
    this.acts = [];
    this.draw();
  }

  /** The log as the server has it, oldest first. */
  async read() {
    const { acts } = await get(`/api/shows/${segment(this.showId)}/moderation/acts`);
    return acts.map(asLoaded).reverse();
  }

  load(acts) {
    const heard = this.acts;
    this.acts = acts;
    this.hear(heard);
  }

  /** Acts from the staff room; a room that starts over says again what is known here already. */
  hear(acts) {
    const known = new Set(this.acts.map(keyOf));
    this.acts.push(...acts.filter((act) => !known.has(keyOf(act))));
    this.acts.sort((a, b) => a.at - b.at);
    this.draw();
  }

  draw() {
    const back = new Set(this.acts.map((act) => act.undoes).filter(Boolean));
    for (const act of this.acts) if (back.has(act.n)) act.undoable = false;
    refillRows(this.list, this.acts.length ? this.acts.slice(-SHOWN_MAX).reverse().map((act) => this.row(act))
      : el("li", { class: "faint" }, "Nothing yet."));
  }

  row(act) {
    const undo = act.undoable ? el("button", { type: "button", class: "button small ghost undo", data: { key: "u" }, "aria-label": `Undo: ${act.actor.name} ${wordsOf(act.act)} ${act.target?.name ?? ""}` }, "Undo") : null;
    undo?.addEventListener("click", () => busy(undo, () => this.send("undo", { act: act.n })));
    return el("li", { class: "act-row", tabindex: "-1", data: { act: act.n ?? "" } },
      el("time", { class: "faint numbers", datetime: new Date(act.at).toISOString() }, timeOfDay(act.at)),
      el("span", {}, el("strong", {}, act.actor.name), ` ${wordsOf(act.act)} `,
        act.target ? el("strong", {}, act.target.name) : null,
        act.how ? ` ${act.how}` : null,
        act.reason ? el("span", { class: "soft" }, ` (${act.reason})`) : null,
        act.undoes ? el("span", { class: "faint" }, ` · takes back no. ${act.undoes}`) : null),
      el("span", { class: "faint numbers" }, act.n ? `no. ${act.n}` : ""), undo);
  }
}
