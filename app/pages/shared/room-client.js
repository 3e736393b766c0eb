/**
 * The browser's end of a room: one socket to `/ws/shows/{show}` (or `/staff`), kept alive.
 * Owns joining, resuming, reconnecting, versions of state and unanswered commands. Never touches the page.
 *
 *   const room = new RoomClient({ show: "demo", staff: false });
 *   room.on("event",  (event, { offset, live }) => …);  // each sequenced event once, in order. live: false when it
 *                                                       // is history (a snapshot, or what was missed)
 *   room.on("reset",  () => …);           // before the events of a snapshot that does not continue: empty the list
 *   room.on("state",  (key, value) => …); // latest value of a key changed; null = gone
 *   room.on("reactions", (sums) => …);    // so many more since the last time: {heart: 3, clap: 1}
 *   room.on("me",     (me) => …);         // at every join: {person, standing, timeout_ms, holds}
 *   room.on("hint",   (hint) => …);       // for this person alone: {t: "hold.expired", …}
 *   room.on("status", (status) => …);     // {status: "connecting"|"open"|"waiting"|"closed", retry_in_ms?, code?, reason?}
 *   room.open();
 *   const answer = await room.command("chat.post", { text });
 *        // resolves with the reply; rejects with RoomRefusal {code, message, retry_after_ms}. A command that was not
 *        // answered when the socket broke is sent again under the same id after the reconnect, so it has one effect.
 *        // A socket that leaves one unanswered for long is taken for broken: a dead network says nothing.
 *        // RoomRefusal "disconnected" only when the room will never come back.
 *   room.state("pin");                    // the latest value of a key, undefined when never heard of
 *   room.states("sale:");                 // [[key, value], …] of all keys with a prefix that are not null
 *   room.serverNow();                     // the server's clock in ms, from the last join
 *   room.close();
 *
 *   const outbox = new Draft(room, "chat.post");  // draft.js: a text that no limit loses
 */

const CLOSE_FOR_GOOD = new Set([1009]);
const BACKOFF_MIN_MS = 250;
const BACKOFF_MAX_MS = 15_000;
const STABLE_AFTER_MS = 5_000;
const UNANSWERED_MAX = 32; // all at once after a reconnect: the server must not find that too fast
const RESENDS_MAX = 5;
const CONNECT_TIMEOUT_MS = 10_000;
const ANSWER_TIMEOUT_MS = 15_000;
const FRAME_BYTES_MAX = 16 * 1024;

/** An expected no: `code` is stable, `retry_after_ms` null when trying again is pointless. */
export class RoomRefusal extends Error {
  constructor({ code, message, retry_after_ms = null }) {
    super(message);
    this.name = "RoomRefusal";
    this.code = code;
    this.retry_after_ms = retry_after_ms;
  }
}

/**
 * Whether to come back after a close, and how long to wait at least.
 * 4000–4099 and 1009 say stay away; 1012 and 1013 carry the delay in ms as their reason.
 */
export function afterClose(code, reason) {
  if ((code >= 4000 && code < 4100) || CLOSE_FOR_GOOD.has(code)) return { again: false, delay_ms: 0 };
  const asked = (code === 1012 || code === 1013) && /^\d{1,6}$/.test(reason) ? Number(reason) : 0;
  return { again: true, delay_ms: asked };
}

/** Full jitter: anywhere between nothing and a ceiling that doubles with each failure in a row. */
export function backoff(failures, random = Math.random) {
  return random() * Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** Math.min(failures, 10));
}

const refused = (refusal) => Promise.reject(new RoomRefusal(refusal));
// Without lone surrogates, such as an emoji that was cut in half: no JSON can carry them.
const wellFormed = (_, value) => (typeof value === "string" ? value.replace(/\p{Surrogate}/gu, "\ufffd") : value);

export class RoomClient {
  #show;
  #staff;
  #ticket;
  #url;
  #listeners = new Map();
  #socket = null;
  #wanted = false;
  #joined = false;
  #failures = 0;
  #timer = null;
  #stableTimer = null;
  #epoch = null;
  #offset = null;
  #states = new Map();
  #unanswered = new Map();
  #clockSkewMs = 0;
  #tries = 0;
  #ids = 0;
  #idPrefix = Array.from(crypto.getRandomValues(new Uint8Array(9)), (byte) => byte.toString(16).padStart(2, "0")).join("");

  /** `ticket`: an async function that fetches a socket ticket, for pages that have no cookie. */
  constructor({ show, staff = false, ticket = null, base = globalThis.location?.href }) {
    this.#show = show;
    this.#staff = staff;
    this.#ticket = ticket;
    const url = new URL(`/ws/shows/${encodeURIComponent(show)}${staff ? "/staff" : ""}`, base);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    this.#url = url;
  }

  get show() { return this.#show; }

  get staff() { return this.#staff; }

  get isOpen() { return this.#joined; }

  on(name, listener) {
    if (!this.#listeners.has(name)) this.#listeners.set(name, new Set());
    this.#listeners.get(name).add(listener);
    return () => this.#listeners.get(name).delete(listener);
  }

  open() {
    if (this.#wanted) return;
    this.#wanted = true;
    this.#failures = 0;
    globalThis.addEventListener?.("online", this.#hurry);
    this.#connect();
  }

  close() {
    this.#finish({ code: 1000, reason: "" });
  }

  state(key) {
    return this.#states.get(key)?.value;
  }

  states(prefix) {
    const found = [];
    for (const [key, { value }] of this.#states) if (value !== null && key.startsWith(prefix)) found.push([key, value]);
    return found;
  }

  serverNow() { return Date.now() + this.#clockSkewMs; }

  command(op, body = {}) {
    if (!this.#wanted) return refused({ code: "disconnected", message: "The room is closed." });
    if (this.#unanswered.size >= UNANSWERED_MAX) {
      return refused({ code: "too_fast", message: "Too much is still unanswered.", retry_after_ms: 1000 });
    }
    const id = `${this.#idPrefix}-${++this.#ids}`;
    const frame = JSON.stringify({ op, id, ...body }, wellFormed);
    if (new TextEncoder().encode(frame).length > FRAME_BYTES_MAX) {
      return refused({ code: "too_long", message: "This is far too long to send." }); // and would end the room for good
    }
    return new Promise((resolve, reject) => {
      this.#unanswered.set(id, { frame, resolve, reject, sends: 0, patience: null });
      if (this.#joined) this.#send(this.#unanswered.get(id));
    });
  }

  #emit(name, ...values) {
    for (const listener of this.#listeners.get(name) ?? []) {
      try {
        listener(...values);
      } catch (error) {
        globalThis.reportError?.(error); // one broken listener must not stop the room
      }
    }
  }

  #send(waiting) {
    const socket = this.#socket;
    waiting.sends += 1;
    socket.send(waiting.frame);
    clearTimeout(waiting.patience);
    waiting.patience = setTimeout(() => this.#giveUp(socket), ANSWER_TIMEOUT_MS);
  }

  // A close of ours would wait for the other end, which may be gone: the socket is left behind at once.
  #giveUp(socket) {
    if (socket !== this.#socket) return;
    this.#lost(4100, "");
    socket.close(4100);
  }

  async #connect() {
    this.#timer = null;
    const number = ++this.#tries; // a listener, or whoever waits for a ticket, may find that all is over
    this.#emit("status", { status: "connecting" });
    const url = new URL(this.#url);
    if (this.#ticket) {
      try {
        url.searchParams.set("ticket", await this.#ticket());
      } catch (error) {
        if (this.#wanted && number === this.#tries) this.#retry(error?.retry_after_ms ?? 0);
        return;
      }
    }
    if (!this.#wanted || number !== this.#tries) return;
    const socket = new WebSocket(url);
    this.#socket = socket;
    const patience = setTimeout(() => socket.close(), CONNECT_TIMEOUT_MS);
    socket.onopen = () => socket.send(JSON.stringify({ op: "join", epoch: this.#epoch, since: this.#offset }));
    socket.onmessage = ({ data }) => {
      if (socket !== this.#socket) return;
      const frame = JSON.parse(data);
      if ("joined" in frame) clearTimeout(patience);
      this.#receive(frame);
    };
    socket.onclose = ({ code, reason }) => {
      clearTimeout(patience);
      if (socket === this.#socket) this.#lost(code, reason);
    };
  }

  #lost(code, reason) {
    this.#socket = null;
    this.#joined = false;
    clearTimeout(this.#stableTimer);
    for (const waiting of this.#unanswered.values()) clearTimeout(waiting.patience);
    if (!this.#wanted) return;
    const { again, delay_ms } = afterClose(code, reason);
    if (again) this.#retry(delay_ms, code, reason);
    else this.#finish({ code, reason });
  }

  #retry(delay_ms, code, reason) {
    const wait_ms = delay_ms + backoff(this.#failures++);
    this.#timer = setTimeout(() => this.#connect(), wait_ms);
    this.#emit("status", { status: "waiting", retry_in_ms: Math.round(wait_ms), code, reason });
  }

  // The network is back. A socket from before may be dead without knowing it: to resume costs little.
  #hurry = () => {
    if (this.#joined) this.#giveUp(this.#socket);
    if (this.#timer === null) return;
    clearTimeout(this.#timer);
    this.#connect();
  };

  #finish({ code, reason }) {
    this.#wanted = false;
    this.#joined = false;
    globalThis.removeEventListener?.("online", this.#hurry);
    clearTimeout(this.#timer);
    clearTimeout(this.#stableTimer);
    this.#timer = null;
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(1000);
    for (const waiting of this.#unanswered.values()) {
      clearTimeout(waiting.patience);
      waiting.reject(new RoomRefusal({ code: "disconnected", message: "The room is closed." }));
    }
    this.#unanswered.clear();
    this.#emit("status", { status: "closed", code, reason });
  }

  #receive(frame) {
    if ("joined" in frame) this.#receiveJoined(frame.joined);
    else if ("re" in frame) this.#receiveReply(frame);
    else {
      for (const hint of frame.u ?? []) this.#emit("hint", hint);
      if (frame.m) this.#receiveEvents(frame.o, frame.m, true);
      if (frame.k) this.#receiveStates(frame.k);
      if (frame.r) this.#emit("reactions", frame.r);
    }
  }

  // Also comes in the middle of a connection, without `me`, when the room lost its history or we fell too far behind.
  #receiveJoined(joined) {
    const socket = this.#socket;
    this.#clockSkewMs = joined.server_now_ms - Date.now();
    this.#forgetStates(joined.k, joined.e === this.#epoch);
    if (!joined.recovered) {
      this.#epoch = joined.e;
      this.#offset = joined.first - 1;
      this.#emit("reset");
    }
    if (joined.me) this.#emit("me", joined.me);
    this.#receiveStates(joined.k);
    this.#receiveEvents(joined.first, joined.m, false);
    this.#offset = joined.o;
    if (this.#joined || socket !== this.#socket) return;
    this.#joined = true;
    this.#stableTimer = setTimeout(() => (this.#failures = 0), STABLE_AFTER_MS);
    this.#emit("status", { status: "open" });
    if (socket === this.#socket) this.#resend();
  }

  #resend() {
    for (const [id, waiting] of this.#unanswered) {
      if (waiting.sends < RESENDS_MAX) this.#send(waiting);
      else {
        this.#unanswered.delete(id);
        waiting.reject(new RoomRefusal({ code: "unanswered", message: "The server did not answer.", retry_after_ms: 1000 }));
      }
    }
  }

  #receiveReply(reply) {
    const waiting = this.#unanswered.get(reply.re);
    if (!waiting) return;
    this.#unanswered.delete(reply.re);
    clearTimeout(waiting.patience);
    if (reply.error) waiting.reject(new RoomRefusal(reply.error));
    else waiting.resolve(reply);
  }

  #receiveEvents(first, events, live) {
    if (live && first > this.#offset + 1) {
      this.#socket.close(4100); // a hole: what is between may never come, so resume
      return;
    }
    events.forEach((event, index) => {
      const offset = first + index;
      if (offset <= this.#offset) return;
      this.#offset = offset;
      this.#emit("event", event, { offset, live });
    });
  }

  #receiveStates(states) {
    for (const [key, [version, value]] of Object.entries(states)) {
      const known = this.#states.get(key);
      if (known && known.version >= version) continue;
      this.#states.set(key, { version, value });
      this.#emit("state", key, value);
    }
  }

  // A join names all keys that there are. Under the same epoch the versions of those that stay are still good.
  #forgetStates(next, same) {
    const gone = [...this.#states.keys()].filter((key) => !(key in next));
    const told = gone.filter((key) => this.#states.get(key).value !== null);
    for (const key of same ? gone : [...this.#states.keys()]) this.#states.delete(key);
    for (const key of told) this.#emit("state", key, null);
  }
}
