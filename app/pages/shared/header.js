// The bar at the top of every page: the way home, to the studio and to moderation, and who is signed in.

import { el, fill } from "./dom.js";
import { onOtherPerson, secureEnough, signInUrl, signOut } from "./session.js";
import { toastProblem } from "./toast.js";

function links(session, here) {
  const found = [];
  if (session.person) found.push(["/orders", "Orders"]);
  if (session.shops.some((shop) => shop.role === "host")) found.push(["/studio", "Studio"]);
  const moderated = session.moderates[0];
  if (moderated) found.push([`/moderate/${encodeURIComponent(moderated.show)}`, "Moderate"]);
  return found.map(([href, text]) =>
    el("a", { href, class: "nav-link", "aria-current": here.startsWith(href) ? "page" : null }, text));
}

function person(session) {
  if (!session.person) {
    return el("a", { href: signInUrl(), class: "button small", id: "sign-in-link" }, "Sign in");
  }
  const leave = el("button", { type: "button", class: "button small ghost", id: "sign-out" }, "Sign out");
  leave.addEventListener("click", () => signOut().catch(toastProblem));
  return [el("span", { class: "who", id: "who" }, session.person.name), leave];
}

function drawOther(bar, other) {
  document.getElementById("other-person")?.remove();
  bar.after(el("p", { class: "notice warn", id: "other-person", role: "alert" },
    other ? `In another window you are signed in as ${other.name} now. ` : "You signed out in another window. ",
    el("button", { type: "button", class: "button small", onclick: () => location.reload() }, "Reload this page")));
}

/** Draws the bar into `#header`. */
export function drawHeader(session) {
  const bar = document.getElementById("header");
  fill(bar,
    el("a", { href: "/", class: "brand", "aria-label": "Hawker, home" },
      el("span", { class: "brand-mark", "aria-hidden": "true" }), el("span", { class: "brand-word" }, "Hawker")),
    el("nav", { class: "nav", "aria-label": "Hawker" }, links(session, location.pathname)),
    el("div", { class: "session" }, person(session)));
  onOtherPerson((other) => drawOther(bar, other));
  if (!secureEnough() && !document.getElementById("insecure")) {
    bar.after(el("p", { class: "notice warn", id: "insecure", role: "note" },
      "This address is plain http. Browsers allow signing in and the camera only on https or on this machine itself: " +
      "run ", el("code", {}, "make run-lan"), " and open the https address it prints. You can watch all the same."));
  }
}
