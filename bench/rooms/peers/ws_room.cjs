// A room on node's `ws`: every message at once to all, or (second argument "joined") all of a 20 ms tick in one frame.
const { WebSocketServer, WebSocket } = require("ws");

const joined = process.argv[3] === "joined";
const TICK_MS = 20;
const FULL = 16;
const server = new WebSocketServer({ host: "127.0.0.1", port: Number(process.argv[2]), perMessageDeflate: false });
const viewers = new Set();
let waiting = [];
let timer = null;
let hurried = false;
let tickOver = 0;

function flush() {
  timer = null;
  hurried = false;
  const began = performance.now();
  const text = Buffer.from(`[${waiting.join(",")}]`);
  waiting = [];
  for (const viewer of viewers) if (viewer.readyState === WebSocket.OPEN) viewer.send(text, { binary: false });
  tickOver = began + Math.max(TICK_MS, 2 * (performance.now() - began));
}

server.on("connection", (socket, request) => {
  if (request.url !== "/publish") {
    viewers.add(socket);
    socket.on("close", () => viewers.delete(socket));
    return;
  }
  socket.on("message", (data) => {
    if (!joined) {
      for (const viewer of viewers) if (viewer.readyState === WebSocket.OPEN) viewer.send(data, { binary: false });
      return;
    }
    waiting.push(data);
    const full = waiting.length >= FULL;
    if (hurried || (timer && !full)) return;
    clearTimeout(timer);
    hurried = full;
    if (full) setImmediate(flush);
    else timer = setTimeout(flush, Math.max(0, tickOver - performance.now()));
  });
});
