// The server's time as this page knows it, and the one ticker that redraws countdowns.
// Never trusts the device's own clock: the offset hangs on performance.now(), which nobody sets.

const TICK_MS = 200;
let anchorServerMs = Date.now();
let anchorLocalMs = performance.now();
const watchers = new Set();

/** Tells the page what the server's clock said just now, in Unix milliseconds. */
export function syncServerClock(serverNowMs) {
  if (typeof serverNowMs !== "number") return;
  anchorServerMs = serverNowMs;
  anchorLocalMs = performance.now();
}

/** The server's Unix time in milliseconds. */
export function serverNow() {
  return anchorServerMs + (performance.now() - anchorLocalMs);
}

/** Calls `redraw(serverNowMs)` now and at every tick, until the returned function is called. */
export function everyTick(redraw) {
  watchers.add(redraw);
  redraw(serverNow());
  return () => watchers.delete(redraw);
}

setInterval(() => {
  const now = serverNow();
  for (const redraw of watchers) redraw(now);
}, TICK_MS);

/** `95000` → `1:35`; an hour or more → `1:02:05`. Rounds up, so that 0:00 means over. */
export function countdown(ms) {
  const total = Math.max(0, Math.ceil(ms / 1000));
  const hours = Math.floor(total / 3600);
  const minutes = Math.floor(total / 60) % 60;
  const seconds = String(total % 60).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${seconds}` : `${minutes}:${seconds}`;
}

/** `95000` → `1 min 35 s`, for sentences. */
export function duration(ms) {
  const total = Math.max(0, Math.ceil(ms / 1000));
  if (total < 60) return `${total} s`;
  if (total < 3600) return total % 60 ? `${Math.floor(total / 60)} min ${total % 60} s` : `${total / 60} min`;
  const minutes = Math.round((total % 3600) / 60);
  return minutes ? `${Math.floor(total / 3600)} h ${minutes} min` : `${Math.floor(total / 3600)} h`;
}

let daytime = null; // made once: a formatter costs more than a hundred times that it is used

/** The time of day of a Unix millisecond, as this reader writes it. */
export function timeOfDay(ms) {
  daytime ??= new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit" });
  return daytime.format(ms);
}

/** When a sale starts, for a sentence: `in 0:45` while it counts down, before that `at 20:30`. */
export function startWords(sale, now) {
  const left = sale.starts_at_ms - now;
  return left <= sale.countdown_s * 1000 || left < 60_000 ? `in ${countdown(left)}` : `at ${timeOfDay(sale.starts_at_ms)}`;
}
