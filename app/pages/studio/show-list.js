// The studio's first page: the shows of the person's shops, and the form that makes a new one.

import { get, post, segment } from "../shared/api.js";
import { busy, el, fill } from "../shared/dom.js";
import { icon } from "../shared/icons.js";
import { toastProblem } from "../shared/toast.js";
import { Webhooks } from "./webhooks.js";

const STATE_ORDER = ["live", "paused", "rehearsal", "scheduled", "ended"];

/** The badge of a show's state. */
export function stateBadge(state) {
  return el("span", { class: state === "live" ? "badge live" : "badge", data: { state } }, state);
}

function row(one) {
  const when = one.scheduled_at ? new Date(one.scheduled_at).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }) : "";
  return el("li", {}, el("a", { class: "show-row panel", href: `/studio/${segment(one.id)}` },
    stateBadge(one.state), el("div", { class: "grow" }, el("h3", {}, one.title), el("p", { class: "faint" }, one.shop.name)),
    el("span", { class: "soft" }, when)));
}

function createForm(shops) {
  const title = el("input", { class: "input", name: "title", required: true, maxlength: 120, placeholder: "Sunday table: mugs and linen" });
  const when = el("input", { class: "input", name: "when", type: "datetime-local" });
  const shop = el("select", { class: "input", name: "shop" }, shops.map((one) => el("option", { value: one.id }, one.name)));
  const button = el("button", { class: "button primary", id: "create-show" }, icon("plus"), "Create show");
  const form = el("form", { class: "panel create-show" }, el("h2", {}, "New show"),
    el("label", { class: "field" }, el("span", {}, "Title"), title),
    el("label", { class: "field" }, el("span", {}, "When (may stay empty)"), when),
    shops.length > 1 ? el("label", { class: "field" }, el("span", {}, "Shop"), shop) : null, button);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    busy(button, async () => {
      const body = { shop: shop.value || shops[0].id, title: title.value.trim() };
      if (when.value) body.scheduled_at = new Date(when.value).toISOString();
      try {
        const made = await post("/api/shows", body);
        location.assign(`/studio/${segment(made.id)}`);
      } catch (error) {
        toastProblem(error);
      }
    });
  });
  return form;
}

/** Draws the list into `host`. */
export async function drawShowList(host, session) {
  const shops = session.shops.filter((shop) => shop.role === "host");
  if (!shops.length) {
    fill(host, el("div", { class: "page stack" }, el("h1", {}, "The studio"),
      el("p", { class: "soft" }, "You host no shop yet. Whoever runs this Hawker gives you one with ", el("code", {}, "python -m app create-shop"), ".")));
    return;
  }
  const { shows } = await get("/api/shows");
  const own = new Set(shops.map((shop) => shop.id));
  const mine = shows.filter((one) => own.has(one.shop.id))
    .sort((a, b) => STATE_ORDER.indexOf(a.state) - STATE_ORDER.indexOf(b.state));
  const desks = shops.map((shop) => el("a", { class: "panel shop-link row", href: `/shop/${segment(shop.id)}` },
    el("span", { class: "grow" }, el("h3", {}, shop.name), el("span", { class: "faint" }, "Orders, shipping, tax and returns")), el("span", { class: "button small" }, "Open")));
  const webhooks = shops.map((shop) => new Webhooks(shop));
  fill(host, el("div", { class: "page show-list" },
    el("section", {}, el("h1", {}, "Your shows"),
      el("ul", { class: "stack", id: "shows" }, mine.length ? mine.map(row) : el("li", { class: "empty panel" }, "No show yet. Make the first one."))),
    el("div", { class: "stack side-panels" }, createForm(shops), desks, webhooks.map((one) => one.panel))));
  await Promise.all(webhooks.map((one) => one.load()));
}
