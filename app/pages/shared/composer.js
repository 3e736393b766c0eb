// The message box: draws a Draft, which keeps the text when the server refuses and counts down the wait it was given.
// Owns the form; never decides whether something may be said.

import { duration } from "./clock.js";
import { el, fill, say, show } from "./dom.js";
import { Draft } from "./draft.js";
import { icon } from "./icons.js";
import { signInUrl } from "./session.js";
import { toast } from "./toast.js";

const HELD_WORDS = "A moderator looks at your message before others see it.";

export class Composer {
  /** `host` is filled with the box for this room, or with a sign-in prompt when `signedIn` is false. */
  constructor(host, { signedIn, room }) {
    this.draft = new Draft(room.client, "chat.post");
    this.slow = 0; // slow mode's seconds, as the room last said
    if (!signedIn) {
      fill(host, el("p", { class: "composer-prompt" },
        el("a", { href: signInUrl(), class: "button primary small" }, "Sign in to chat")));
      return;
    }
    this.input = el("input", {
      id: "message", class: "input", type: "text", autocomplete: "off", enterkeyhint: "send",
      placeholder: "Say something…", "aria-label": "Message", "aria-describedby": "message-wait",
    });
    this.button = el("button", { type: "submit", class: "icon-button send", "aria-label": "Send", id: "send" }, icon("send"));
    this.wait = el("p", { class: "composer-wait numbers", id: "message-wait", role: "status", hidden: true });
    this.form = el("form", { class: "composer" }, this.input, this.button);
    this.form.addEventListener("submit", (event) => this.send(event));
    this.draft.on = (view) => this.redraw(view);
    this.answering = el("p", { class: "composer-answering", hidden: true });
    this.modes = el("p", { class: "composer-modes faint", id: "message-modes", hidden: true });
    this.input.addEventListener("keydown", (event) => event.key === "Escape" && this.answer(null));
    this.buying = el("p", { class: "composer-modes faint", id: "message-buying", hidden: true });
    fill(host, this.modes, this.buying, this.answering, this.wait, this.form);
  }

  /** The next message answers this one; null: none. */
  answer(event) {
    if (!this.input) return;
    this.draft.more = event ? { re: event.id } : {};
    if (event) {
      const stop = el("button", { type: "button", class: "icon-button", "aria-label": "Do not answer", onclick: () => this.answer(null) }, icon("close"));
      fill(this.answering, icon("reply"), el("span", { class: "grow" }, `To ${event.by.name}: ${event.text}`), stop);
      this.input.focus();
    }
    show(this.answering, event !== null);
  }

  /** Puts words into the box, for the person to send or change. */
  write(text) {
    if (!this.input) return;
    this.input.value = text;
    this.input.focus();
  }

  /** The room's modes, as the state key `chat` has them; `staff` are bound by none. */
  setModes(modes, staff = false) {
    if (!this.input) return;
    const slow = modes?.slow_s ?? 0;
    if (slow < this.slow) this.draft.hurry(); // what it made somebody wait for is over with it
    this.slow = slow;
    const words = modes === null || staff ? [] : [
      modes.open ? "" : "The chat is closed for now",
      modes.slow_s && modes.open ? `Slow mode: one message every ${duration(modes.slow_s * 1000)}` : "",
      modes.newcomers && modes.open ? "First messages are looked at first" : "",
      modes.links || !modes.open ? "" : "No links",
      modes.emoji && modes.open ? "Emoji only" : "",
      modes.buyers && modes.open ? "Buyers only" : "",
      (modes.followers_min ?? null) !== null && modes.open ? `Followers only${modes.followers_min ? `, of ${duration(modes.followers_min * 60_000)}` : ""}` : "",
      modes.unique && modes.open ? "Nothing that was just said" : "",
      modes.delay_s && modes.open ? `Messages appear after ${duration(modes.delay_s * 1000)}` : "",
    ].filter(Boolean);
    say(this.modes, words.join(" · "));
    show(this.modes, words.length > 0);
  }

  /** The room's key `buying`: whether messages buy, and by which words. */
  setBuying(buying) {
    if (!this.input) return;
    const words = Object.keys(buying?.keywords ?? {}).slice(0, 4).map((word) => word.toUpperCase());
    say(this.buying, buying?.on ? `Write “buy 2” to hold two of what is shown${words.length ? `, or ${words.join(", ")}` : ""}.` : "");
    show(this.buying, Boolean(buying?.on));
  }

  /** The person may not talk for `ms` more, by a moderator's word; null lifts it. */
  timeOut(ms) {
    if (!this.input) return;
    this.draft.error = ms ? { code: "timed_out", message: "You are timed out." } : null;
    this.draft.wait(ms || null);
  }

  async send(event) {
    event.preventDefault();
    const text = this.input.value.trim();
    if (!text || this.button.disabled) return;
    this.draft.text = text;
    const { more } = this.draft;
    const taken = await this.draft.send();
    if (!taken) return;
    // What was typed meanwhile stays.
    if (this.input.value.trim() === text) this.input.value = "";
    const { o, delay_ms: delay } = this.draft.reply;
    if (o === null) toast(delay ? `Others see your message in ${duration(delay)}.` : HELD_WORDS);
    if (this.draft.more === more) this.answer(null); // else another message was chosen meanwhile
  }

  redraw({ sending, error, retry_in_ms: wait }) {
    const waiting = wait !== null && wait > 0;
    this.button.disabled = waiting || sending;
    this.form.classList.toggle("waiting", waiting);
    say(this.wait, [error?.message, waiting ? `You can send in ${duration(wait)}.` : ""].filter(Boolean).join(" "));
    show(this.wait, waiting || error !== null);
  }
}
