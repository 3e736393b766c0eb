// What is read whole from the server, changed by acts that are answered with the whole, and kept by events in between.
// Replies come late and in any order: one may have been read before what the page has heard or done since, and then
// knows less. So reads and acts take turns, and what is heard meanwhile is heard once more on top of the reply.
// Owns that order; knows nothing of what is read.

export class Reading {
  #read;
  #load;
  #hear;
  #heard = null;
  #turn = Promise.resolve();
  #next = null;

  /** `read()` fetches the whole, `load(whole)` draws it in place of what was there, `hear(events)` changes what is drawn. */
  constructor({ read, load, hear = () => {} }) {
    this.#read = read;
    this.#load = load;
    this.#hear = hear;
  }

  /** Events as they come. Those of a time when a reply is awaited are heard once more on top of it. */
  hear(events) {
    this.#heard?.push(...events);
    this.#hear(events);
  }

  /** Reads it anew, after what is under way: that may have been read too early. Who asks meanwhile shares the one read. */
  refresh() {
    this.#next ??= this.change(() => {
      this.#next = null;
      return this.#read();
    });
    return this.#next;
  }

  /** `act()` changes it at the server, after what is under way, and resolves with the whole as it is then. */
  change(act) {
    const done = this.#turn.then(() => this.#take(act));
    this.#turn = done.catch(() => {}); // whoever asked is told
    return done;
  }

  async #take(act) {
    await new Promise((resolve) => setTimeout(resolve)); // a room that starts over says its history in this same turn
    this.#heard = [];
    try {
      const whole = await act();
      this.#load(whole);
      this.#hear(this.#heard);
      return whole;
    } finally {
      this.#heard = null;
    }
  }
}
