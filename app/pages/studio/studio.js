// The studio's door: the list of one's shows, or the desk of one show. Owns which of them is drawn, nothing else.

import { byId, el, fill } from "../shared/dom.js";
import { drawHeader } from "../shared/header.js";
import { openSession, signInUrl } from "../shared/session.js";
import { openDesk } from "./desk.js";
import { drawShowList } from "./show-list.js";

function closedDoor(title, text, link) {
  fill(byId("main"), el("div", { class: "page stack" }, el("h1", {}, title), el("p", { class: "soft" }, text), link ? el("p", {}, link) : null));
}

const session = await openSession();
drawHeader(session);
const showId = location.pathname.split("/")[2];
try {
  if (!session.person) {
    closedDoor("The studio", "Sign in as a host to run a show.", el("a", { class: "button primary", href: signInUrl() }, "Sign in"));
  } else if (showId) {
    await openDesk(byId("main"), decodeURIComponent(showId), session);
  } else {
    await drawShowList(byId("main"), session);
  }
} catch (error) {
  if (error.name !== "Problem") throw error;
  const missing = error.status === 404 || error.status === 403;
  closedDoor(missing ? "This show is not yours to run" : "Hawker does not answer", error.message,
    el("a", { class: "button", href: "/studio" }, "To your shows"));
}
