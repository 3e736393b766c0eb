// One show's room as a page sees it: the latest state by key, events, hints and the connection's standing.
// Sits on RoomClient, which owns the socket and the resume; knows nothing of what the values mean.

import { syncServerClock } from "./clock.js";
import { RoomClient } from "./room-client.js";

/**
 * `on` holds the listeners, all optional: `state(key, value)`, `events(events)`, `reset()` before a snapshot's events,
 * `me(me)`, `hint(hint)`, `status(word, retry)` with word connecting, open, reconnecting or closed.
 */
export class ShowRoom {
  constructor(showId, { staff = false, on = {} } = {}) {
    this.state = new Map();
    this.on = on;
    this.client = new RoomClient({ show: showId, staff });
  }
}
