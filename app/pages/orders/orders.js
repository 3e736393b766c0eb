// A buyer's orders: all of them by pages, or one at its own address, which stays the same for as long as it is known.
// Owns both drawings; whose orders they are the server decides.

import { get, post, segment } from "../shared/api.js";
import { countryName } from "../shared/countries.js";
import { confirmDialog } from "../shared/dialog.js";
import { busy, byId, el, fill, show } from "../shared/dom.js";
import { drawHeader } from "../shared/header.js";
import { icon } from "../shared/icons.js";
import { money } from "../shared/money.js";
import { isOwed, stands, stateWord } from "../shared/order-words.js";
import { openSession, signInUrl } from "../shared/session.js";
import { toast, toastProblem } from "../shared/toast.js";
import { totalRows } from "../shared/totals.js";
import { cardsPanel } from "./cards.js";

const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "long", timeStyle: "short" });
const DISPUTES = {
  inquiry: "Your bank has asked the shop about this payment.",
  open: "You disputed this payment at your bank. It has the money until it decides.",
  won: "Your bank has decided about your dispute: the payment stands.",
  lost: "Your bank has decided about your dispute: the money went back to you.",
  closed: "Your bank's question about this payment is answered.",
};
const CANCEL = { title: "Cancel this order?", text: "What was paid goes back to you.", yes: "Cancel the order", no: "Keep it", danger: true };

function row(order) {
  return el("li", {}, el("a", { class: "panel order-link", href: `/orders/${segment(order.id)}`, data: { order: order.id } },
    el("div", { class: "grow" }, el("h3", {}, order.lines.map((line) => `${line.quantity} × ${line.title}`).join(", ")),
      el("p", { class: "faint" }, moment.format(new Date(order.created_at)))),
    el("span", { class: "badge" }, stateWord(order)), el("strong", { class: "numbers" }, money(order.total_minor, order.currency))));
}

async function drawHistory() {
  const list = el("ol", { class: "stack", id: "history" });
  const more = el("button", { type: "button", class: "button", id: "older", hidden: true }, "Older orders");
  let cursor = null;
  const page = async () => {
    const found = await get(`/api/orders${cursor ? `?before=${segment(cursor)}` : ""}`);
    list.append(...found.orders.map(row));
    cursor = found.before;
    show(more, Boolean(cursor));
  };
  more.addEventListener("click", () => busy(more, () => page().catch(toastProblem)));
  const [cards] = await Promise.all([cardsPanel(), page()]);
  if (!list.children.length) fill(list, el("li", { class: "empty panel" }, "You have not bought anything yet."));
  fill(byId("main"), el("div", { class: "page" }, el("h1", {}, "Your orders"), list, el("div", { class: "row end" }, more), cards));
}

function parcelPanel(order) {
  if (!order.shipped) return null;
  const { carrier, number, url } = order.shipment ?? {};
  return el("section", { class: "panel stack", id: "shipment", "aria-label": "Parcel" }, el("h2", {}, "On its way"),
    el("p", {}, [carrier, number].filter(Boolean).join(" · ") || "The shop has sent it."),
    // The server lets nothing but https in; what else would come here is not made a link.
    url && URL.canParse(url) && new URL(url).protocol === "https:" ? el("p", {}, el("a", { href: url, rel: "noopener noreferrer", target: "_blank" }, "Follow the parcel")) : null);
}

function addressPanel(order) {
  const to = order.ship_to;
  if (!to || !stands(order) || isOwed(order)) return null;
  const lines = [to.name, to.street, to.extra, [to.postal_code, to.city].filter(Boolean).join(" "), countryName(to.country)];
  return el("section", { class: "panel stack", "aria-label": "Address" }, el("h2", {}, "It goes to"),
    el("address", {}, lines.filter(Boolean).map((line) => el("div", {}, line))));
}

function policyPanel(order) {
  const version = order.charges?.policy_version;
  if (!version) return null;
  const text = el("p", { class: "policy-text" });
  const details = el("details", {}, el("summary", {}, "The return policy that you agreed to"), text);
  details.addEventListener("toggle", async () => {
    if (!details.open || text.textContent) return;
    try {
      text.textContent = (await get(`/api/shops/${segment(order.shop)}/return-policies/${version}`)).text;
    } catch (error) {
      toastProblem(error);
    }
  });
  return el("section", { class: "panel", id: "policy" }, details);
}

function cancelButton(order) {
  if (!stands(order) || order.dispute || order.shipped) return null;
  const cancel = el("button", { type: "button", class: "button small danger", id: "cancel-order" }, isOwed(order) ? "Ask for my money again" : "Cancel this order");
  cancel.addEventListener("click", async () => {
    if (!isOwed(order) && !(await confirmDialog(CANCEL))) return;
    await busy(cancel, async () => {
      try {
        drawOrder({ ...order, ...(await post(`/api/orders/${segment(order.id)}/cancel`)) });
        toast(isOwed(order) ? "Your money is asked for again." : "The order is cancelled.", "good");
      } catch (error) {
        toastProblem(error);
      }
    });
  });
  return cancel;
}

function drawOrder(order) {
  const standing = stands(order) && !isOwed(order);
  document.title = `Order ${order.id} · Hawker`;
  fill(byId("main"), el("div", { class: "page" },
    el("div", { class: "thanks" }, standing ? icon("check") : null, el("div", {}, el("h1", {}, isOwed(order) ? "Your money is still to come" : standing ? "It is yours" : `This order is ${order.state}`),
      el("p", { class: "soft" }, "Order ", el("code", { id: "order-number" }, order.id), ` · ${order.shop_name} · ${moment.format(new Date(order.created_at))}`))),
    el("section", { class: "panel stack", "aria-label": "What was bought" },
      el("div", { class: "row between" }, el("h2", {}, "What you bought"), el("span", { class: "badge", id: "order-state" }, stateWord(order))),
      el("ul", { class: "order-lines" }, order.lines.map((line) => el("li", { class: "row between" },
        el("span", {}, `${line.quantity} × ${line.title}`), el("span", { class: "numbers" }, money(line.unit_price_minor * line.quantity, order.currency))))),
      order.charges ? totalRows(order.charges, order.currency, order.charges.shipping)
        : el("p", { class: "row between totals" }, el("span", {}, "Total"), el("strong", { class: "numbers" }, money(order.total_minor, order.currency))),
      order.refunded_minor ? el("p", { class: "soft" }, `${order.refunded_minor === order.total_minor ? "All" : money(order.refunded_minor, order.currency)} of it went back to you, or is on its way.`) : null,
      isOwed(order) ? el("p", { class: "soft", id: "owed" }, "All of it went back to the shop; the money has still to come back to you. The shop knows.") : null,
      order.dispute ? el("p", { class: "soft", id: "dispute" }, DISPUTES[order.dispute]) : null),
    parcelPanel(order), addressPanel(order), policyPanel(order),
    el("div", { class: "row between" }, el("a", { class: "button", href: "/orders" }, "All your orders"), cancelButton(order))));
}

function closedDoor(title, text, link) {
  fill(byId("main"), el("div", { class: "page" }, el("h1", {}, title), el("p", { class: "soft" }, text), el("p", {}, link)));
}

const session = await openSession();
drawHeader(session);
const orderId = location.pathname.split("/")[2];
try {
  if (!session.person) closedDoor("Your orders", "Sign in to see them.", el("a", { class: "button primary", href: signInUrl() }, "Sign in"));
  else if (orderId) drawOrder(await get(`/api/orders/${segment(decodeURIComponent(orderId))}`));
  else await drawHistory();
} catch (error) {
  if (error.name !== "Problem") throw error;
  closedDoor(error.status === 404 ? "You have no such order" : "Hawker does not answer", error.message, el("a", { class: "button", href: "/orders" }, "All your orders"));
}
