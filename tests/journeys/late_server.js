// A server for panels of the pages that are tried alone. `answers` has what it says, by method and path; it reads, or
// writes, when it is asked, and is heard a little later: soon, unless `late` has the method and path.
(() => {
  const SOON_MS = 5, LATE_MS = 80;
  let awaited = 0;
  const turn = (ms) => new Promise((over) => setTimeout(over, ms));
  const server = { answers: {}, late: new Set(), sockets: [] };
  window.server = server;

  window.fetch = async (path, { method, body }) => {
    const asked = `${method} ${path}`;
    const said = JSON.stringify(server.answers[asked]?.(body && JSON.parse(body)) ?? {});
    awaited += 1;
    await turn(server.late.has(asked) ? LATE_MS : SOON_MS);
    setTimeout(() => (awaited -= 1));
    return new Response(said, { headers: { "Content-Type": "application/json" } });
  };

  // When nothing is awaited any more, and nothing follows from what was.
  server.settled = async () => {
    for (let quiet = 0; quiet < 8; quiet = awaited ? 0 : quiet + 1) await turn(SOON_MS);
  };

  // The room's sockets, in the order in which they were opened.
  window.WebSocket = class {
    constructor() { server.sockets.push(this); }
    send() {}
    close() {}
  };
  server.say = (n, frame) => server.sockets[n].onmessage({ data: JSON.stringify(frame) });

  // An empty page with a place for a panel.
  server.place = () => {
    const place = document.createElement("main");
    document.body.replaceChildren(place);
    return place;
  };
})();
