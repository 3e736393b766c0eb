// One show's room as a page draws it: the latest state by key in a Map, events in batches, the server's clock.
// Sits on RoomClient, which owns the socket, the resume and the versions; knows nothing of what the values mean.

import { syncServerClock } from "./clock.js";
import { RoomClient } from "./room-client.js";

const STATUS_WORDS = { connecting: "Connecting…", waiting: "Reconnecting…", closed: "Disconnected" };

/**
 * Opens the room of a show. `on` holds the listeners, all optional: `state(key, value)`, `events(events)`, `reset()`
 * before the events of a snapshot, `me(me)`, `hint(hint)`, `reactions(sums)`, `status({status, code})`.
 */
export class ShowRoom {
  #batch = [];

  constructor(showId, { staff = false, on = {} } = {}) {
    this.state = new Map();
    this.client = new RoomClient({ show: showId, staff });
    const tell = (name, ...values) => on[name]?.(...values);
    this.client.on("state", (key, value) => {
      if (value === null) this.state.delete(key);
      else this.state.set(key, value);
      tell("state", key, value);
    });
    this.client.on("event", (event) => {
      // One paint for all events of a frame.
      if (!this.#batch.length) queueMicrotask(() => tell("events", this.#batch.splice(0)));
      this.#batch.push(event);
    });
    this.client.on("reset", () => {
      this.#batch.length = 0;
      tell("reset");
    });
    this.client.on("me", (me) => {
      syncServerClock(this.client.serverNow());
      tell("me", me);
    });
    this.client.on("hint", (hint) => tell("hint", hint));
    this.client.on("reactions", (sums) => tell("reactions", sums));
    this.client.on("status", (status) => tell("status", status));
  }

  open() {
    this.client.open();
    return this;
  }

  /** Sends a command; resolves with the reply, rejects with RoomRefusal. */
  command(op, body) {
    return this.client.command(op, body);
  }
}

/** What a connection's status is called on the page; empty while all is well. */
export function statusText({ status, code }) {
  if (code === 4004) return "There is no such show";
  if (code === 4003) return "You may not be in this room";
  return STATUS_WORDS[status] ?? "";
}
