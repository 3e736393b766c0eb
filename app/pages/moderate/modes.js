// The switches of the room: the shield, slow mode, links, newcomers, the chat itself, the terms, and clearing it all.
// Shows what the server says; a switch moves when the server has moved it.

import { duration } from "../shared/clock.js";
import { confirmDialog } from "../shared/dialog.js";
import { el, fill } from "../shared/dom.js";
import { openBanLists } from "./ban-lists.js";
import { editLevels } from "./levels.js";
import { openReviewer } from "./reviewer.js";
import { askText, editTerms } from "./terms.js";

const SLOW = [0, 1, 5, 10, 30, 60, 120];
const DELAYS = [0, 2, 5, 10, 30, 60];
const FOLLOWERS = ["", "0", "10", "60", "1440", "10080"]; // minutes; "" for everybody
const SWITCHES = ["shield", "links", "newcomers", "open", "emoji", "buyers", "unique"];

const followerWords = (min) => (min === "" ? "Everybody may write" : min === "0" ? "Followers only" : `Followers of ${duration(Number(min) * 60_000)} only`);
const delayWords = (s) => (s ? `Viewers see it ${s} s later` : "No delay for viewers");

export class Modes {
  /** `send(op, body)` sends a command; `fresh()` loads the desk anew; `lead`: may do what nobody can undo; `host`: the show when they are its host. */
  constructor(host, { send, fresh, lead, host: show }) {
    this.send = send;
    this.fresh = fresh;
    this.shield = this.toggle("shield", "Shield", "Shield: the strictest of everything, until it is lowered");
    this.slow = el("select", { class: "input small", id: "mode-slow", "aria-label": "Slow mode" },
      SLOW.map((s) => el("option", { value: String(s) }, s ? `One message every ${s} s` : "No slow mode")));
    this.slow.addEventListener("change", () => this.set({ slow_s: Number(this.slow.value) }));
    this.links = this.toggle("links", "Links");
    this.newcomers = this.toggle("newcomers", "Hold newcomers");
    this.open = this.toggle("open", "Chat open");
    this.emoji = this.toggle("emoji", "Emoji only");
    this.buyers = this.toggle("buyers", "Buyers only");
    this.unique = this.toggle("unique", "Nothing twice", "Nothing twice: what somebody has just said, nobody says again");
    this.delay = el("select", { class: "input small", id: "mode-delay", "aria-label": "Delay for viewers" },
      DELAYS.map((s) => el("option", { value: String(s) }, delayWords(s))));
    this.followers = el("select", { class: "input small", id: "mode-followers", "aria-label": "Who may write" },
      FOLLOWERS.map((min) => el("option", { value: min }, followerWords(min))));
    this.followers.addEventListener("change", () => this.set({ followers_min: this.followers.value === "" ? null : Number(this.followers.value) }));
    this.delay.addEventListener("change", () => this.set({ delay_s: Number(this.delay.value) }));
    // Not before the desk is there: what is saved replaces what is set.
    this.editTerms = el("button", { type: "button", class: "button small", id: "edit-terms", disabled: true, onclick: () => editTerms(this.terms, this.send).then(this.fresh) }, "Terms…");
    this.editLevels = el("button", { type: "button", class: "button small", id: "edit-levels", disabled: true, onclick: () => editLevels(this.modes, this.send).then(this.fresh) }, "Levels…");
    fill(host, el("h2", {}, "The room"), el("div", { class: "row" }, this.shield, this.slow),
      el("div", { class: "row" }, this.open, this.links, this.newcomers),
      el("div", { class: "row" }, this.emoji, this.buyers, this.unique, this.delay, this.followers),
      el("div", { class: "row" },
        this.editTerms, this.editLevels,
        el("button", { type: "button", class: "button small", id: "new-notice", onclick: () => this.writeNotice() }, "Notice…"),
        show ? el("button", { type: "button", class: "button small", id: "ban-lists", onclick: () => openBanLists(show) }, "Lists of bans…") : null,
        show ? el("button", { type: "button", class: "button small", id: "reviewer", onclick: () => openReviewer(show) }, "Reviewer…") : null,
        lead ? el("button", { type: "button", class: "button small danger", id: "clear-chat", onclick: () => this.clear() }, "Clear the chat…") : null));
  }

  toggle(name, word, label = word) {
    const button = el("button", { type: "button", class: "button small toggle", id: `mode-${name}`, "aria-pressed": "false", "aria-label": label }, word);
    button.addEventListener("click", () => this.set({ [name]: button.getAttribute("aria-pressed") !== "true" }));
    return button;
  }

  async set(change) {
    await this.send("modes.set", change);
    await this.fresh();
  }

  draw({ modes, terms }) {
    this.terms = terms;
    this.modes = modes;
    this.editTerms.disabled = this.editLevels.disabled = false;
    for (const name of SWITCHES) this[name].setAttribute("aria-pressed", String(modes[name]));
    if (!SLOW.includes(modes.slow_s)) this.slow.append(el("option", { value: String(modes.slow_s) }, `One message every ${modes.slow_s} s`));
    this.slow.value = String(modes.slow_s);
    if (!DELAYS.includes(modes.delay_s)) this.delay.append(el("option", { value: String(modes.delay_s) }, delayWords(modes.delay_s)));
    this.delay.value = String(modes.delay_s);
    const followers = modes.followers_min === null ? "" : String(modes.followers_min);
    if (!FOLLOWERS.includes(followers)) this.followers.append(el("option", { value: followers }, followerWords(followers)));
    this.followers.value = followers;
  }

  async writeNotice() {
    const text = await askText({ title: "Pin a notice to the chat", label: "Everybody sees it above the chat", yes: "Pin it" });
    if (text) await this.send("notice.set", { text });
  }

  async clear() {
    const sure = await confirmDialog({ title: "Clear the chat?", text: "Every message so far is deleted, for everybody and for good.", yes: "Delete everything", danger: true });
    if (sure) await this.send("chat.clear", {});
  }
}
