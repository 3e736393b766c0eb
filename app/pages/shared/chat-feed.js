// Draws a room's events as a chat: messages, deletions, sold moments, pins, sales, moderation.
// Owns the list element; never sends anything (composer.js does) and never decides who may delete.

import { duration, serverNow, timeOfDay } from "./clock.js";
import { el, fill, say, show } from "./dom.js";
import { icon } from "./icons.js";
import { partsOf } from "./mentions.js";

const LINES_MAX = 300;
const LINES_OVER = 100; // so many are dropped together: each time all that is left moves and is painted anew
const NEAR_END_PX = 60;
const STAYED_MS = 3_000; // in a room at its busiest no line stays for so long
const NAMES_MAX = 500; // who was read last, and may be spoken to
const FRESH_MS = 10_000; // what is older was said before this reader came
const BADGES = { host: "Host", lead: "Lead mod", moderator: "Mod" };
const SALE_WORDS = {
  scheduled: "is coming",
  countdown: "starts soon",
  running: "has started",
  sold_out: "is sold out",
  ended: "has ended",
  cancelled: "was cancelled",
};
const SHOW_WORDS = {
  live: "The show is live",
  paused: "The show is paused",
  ended: "The show has ended",
  rehearsal: "Rehearsal",
  scheduled: "The show is scheduled",
};

/** The same hue for the same person everywhere, from the id. */
function hueOf(id) {
  let sum = 0;
  for (const char of id) sum = (sum * 31 + char.codePointAt(0)) % 12;
  return sum;
}

export class ChatFeed {
  /**
   * `actionsOf(event)` gives the buttons of a message, or null; `mentioned(event)` hears of a fresh message to this reader.
   * `actionsLater`: they cost more than the rest of a line, so one has them when it is pointed at, touched or reached by
   * keyboard, or has stayed a while, which is what somebody who only listens goes by.
   */
  constructor(host, { actionsOf = () => null, actionsLater = false, me = () => null, mentioned = () => {} } = {}) {
    this.mentioned = mentioned;
    this.actionsLater = actionsLater;
    this.bare = new Map(); // lines without their buttons so far: {event, since}, the oldest first
    this.dressing = null;
    this.touched = null; // the line of the last tap or click, until something else is pressed
    this.pointer = ""; // what kind of pointer pressed last
    this.names = new Set();
    this.watched = {};
    this.actionsOf = actionsOf;
    this.me = me;
    this.sales = new Map(); // what was said of each sale last
    this.coming = new Map(); // lines that viewers do not see yet, by message
    this.list = el("ol", { class: "chat-lines", role: "log", "aria-label": "Chat", tabindex: "0", "data-rows": "" });
    this.more = el("button", { type: "button", class: "chat-more", hidden: true }, icon("arrowDown"), "New messages");
    this.more.addEventListener("click", () => this.toEnd());
    this.follow = true;
    this.muted = new Set();
    this.list.addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.list.addEventListener("pointerover", ({ target }) => this.dress(target.closest(".chat-line"))); // a finger's, too
    document.addEventListener("pointerdown", (event) => this.pressed(event), { capture: true });
    this.list.addEventListener("click", (event) => this.tapped(event), { capture: true });
    this.list.addEventListener("focusin", ({ target }) => (target === this.list ? this.dressAll() : this.dress(target.closest(".chat-line"))));
    fill(host, this.list, this.more);
    new ResizeObserver(() => {
      if (this.follow) this.toEnd();
      this.height = this.list.clientHeight;
    }).observe(this.list);
    this.top = 0;
    this.height = 0;
    this.ending = null;
  }

  // Only the reader's own scrolling upwards stops the following, not a list that grew or shrank around its end.
  scrolled() {
    const sameSize = this.list.clientHeight === this.height;
    if (this.atEnd()) {
      this.follow = true;
      show(this.more, false);
    } else if (sameSize && this.list.scrollTop < this.top) {
      this.follow = false;
    }
    this.top = this.list.scrollTop;
  }

  atEnd() {
    return this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < NEAR_END_PX;
  }

  toEnd() {
    this.list.scrollTop = this.list.scrollHeight;
    this.follow = true;
    show(this.more, false);
  }

  // Where the end is, is asked once a paint: a busy room has several frames between two, and each asking lays all out.
  followEnd() {
    this.ending ??= requestAnimationFrame(() => {
      this.ending = null;
      if (this.follow) this.toEnd();
    });
  }

  /** Hides what these people say, for this reader alone. */
  mute(accounts) {
    this.muted = new Set(accounts);
    for (const line of this.list.querySelectorAll(".chat-line[data-by]")) show(line, !this.muted.has(line.dataset.by));
  }

  /** Forgets everything: the room sends a snapshot next. */
  clear() {
    this.coming.clear();
    this.bare.clear();
    fill(this.list);
  }

  /** Marks the lines of those on whom the staff keep an eye: {account: level}. */
  watch(levels) {
    this.watched = levels;
    for (const line of this.list.querySelectorAll(".chat-line[data-by]")) line.classList.toggle("watched", line.dataset.by in levels);
  }

  /** Messages of the reader that are in no history, each where it belongs by its time. */
  addOwn(events) {
    for (const event of events) {
      if (this.lineOf(event.id)) continue;
      const later = [...this.list.querySelectorAll("[data-at]")].find((line) => Number(line.dataset.at) > event.at);
      this.list.insertBefore(this.messageLine(event), later ?? null);
    }
    if (this.follow) this.toEnd();
  }

  /** Draws events in the room's order. */
  addAll(events) {
    const follow = this.follow;
    for (const event of events) this.add(event);
    this.dropOld();
    if (follow) this.followEnd();
    else show(this.more, true);
  }

  dropOld() {
    const over = this.list.children.length - LINES_MAX;
    if (over <= LINES_OVER) return;
    for (let n = 0; n < over; n += 1) {
      const line = this.list.firstChild;
      this.coming.delete(line.dataset.message);
      this.bare.delete(line);
      line.remove();
    }
    this.top = 0; // the list moves up by itself then: nobody's scrolling
  }

  add(event) {
    switch (event.t) {
      case "chat":
        this.dropComing(event.id);
        this.append(this.messageLine(event));
        return this.tellReader(event);
      case "chat.gone":
        return this.append(this.goneLine(event.id, null));
      case "chat.deleted":
        return this.strike(event);
      case "chat.purged":
        return this.strikeAll(event);
      case "answer":
        return this.answerLine(event);
      case "timeout":
        return this.note("shield", `${event.person.name} is timed out for ${duration(event.seconds * 1000)}`, "mod");
      case "timeout.ended":
        return this.note("shield", `${event.person.name} may talk again`, "mod");
      case "ban":
        return this.note("shield", `${event.person.name} is banned`, "mod");
      case "ban.ended":
        return this.note("shield", `${event.person.name} may come back`, "mod");
      case "pin":
        return event.product ? this.note("pin", `Now showing: ${event.product.title}`, "pin") : undefined;
      case "sale":
        return this.note("bolt", `Flash sale on ${event.title} ${this.saleWords(event)}`, "sale");
      case "draw":
        return this.note("bolt", `The order for ${event.title} was drawn: ${event.entries} in line`, "sale");
      case "sold":
        return this.note("bag", event.quantity > 1 ? `Sold: ${event.quantity} × ${event.title}` : `Sold: ${event.title}`,
          "sold");
      case "show":
        return this.note("camera", SHOW_WORDS[event.state] ?? event.state, "show");
      default:
        return undefined; // an event of a newer server: nothing this page could say about it
    }
  }

  saleWords({ sale, state }) {
    const goesOn = state === "running" && this.sales.get(sale) === "sold_out";
    this.sales.set(sale, state);
    return goesOn ? "goes on: there are units again" : SALE_WORDS[state] ?? state;
  }

  append(line) {
    this.list.append(line);
  }

  // Whether a message speaks to this reader: by name, or as an answer to one of theirs.
  isToReader(event, words) {
    const me = this.me();
    if (!me || event.by.id === me.id) return false;
    return words.some((part) => part.name === me.name) || (event.re && this.lineOf(event.re)?.dataset.by === me.id);
  }

  tellReader(event) {
    const line = this.list.lastElementChild;
    if (line.classList.contains("to-reader") && !line.hidden && serverNow() - event.at < FRESH_MS) this.mentioned(event);
  }

  words(event) {
    const me = this.me();
    this.names.delete(event.by.name);
    this.names.add(event.by.name);
    if (this.names.size > NAMES_MAX) this.names.delete(this.names.values().next().value);
    if (!event.text.includes("@")) return [{ text: event.text, name: null }];
    return partsOf(event.text, me ? [...this.names, me.name] : this.names);
  }

  messageLine(event) {
    const words = this.words(event);
    const badge = BADGES[event.by.standing];
    const mine = this.me()?.id === event.by.id;
    const line = el("li", { class: `chat-line ${event.by.standing}${mine ? " mine" : ""}`, tabindex: "-1", data: { message: event.id, by: event.by.id, at: event.at } },
      el("div", { class: "chat-text" }, event.re ? this.quote(event.re) : null,
        el("span", { class: `chat-name hue-${hueOf(event.by.id)}` }, event.by.name),
        badge ? el("span", { class: `badge standing ${event.by.standing}` }, badge) : null,
        el("time", { class: "chat-time", datetime: new Date(event.at).toISOString() }, timeOfDay(event.at)),
        el("span", { class: "chat-words" }, words.map((part) => (part.name === null ? part.text : el("span", { class: "mention" }, part.text))))));
    line.classList.toggle("watched", event.by.id in this.watched);
    line.classList.toggle("to-reader", Boolean(this.isToReader(event, words)));
    show(line, !this.muted.has(event.by.id));
    this.bare.set(line, { event, since: performance.now() });
    if (this.actionsLater) this.dressing ??= setTimeout(() => this.dressStayed(), STAYED_MS);
    else this.dress(line);
    return line;
  }

  // Gives a line its buttons, once.
  dress(line) {
    const { event } = this.bare.get(line) ?? {};
    if (!this.bare.delete(line)) return;
    const actions = this.actionsOf(event);
    line.classList.toggle("acts", actions !== null);
    // The list reads out what is added to it: not the buttons, once the line was read.
    if (actions) line.append(el("div", { class: "chat-actions", "aria-live": "off" }, actions));
  }

  pressed({ target, pointerType }) {
    this.pointer = pointerType;
    if (this.touched && !this.touched.contains(target)) this.touched = null;
  }

  // Buttons that show only where one points are pressed by a finger's second tap: the first may have meant the line.
  // Not every browser says of a click by what it was made, and keys make clicks without a pointer (detail 0).
  tapped(event) {
    const line = event.target.closest(".chat-line");
    if (this.actionsLater && this.pointer === "touch" && event.detail > 0 && line !== this.touched && event.target.closest(".chat-actions")) event.stopPropagation();
    this.touched = line;
  }

  dressAll() {
    for (const line of [...this.bare.keys()]) this.dress(line);
  }

  dressStayed() {
    this.dressing = null;
    for (const [line, { since }] of this.bare) {
      const left_ms = Math.ceil(since + STAYED_MS - performance.now());
      if (left_ms > 0) {
        this.dressing = setTimeout(() => this.dressStayed(), left_ms);
        return;
      }
      this.dress(line);
    }
  }

  /** A message that viewers do not see, for the staff; `word` says so. */
  addComing(event, word) {
    if (this.lineOf(event.id)) return;
    const line = this.messageLine(event);
    line.classList.add("coming");
    line.querySelector(".chat-name").after(el("span", { class: "badge" }, word));
    this.coming.set(event.id, line);
    this.append(line);
    this.dropOld();
    if (this.follow) this.followEnd();
  }

  /** It is there for all now, or for nobody. */
  dropComing(message) {
    const line = this.coming.get(message);
    if (!this.coming.delete(message)) return;
    const held = line.contains(document.activeElement);
    const next = line.nextElementSibling ?? line.previousElementSibling;
    this.bare.delete(line);
    line.remove();
    if (held) (next ?? this.list).focus();
  }

  // What the show says by itself to a message.
  answerLine(event) {
    const to = this.lineOf(event.re)?.querySelector(".chat-name")?.textContent;
    return this.note("reply", to ? `To ${to}: ${event.text}` : event.text, "answer");
  }

  goneLine(id, by) {
    return el("li", { class: "chat-line gone", tabindex: "-1", data: { message: id } }, by ? `Message deleted by ${by.name}` : "Message deleted");
  }

  lineOf(message) {
    return [...this.list.querySelectorAll("[data-message]")].find((one) => one.dataset.message === message);
  }

  // What is answered is read from the feed itself: a deleted text is in no answer either.
  quote(message) {
    const line = this.lineOf(message);
    const words = line?.querySelector(".chat-words")?.textContent;
    const name = line?.querySelector(".chat-name")?.textContent;
    return el("span", { class: "chat-quote", data: { quotes: message } }, icon("reply"), el("span", {}, words && !line.hidden ? `${name}: ${words}` : "a message that is not here"));
  }

  strike(event) {
    this.bury(this.lineOf(event.id), event.by);
  }

  strikeAll({ person, by }) {
    for (const line of this.list.querySelectorAll(".chat-line[data-by]")) {
      if (person === null || line.dataset.by === person.id) this.bury(line, by);
    }
    this.note("shield", person ? `Messages of ${person.name} were deleted` : `${by.name} cleared the chat`, "mod");
  }

  bury(line, by) {
    if (!line) return;
    for (const quote of this.list.querySelectorAll(".chat-quote")) {
      if (quote.dataset.quotes === line.dataset.message) say(quote.lastChild, "a deleted message");
    }
    this.bare.delete(line);
    const held = line.contains(document.activeElement);
    const gone = this.goneLine(line.dataset.message, by);
    line.replaceWith(gone);
    if (held) gone.focus();
  }

  /** A note for this reader alone, with a button when `press` is given: {word, run}. */
  tell(symbol, text, kind, press = null) {
    this.append(el("li", { class: `chat-note ${kind}` }, icon(symbol), el("span", {}, text, el("span", { class: "faint" }, " Only you see this.")),
      press ? el("button", { type: "button", class: "button small", onclick: press.run }, press.word) : null));
    if (this.follow) this.followEnd();
    else show(this.more, true);
  }

  note(symbol, text, kind) {
    this.append(el("li", { class: `chat-note ${kind}` }, icon(symbol), el("span", {}, text)));
  }
}
