// A slow network as a page meets it: what it asks is heard by the server up to ASKED_LATEST_MS later, and the answer by the
// page up to LATEST_MS after that, each in any order among the others; a socket's frames keep theirs. So a reply may be
// older than what the page has heard since.
(() => {
  const ASKED_LATEST_MS = 300, LATEST_MS = 1500, FRAME_LATEST_MS = 400;
  let chance = SEED;
  const random = () => {
    chance = (chance + 0x6d2b79f5) | 0;
    let mixed = Math.imul(chance ^ (chance >>> 15), 1 | chance);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  for (const letter of location.pathname) chance = Math.imul(chance ^ letter.charCodeAt(0), 16777619);
  // Half of all come at once: what is late must be overtaken by something.
  const late = (most) => new Promise((heard) => setTimeout(heard, random() < 0.5 ? 0 : random() * most));

  const ask = window.fetch;
  window.fetch = async (...asked) => {
    if (!new URL(asked[0]?.url ?? asked[0], location.href).pathname.startsWith("/api/")) return ask(...asked);
    await late(ASKED_LATEST_MS);
    const said = ask(...asked);
    await Promise.allSettled([said]); // the server has read, and has written
    await late(LATEST_MS);
    return said;
  };

  for (const name of ["onmessage", "onclose"]) {
    const { get, set } = Object.getOwnPropertyDescriptor(WebSocket.prototype, name);
    Object.defineProperty(WebSocket.prototype, name, {
      get,
      set(listener) {
        set.call(this, (event) => {
          const before = this.before ?? Promise.resolve();
          this.before = Promise.all([before, late(FRAME_LATEST_MS)]).then(() => listener.call(this, event)).catch(reportError);
        });
      },
    });
  }
})();
