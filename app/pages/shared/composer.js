// The message box: sends, keeps the text when the server refuses, and counts down any wait it was given.
// Owns no connection: `post(text)` does the sending and throws what the server refused.

import { duration, everyTick } from "./clock.js";
import { el, fill, say, show } from "./dom.js";
import { icon } from "./icons.js";
import { signInUrl } from "./session.js";

const TEXT_MAX = 500;

export class Composer {
  /** `host` is filled with the box, or with a sign-in prompt when `signedIn` is false. */
  constructor(host, { signedIn, post }) {
    this.post = post;
    this.waitUntil = 0;
    this.waitCode = "";
    if (!signedIn) {
      fill(host, el("p", { class: "composer-prompt" }, el("a", { href: signInUrl(), class: "button primary small" }, "Sign in to chat")));
      return;
    }
    this.input = el("input", {
      id: "message", class: "input", type: "text", maxlength: TEXT_MAX, autocomplete: "off", enterkeyhint: "send",
      placeholder: "Say something…", "aria-label": "Message", "aria-describedby": "message-wait",
    });
    this.button = el("button", { type: "submit", class: "icon-button send", "aria-label": "Send", id: "send" }, icon("send"));
    this.wait = el("p", { class: "composer-wait", id: "message-wait", role: "status", hidden: true });
    this.form = el("form", { class: "composer" }, this.input, this.button);
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    fill(host, this.wait, this.form);
    everyTick(() => this.redraw());
  }

  /** Nobody may post for `ms` more; null lifts it. `code` says why: timed_out or too_fast. */
  hold(ms, code) {
    this.waitUntil = ms ? performance.now() + ms : 0;
    this.waitCode = ms ? code : "";
    if (this.input) this.redraw();
  }

  redraw() {
    const left = this.waitUntil - performance.now();
    if (left > 0) {
      const why = this.waitCode === "timed_out" ? "You are timed out." : "That was fast.";
      this.refuse(`${why} You can send in ${duration(left)}.`);
    } else if (this.waitCode) {
      this.waitCode = "";
      show(this.wait, false);
    }
    this.button.disabled = left > 0 || this.sending === true;
    this.form.classList.toggle("waiting", left > 0);
  }

  refuse(text) {
    say(this.wait, text);
    show(this.wait, true);
  }

  async send() {
    const text = this.input.value.trim();
    if (!text || this.button.disabled) return;
    this.sending = true;
    this.button.disabled = true;
    try {
      await this.post(text);
      if (this.input.value.trim() === text) this.input.value = "";
      show(this.wait, false);
    } catch (error) {
      if (error.retryAfterMs) this.hold(error.retryAfterMs, error.code);
      else this.refuse(error.message);
      if (!error.code) throw error;
    } finally {
      this.sending = false;
      this.redraw();
    }
  }
}
