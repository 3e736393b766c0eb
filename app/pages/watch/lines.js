// This person's places in line: the waiting room of a hot sale, the waitlist of what has run out.
// Owns the calls, the list above the products and the button that joins; the server alone decides who comes when.

import { segment } from "../shared/api.js";
import { countdown, duration, serverNow } from "../shared/clock.js";
import { busy, el, fill, say, show } from "../shared/dom.js";
import { icon } from "../shared/icons.js";
import { toast } from "../shared/toast.js";

const GONE = {
  lapsed: (title) => `Your turn for ${title} has passed; it went to the next in line.`,
  over: (title) => `There is nothing left to wait for: ${title}.`,
};
const SHORT_HASH = 12;

export class Lines {
  /** `room` is the show's; `title(pool)` names what a pool sells; `take(pool)` opens the sheet; `signIn()` leads there. */
  constructor(host, { room, show: showId, signedIn, title, take, signIn }) {
    Object.assign(this, { host, room, showId, signedIn, title, take, signIn });
    this.places = new Map();
    this.rows = new Map();
  }

  /** What the join says is the whole truth. */
  replaceAll(places) {
    this.places = new Map(places.map((place) => [place.pool, place]));
    this.draw();
  }

  /** A hint from the room about one place. */
  hear(place) {
    if (place.state in GONE) {
      this.places.delete(place.pool);
      toast(GONE[place.state](this.title(place.pool)));
    } else {
      const turn = place.state !== "waiting" && this.places.get(place.pool)?.state !== place.state;
      this.places.set(place.pool, place);
      if (turn) toast(`It is your turn: ${this.title(place.pool)}.`, "good");
    }
    this.draw();
  }

  /** The admission for a pool, to be sent with the hold; undefined without one. */
  admission(pool) {
    return this.places.get(pool)?.admission ?? undefined;
  }

  /** The place has led to a hold. */
  used(pool) {
    if (this.places.get(pool)?.state === "admitted" && this.places.delete(pool)) this.draw();
  }

  /** The hold is gone, and with it the offer that it was. */
  lost(hold) {
    for (const [pool, place] of this.places) if (place.hold === hold && this.places.delete(pool)) this.draw();
  }

  offers(hold) {
    return [...this.places.values()].some((place) => place.hold === hold);
  }

  /**
   * What a card says of the line of its offer: `{join, locked}`. `join` is the word on the button that joins, null for
   * no button; `locked` that nobody may take without an admission.
   */
  ofOffer(offer) {
    const pool = offer.phase === "ordinary" ? offer.pool : offer.sale.pool;
    const place = this.places.get(pool);
    const room = offer.sale?.waiting_room ?? false;
    const locked = room && offer.phase === "running" && place?.state !== "admitted";
    if (place) return { pool, join: null, locked };
    if (room) return { pool, join: offer.phase === "soon" ? "Join the waiting room" : "Join the line", locked };
    const out = offer.status === "all_held" || offer.status === "sold_out";
    return { pool, join: out && offer.phase !== "soon" ? "Join the waitlist" : null, locked };
  }

  async join(pool) {
    if (!this.signedIn) return this.signIn();
    const before = this.places.get(pool);
    try {
      const { re, ...place } = await this.room.command("line.join", { pool });
      if (this.places.get(pool) === before) this.places.set(pool, place); // else their turn came before the answer
      this.draw();
    } catch (problem) {
      toast(problem.message, "bad");
    }
    return undefined;
  }

  async leave(pool) {
    try {
      await this.room.command("line.leave", { pool });
    } catch (problem) {
      if (problem.code !== "not_found") return toast(problem.message, "bad");
    }
    this.places.delete(pool);
    return this.draw();
  }

  draw() {
    const shown = [...this.places.values()].filter((place) => place.state !== "offered");
    this.rows = new Map(shown.map((place) => [place.pool, this.row(place)]));
    fill(this.host, [...this.rows.values()].map((row) => row.node));
    show(this.host, shown.length > 0);
    this.update(serverNow());
  }

  row(place) {
    const words = el("strong", {});
    const facts = el("span", { class: "faint numbers" });
    const clock = el("strong", { class: "numbers" });
    const take = el("button", { type: "button", class: "button sale small", hidden: place.state !== "admitted", data: { does: "take" } }, "Take it");
    const leave = el("button", { type: "button", class: "button ghost small", data: { does: "leave-line" } }, "Leave");
    take.addEventListener("click", () => this.take(place.pool));
    leave.addEventListener("click", () => busy(leave, () => this.leave(place.pool)));
    const check = el("a", { class: "faint", target: "_blank", rel: "noopener", hidden: true, title: `You are entry ${place.entry}`,
      href: `/api/shows/${segment(this.showId)}/flash-sales/${segment(place.sale ?? "-")}/draw` }, "Check the draw");
    const node = el("div", { class: "held-item line-item", data: { line: place.state } }, icon("clock"),
      el("span", { class: "grow line-words" }, words, facts, check), clock, take, leave);
    return { node, words, facts, clock, check };
  }

  update(now) {
    for (const [pool, row] of this.rows) {
      const place = this.places.get(pool);
      const line = this.room.state.get(`line:${pool}`);
      const sale = place.sale ? this.room.state.get(`sale:${place.sale}`) : null;
      say(row.clock, place.until_ms ? countdown(place.until_ms - now) : "");
      say(row.words, wordsOf(place, this.title(pool), line));
      say(row.facts, factsOf(place, line, sale, now));
      show(row.check, Boolean(sale?.seed));
    }
  }
}

const aheadOf = (place, line) => (place.place === null || !line?.first ? place.ahead : Math.max(0, place.place - line.first));

function wordsOf(place, title, line) {
  if (place.state === "admitted") return `It is your turn: ${title}`;
  if (place.place === null) return `You are in the waiting room for ${title}`;
  const ahead = aheadOf(place, line);
  return ahead === null ? `You are in line for ${title}` : `You are number ${ahead + 1} in line for ${title}`;
}

function factsOf(place, line, sale, now) {
  if (place.state === "admitted") return "One hold, yours alone, until the time is up.";
  if (place.place === null) {
    const sealed = sale?.commitment ? ` Sealed draw ${sale.commitment.slice(0, SHORT_HASH)}…` : "";
    return `${line?.waiting ?? 1} here. The order is drawn at the start.${sealed} You are entry ${place.entry}.`;
  }
  const ahead = aheadOf(place, line);
  if (ahead === null || !line?.each_ms) return "You are told when it is your turn.";
  const wait = (ahead + 1) * line.each_ms;
  if (sale && now + wait > sale.ends_at_ms) return `The sale ends in ${duration(sale.ends_at_ms - now)}: at the pace of the last minute your turn would come later.`;
  return `About ${duration(wait)} to go, at the pace of the last minute.`;
}
