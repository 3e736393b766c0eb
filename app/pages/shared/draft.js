// A text that is being written to a room: kept whatever the server says, with the wait that it asked for.

import { RoomRefusal } from "./room-client.js";

const FAULTS = new Set(["unavailable", "unanswered"]); // the server's, not the writer's

/**
 * A text field's content that no limit loses. `send()` keeps the text until the server took it.
 *
 *   const draft = new Draft(room, "chat.post");
 *   draft.on = (view) => …;   // {text, sending, error: {code, message}|null, retry_in_ms: number|null}, at every change
 *                             // and each second while a countdown runs
 *   draft.text = input.value;
 *   await draft.send();       // true when taken (text is then empty, `reply` the answer), false when refused (kept)
 */
export class Draft {
  #room;
  #op;
  #retryAt = null;
  #ticking = null;
  text = "";
  more = {}; // what else the command says, e.g. {re: message}
  sending = false;
  error = null;
  reply = null;
  on = () => {};

  constructor(room, op) {
    this.#room = room;
    this.#op = op;
  }

  get retry_in_ms() {
    return this.#retryAt === null ? null : Math.max(0, this.#retryAt - performance.now());
  }

  async send() {
    if (this.sending || (this.retry_in_ms ?? 0) > 0) return false;
    const text = this.text;
    this.sending = true;
    this.error = null;
    this.wait(null);
    try {
      this.reply = await this.#room.command(this.#op, { text, ...this.more });
      if (this.text === text) this.text = "";
      if (this.reply.wait_ms) this.wait(this.reply.wait_ms);
      return true;
    } catch (error) {
      if (!(error instanceof RoomRefusal)) throw error;
      this.error = { code: error.code, message: error.message };
      this.wait(error.retry_after_ms);
      return false;
    } finally {
      this.sending = false;
      this.#tell();
    }
  }

  /** Starts the countdown, e.g. with `me.timeout_ms` or a timeout hint; null ends it. */
  wait(retry_after_ms) {
    clearInterval(this.#ticking);
    this.#ticking = null;
    this.#retryAt = retry_after_ms === null ? null : performance.now() + retry_after_ms;
    if (this.#retryAt !== null) this.#ticking = setInterval(() => this.#tick(), 250);
    this.#tell();
  }

  /** Ends a countdown that only the pace asked for. */
  hurry() {
    if (this.error !== null && this.error.code !== "too_fast") return;
    this.error = null;
    this.wait(null);
  }

  #tick() {
    if (this.retry_in_ms > 0) return this.#tell();
    // A pace that was asked for ends of itself; why words were not sent stays, since nobody reads it within a second.
    if (!FAULTS.has(this.error?.code)) this.error = null;
    return this.wait(null);
  }

  #tell() {
    this.on({ text: this.text, sending: this.sending, error: this.error, retry_in_ms: this.retry_in_ms });
  }
}
