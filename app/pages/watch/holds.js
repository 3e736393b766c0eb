// What this person holds in this show: taken, counted down, released, paid, expired.
// Owns the calls to /api/holds and /api/orders and the word of them between windows; the server alone decides every one of them.

import { isUnknown, newKey, post, remove, segment } from "../shared/api.js";
import { serverNow, syncServerClock } from "../shared/clock.js";

const POLL_MS = 2000;
const PENDING_MAX_MS = 180_000;
const ENDED = new Set(["payment_declined", "hold_ended"]);
const UNSETTLED = new Set(["payment_pending", "in_progress", "offline", "unavailable", "rebuilding"]);

export class Holds {
  /** `me` is who holds, null for a guest; `changed()` is called after every change. */
  constructor(show, me, changed) {
    this.show = show;
    this.changed = changed;
    this.live = new Map();
    this.since = new Map(); // what was learnt since the last join was sent: a hold, null for one that is gone
    this.lastKey = null;
    this.undecided = null; // {wish, key} of an order that was given up on before it was decided
    this.lines = null;
    this.cardKept = () => {}; // called when an order was made whose card is kept
    // This person's other windows in this browser; those elsewhere learn it with their next join.
    this.windows = new BroadcastChannel(`hawker-holds-${show}-${me?.id}`);
    this.windows.onmessage = ({ data }) => {
      if (data.taken) this.keep(data.taken);
      else this.note(data.gone, null);
      this.changed();
    };
  }

  /** The live holds of this show, oldest first. */
  all() {
    return [...this.live.values()].filter((hold) => hold.deadline > serverNow());
  }

  find(id) {
    return this.all().find((hold) => hold.id === id) ?? null;
  }

  /** A join is sent. What it says may be read before, and come after, what is learnt by other ways from here on. */
  join() {
    this.since.clear();
  }

  /** What the join says is the whole truth of its moment: anything else from before is gone. */
  replaceAll(holds) {
    const since = [...this.since];
    this.live.clear();
    for (const hold of holds) this.keep(hold);
    for (const [id, hold] of since) this.note(id, hold);
    this.changed();
  }

  note(id, hold) {
    this.since.set(id, hold);
    if (hold) this.live.set(id, hold);
    else this.live.delete(id);
  }

  keep(hold) {
    if (hold.state !== "held") return null;
    if (hold.server_now_ms) syncServerClock(hold.server_now_ms);
    const kept = { ...hold, deadline: serverNow() + hold.expires_in_ms };
    this.note(hold.id, kept);
    return kept;
  }

  forget(id) {
    const known = this.live.has(id);
    this.note(id, null);
    if (!known) return;
    this.lines?.lost(id);
    this.windows.postMessage({ gone: id });
    this.changed();
  }

  /** Takes `quantity` units. The key stays the same until the server has answered this very wish. */
  async take(pool, quantity) {
    const admission = this.lines?.admission(pool);
    const wish = `${pool}/${quantity}/${admission}`;
    if (this.lastKey?.wish !== wish) this.lastKey = { wish, key: newKey() };
    try {
      const taken = await post("/api/holds", { pool, quantity, show: this.show, admission }, this.lastKey.key);
      const hold = this.keep(taken);
      this.windows.postMessage({ taken });
      this.lastKey = null;
      this.lines?.used(pool);
      this.changed();
      return hold;
    } catch (error) {
      if (!isUnknown(error)) this.lastKey = null;
      throw error;
    }
  }

  async release(id) {
    await remove(`/api/holds/${segment(id)}`);
    this.forget(id);
  }

  cancelOrder(id) {
    return post(`/api/orders/${segment(id)}/cancel`);
  }

  /**
   * Pays for a hold; resolves with the order, throws what the server refused. `pending(problem)` is called when the
   * provider has not answered in time; the outcome is awaited all the same. `ask(question)` puts the bank's question;
   * `said` is what the shop asks beside.
   */
  async pay(holdId, way, { pending, ask }, said = {}) {
    try {
      const order = await this.insist("/api/orders", { hold: holdId, ...way, ...said }, { pending, ask });
      this.forget(holdId);
      return order;
    } catch (error) {
      if (ENDED.has(error.code)) this.forget(holdId); // the room says so too, but perhaps later
      throw error;
    }
  }

  /**
   * Asks for an order until it is decided: the same request, under one key, however often it takes. Who gave up, and
   * wishes for just the same next, asks under that key again: perhaps there is an order.
   */
  async insist(path, body, { pending, ask }) {
    const wish = JSON.stringify([path, { ...body, admission: undefined }]);
    const key = this.undecided?.wish === wish ? this.undecided.key : newKey();
    this.undecided = null;
    const until = performance.now() + PENDING_MAX_MS;
    for (;;) {
      try {
        const order = await post(path, body, key);
        if (body.keep) this.cardKept();
        return order;
      } catch (error) {
        if (error.code === "payment_challenge" && performance.now() < until) {
          await ask(error.more.details);
          await this.look(error.more.details.payment);
          continue;
        }
        if (!UNSETTLED.has(error.code) || performance.now() > until) {
          if (UNSETTLED.has(error.code) || isUnknown(error)) this.undecided = { wish, key };
          throw error;
        }
        pending(error);
        await this.wordOrPause(error.retryAfterMs ?? POLL_MS);
      }
    }
  }

  // Has the server see what the bank said. Whether it did or not, the order's own answer tells.
  async look(payment) {
    try {
      await post(`/api/payments/${segment(payment)}/look`);
    } catch (error) {
      if (error.name !== "Problem") throw error;
    }
  }

  // Until a hint says that an order was decided, or for `ms`. The same request under the same key then tells how.
  async wordOrPause(ms) {
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.wakeUp = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.wakeUp = null;
  }

  /** A hint from the room. */
  hear(hint) {
    if (hint.t === "hold.expired" || hint.t === "hold.released") this.forget(hint.hold?.id ?? hint.hold);
    if (hint.t.startsWith("order.")) this.wakeUp?.();
  }
}
