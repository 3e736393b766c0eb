// The shop's desk: connects its panels to one shop that the person hosts. Owns the layout and who may see it.

import { byId, el, fill } from "../shared/dom.js";
import { drawHeader } from "../shared/header.js";
import { openSession, signInUrl } from "../shared/session.js";
import { ConditionsPanel } from "./conditions.js";
import { OrdersPanel } from "./orders.js";
import { TroublesPanel } from "./troubles.js";

function closedDoor(title, text, link) {
  fill(byId("main"), el("div", { class: "page stack" }, el("h1", {}, title), el("p", { class: "soft" }, text), el("p", {}, link)));
}

const session = await openSession();
drawHeader(session);
const shopId = decodeURIComponent(location.pathname.split("/")[2]);
const shop = session.shops.find((one) => one.id === shopId && one.role === "host");
try {
  if (!session.person) {
    closedDoor("The shop's desk", "Sign in as its host.", el("a", { class: "button primary", href: signInUrl() }, "Sign in"));
  } else if (!shop) {
    closedDoor("This shop is not yours to run", "Its hosts alone see its orders.", el("a", { class: "button", href: "/studio" }, "To your shows"));
  } else {
    document.title = `${shop.name} · Hawker`;
    const conditions = new ConditionsPanel(shop);
    const orders = new OrdersPanel(shop);
    const troubles = new TroublesPanel(shop);
    fill(byId("main"), el("div", { class: "page shop-desk" }, el("h1", {}, shop.name), troubles.panel, orders.panel, conditions.panel));
    await Promise.all([orders.load(), conditions.load(), troubles.load()]);
  }
} catch (error) {
  if (error.name !== "Problem") throw error;
  closedDoor("Hawker does not answer", error.message, el("a", { class: "button", href: "/studio" }, "To your shows"));
}
