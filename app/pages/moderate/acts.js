// The log of what moderators and hosts did in the show, newest first.

import { get, segment } from "../shared/api.js";
import { timeOfDay } from "../shared/clock.js";
import { el, fill } from "../shared/dom.js";

const SHOWN_MAX = 200;
const WORDS = {
  "chat.delete": "deleted a message of",
  "message.deleted": "deleted a message of",
  "timeout": "timed out",
  "timeout.set": "timed out",
  "timeout.ended": "ended the timeout of",
  "timeout.end": "ended the timeout of",
  "moderator.appointed": "appointed",
  "moderator.removed": "removed",
};

export class Acts {
  constructor(host, showId) {
    this.showId = showId;
    this.list = el("ol", { class: "act-rows", id: "act-rows" });
    fill(host, el("h2", {}, "What was done"), this.list);
    this.acts = [];
    this.draw();
  }

  /** Loads the log; `recall` is given all acts, oldest first. */
  async load(recall) {
    const { acts } = await get(`/api/shows/${segment(this.showId)}/moderation/acts`);
    const loaded = [...acts].sort((a, b) => a.at - b.at);
    const newest = loaded.at(-1)?.at ?? 0;
    this.acts = [...loaded, ...this.acts.filter((act) => act.at > newest)];
    recall(this.acts);
    this.draw();
  }

  hear(acts) {
    this.acts.push(...acts);
    this.draw();
  }

  draw() {
    fill(this.list, this.acts.length ? this.acts.slice(-SHOWN_MAX).reverse().map((act) => el("li", { class: "act-row" },
      el("time", { class: "faint numbers", datetime: new Date(act.at).toISOString() }, timeOfDay(act.at)),
      el("span", {}, el("strong", {}, act.actor.name), ` ${WORDS[act.act] ?? act.act} `, act.target ? el("strong", {}, act.target.name) : null)))
      : el("li", { class: "faint" }, "Nothing yet."));
  }
}
