// The home page: shows that are live, shows that are coming, and in a demo the three ready sign-ins.

import { get, segment } from "../shared/api.js";
import { byId, el, fill, show } from "../shared/dom.js";
import { demoButtons } from "../shared/demo.js";
import { drawHeader } from "../shared/header.js";
import { icon } from "../shared/icons.js";
import { Reading } from "../shared/reading.js";
import { openSession } from "../shared/session.js";

const REFRESH_MS = 15_000;
const ON_AIR = new Set(["live", "paused"]);

function when(show) {
  if (!show.scheduled_at) return "Time to be announced";
  return new Date(show.scheduled_at).toLocaleString([], { weekday: "long", day: "numeric", month: "long", hour: "2-digit", minute: "2-digit" });
}

function liveCard(one) {
  const paused = one.state === "paused";
  return el("li", {}, el("a", { class: "show-card", href: `/watch/${segment(one.id)}`, data: { show: one.id } },
    el("div", { class: "show-art", "aria-hidden": "true" }, icon("camera")),
    el("div", { class: "show-words" },
      el("div", { class: "row" }, paused ? el("span", { class: "badge" }, "Paused") : el("span", { class: "badge live" }, "Live"),
        el("span", { class: "badge numbers" }, icon("eye"), `${one.viewers}`, el("span", { class: "visually-hidden" }, "watching"))),
      el("h3", {}, one.title), el("p", { class: "soft" }, one.shop.name)),
    el("span", { class: "button primary" }, "Watch")));
}

function comingRow(one) {
  return el("li", {}, el("a", { class: "coming-row panel", href: `/watch/${segment(one.id)}` },
    el("div", { class: "grow" }, el("h3", {}, one.title), el("p", { class: "faint" }, one.shop.name)),
    el("span", { class: "soft" }, when(one))));
}

function drawShows({ shows }) {
  const live = shows.filter((one) => ON_AIR.has(one.state));
  const coming = shows.filter((one) => one.state === "scheduled" || one.state === "rehearsal");
  fill(byId("live"), live.length ? live.map(liveCard) : el("li", { class: "empty panel" }, "Nobody is live at the moment. Shows appear here as they start."));
  fill(byId("coming"), coming.length ? coming.map(comingRow) : el("li", { class: "empty panel" }, "Nothing is announced."));
}

function drawDemo(session) {
  show(byId("demo"), session.demo);
  if (session.demo) {
    fill(byId("demo"), el("h2", { id: "demo-title" }, "This is a demo"),
      el("p", { class: "soft" }, "Step in as one of three people. Open several windows to see them meet: a private window keeps its own sign-in."),
      demoButtons());
  }
}

try {
  const session = await openSession();
  drawHeader(session);
  drawDemo(session);
  const reading = new Reading({ read: () => get("/api/shows"), load: drawShows });
  await reading.refresh();
  setInterval(() => {
    // A lost connection shows nothing new; the next turn tries again.
    if (document.visibilityState === "visible") reading.refresh().catch((error) => { if (error.name !== "Problem") throw error; });
  }, REFRESH_MS);
} catch (error) {
  if (error.name !== "Problem") throw error;
  fill(byId("live"), el("li", { class: "error panel empty" }, error.message));
}
