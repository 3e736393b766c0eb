// What is read whole from the server and then kept by events. A reply may have been read before an event and come after
// it: then it knows less than the page does. Owns that order; knows nothing of what is read.

export class Reading {
  #read;
  #load;
  #hear;
  #heard = null;
  #again = false;
  #running = null;

  /** `read()` fetches the whole, `load(whole)` draws it in place of what was there, `hear(events)` changes what is drawn. */
  constructor({ read, load, hear }) {
    this.#read = read;
    this.#load = load;
    this.#hear = hear;
  }

  /** Events as they come. Those of a time when a reply is awaited are heard once more on top of it. */
  hear(events) {
    this.#heard?.push(...events);
    this.#hear(events);
  }

  /** Reads it anew. Asked for while a read is under way, it reads once more: the other may have come too early. */
  refresh() {
    this.#again = true;
    this.#running ??= this.#run().finally(() => {
      this.#running = null;
      this.#heard = null;
    });
    return this.#running;
  }

  async #run() {
    while (this.#again) {
      await new Promise((resolve) => setTimeout(resolve)); // a room that starts over says its history in this same turn
      this.#again = false;
      this.#heard = [];
      const whole = await this.#read();
      if (this.#again) continue;
      this.#load(whole);
      this.#hear(this.#heard);
    }
  }
}
