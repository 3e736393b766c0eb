// The chat as the show's staff sees it: every message with its delete button and its timeouts.
// Owns the buttons; the server decides who may do what to whom.

import { ChatFeed } from "./chat-feed.js";
import { Composer } from "./composer.js";
import { busy, el, fill, show } from "./dom.js";
import { icon } from "./icons.js";
import { NoticeBar } from "./notice-bar.js";
import { Polls, writePoll } from "./polls.js";
import { openReplies } from "./replies.js";
import { Ticker, writeLines } from "./ticker.js";
import { commandOrToast, toast } from "./toast.js";

export const TIMEOUTS = [[10, "10 s"], [60, "1 min"], [600, "10 min"], [3600, "1 h"]];

const COMING = { delay: "Not yet seen", hidden: "Seen by its author alone" };

async function act(button, work) {
  await busy(button, async () => {
    try {
      await work();
    } catch (error) {
      toast(error.message, "bad");
      if (!error.code) throw error;
    }
  });
}

export class StaffChat {
  /** `person(account)`, when given, opens somebody's card. `open` shows the timeouts of each message at once instead of behind a button. */
  constructor(host, { room, show, me, host: isHost = false, open = false, title = "Chat", person = null }) {
    this.person = person;
    this.room = room;
    this.me = me;
    this.open = open;
    this.status = el("span", { class: "faint", role: "status" });
    const feed = el("div", { class: "chat-feed" });
    const box = el("div", { class: "composer-host" });
    const poll = el("button", { type: "button", class: "button ghost small", id: "new-poll", onclick: () => writePoll((op, body) => this.send(op, body)) }, "Poll…");
    const announce = el("button", { type: "button", class: "button ghost small", id: "announce", onclick: () => this.announce() }, "Announce…");
    const replies = el("button", { type: "button", class: "button ghost small", id: "replies", onclick: () => busy(replies, () => openReplies({ show, host: isHost, pick: (text) => this.composer.write(text) })) }, "Replies…");
    const ticker = el("p", { class: "ticker", role: "note", "aria-label": "Announcements", hidden: true });
    fill(host, el("header", { class: "chat-head" }, el("h2", {}, title), this.status, el("div", { class: "row end chat-tools" }, poll, announce, replies)), ticker, feed, box);
    this.ticker = new Ticker(ticker);
    this.notice = new NoticeBar(feed, () => this.send("notice.clear", {}));
    this.polls = new Polls(feed, { room, show, me: () => me, staff: true });
    this.feed = new ChatFeed(feed, { actionsOf: (event) => this.actionsOf(event), me: () => me, mentioned: (event) => toast(`${event.by.name} speaks to you.`) });
    this.composer = new Composer(box, { signedIn: true, room });
  }

  /** What the join says of the person. */
  hearMe(me) {
    this.composer.timeOut(me.timeout_ms);
    this.polls.hearMe(me);
  }

  /** A state key of the public room. */
  hearState(key, value) {
    if (key === "notice") this.notice.hear(value);
    if (key === "poll") this.polls.hear(value);
    if (key === "ticker") this.ticker.hear(value);
    if (key === "chat") this.composer.setModes(value, true);
  }

  /** Messages that viewers do not see yet, from the desk and from the staff room. */
  loadComing(held) {
    for (const one of held) {
      if (one.why in COMING) this.feed.addComing({ ...one, by: { ...one.by, standing: "viewer" } }, COMING[one.why]);
    }
  }

  hearStaff(events) {
    this.loadComing(events.filter((event) => event.t === "held"));
    for (const event of events) if (event.t === "held.decided") this.feed.dropComing(event.id);
  }

  /** Sends a command of the staff; says why when it is refused. */
  send(op, body) {
    return commandOrToast(this.room, op, body);
  }

  announce() {
    writeLines({ title: "Announcements", label: "One a line, up to five; they run under the picture", lines: this.ticker.lines, save: (lines) => this.send("ticker.set", { lines }) });
  }

  actionsOf(event) {
    const remove = el("button", { type: "button", class: "icon-button delete", data: { key: "d" }, "aria-label": `Delete the message of ${event.by.name}` }, icon("trash"));
    remove.addEventListener("click", () => act(remove, () => this.room.command("chat.delete", { message: event.id })));
    const pin = el("button", { type: "button", class: "icon-button pin", data: { key: "p" }, "aria-label": `Pin the message of ${event.by.name}` }, icon("pin"));
    pin.addEventListener("click", () => act(pin, () => this.room.command("notice.set", { message: event.id })));
    if (event.by.id === this.me.id || event.by.standing === "host") return [pin, remove];
    const times = el("span", { class: "timeouts", hidden: !this.open, role: "group", "aria-label": `Time out ${event.by.name}` },
      TIMEOUTS.map(([seconds, word]) => this.timeoutButton(event.by, seconds, word)));
    const card = this.person && el("button", { type: "button", class: "icon-button card", data: { key: "i" }, "aria-label": `About ${event.by.name}`, onclick: () => this.person(event.by.id) }, icon("user"));
    if (this.open) return [times, card, pin, remove].filter(Boolean);
    const toggle = el("button", { type: "button", class: "icon-button", "aria-label": `Time out ${event.by.name}`, "aria-expanded": "false" }, icon("clock"));
    toggle.addEventListener("click", () => {
      show(times, times.hidden);
      toggle.setAttribute("aria-expanded", String(!times.hidden));
    });
    return [times, toggle, pin, remove];
  }

  timeoutButton(person, seconds, word) {
    const button = el("button", { type: "button", class: "time", data: seconds === 600 ? { seconds, key: "t" } : { seconds }, "aria-label": `Time out ${person.name} for ${word}` }, word);
    button.addEventListener("click", () => act(button, () => this.room.command("timeout.set", { account: person.id, seconds })));
    return button;
  }
}
