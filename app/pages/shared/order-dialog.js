// One order, opened by the shop: refund all or a part, put units back on the shelf, cancel, ship with a parcel's number.
// One that does not stand any more is there to be read. Owns the dialog and its calls; what is allowed the server decides.

import { Problem, get, newKey, post, put, segment } from "./api.js";
import { countryName } from "./countries.js";
import { confirmDialog, openDialog } from "./dialog.js";
import { busy, el, say, show } from "./dom.js";
import { money, parseMinor, plainAmount } from "./money.js";
import { stands, stateWord } from "./order-words.js";
import { toast } from "./toast.js";
import { totalRows } from "./totals.js";

const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "long", timeStyle: "short" });
const AT_BANK = new Set(["inquiry", "open", "lost"]);
const MADE_BEFORE = "A refund that was asked for before, and not answered, was made. This is the order as it is now; nothing more was given back.";

// By order: under which key its next refund is asked for. It stays the same, whatever the amount and through any
// refusal, until one is known to be made: of all that were asked for under one key at most one is.
const refundKeys = new Map();

// One is known to be made under this key: the next is another.
function endKey(order, key) {
  if (refundKeys.get(order) === key) refundKeys.delete(order);
}

// Who bought for how much, and where it is sent.
function headOf(order) {
  const to = order.ship_to;
  return [
    el("p", { class: "row between" }, el("span", {}, order.buyer), el("strong", { class: "numbers" }, money(order.total_minor, order.currency))),
    order.charges ? totalRows(order.charges, order.currency, order.charges.shipping) : null,
    to ? el("address", { class: "soft" }, [to.name, to.street, to.extra, [to.postal_code, to.city].filter(Boolean).join(" "), countryName(to.country)]
      .filter(Boolean).map((line) => el("div", {}, line))) : null,
    order.refunded_minor ? el("p", { class: "soft" }, `${money(order.refunded_minor, order.currency)} given back.`) : null,
    AT_BANK.has(order.dispute) ? el("p", { class: "error" }, "The buyer's bank has, or asks about, this money. Answer it at your provider's.") : null,
  ];
}

// Of an order that was cancelled or given back whole.
function openClosed(order) {
  const { carrier, number } = order.shipment ?? {};
  const sent = [carrier, number].filter(Boolean).join(" · ");
  const line = (one) => el("li", { class: "row between" },
    el("span", { class: "grow" }, `${one.quantity} × ${one.title}`, one.returned ? el("span", { class: "faint" }, ` · ${one.returned} back on the shelf`) : null),
    el("span", { class: "numbers" }, money(one.unit_price_minor * one.quantity, order.currency)));
  openDialog({ title: `Order ${order.id}`, className: "small", body: el("div", { class: "stack", id: "closed-order" },
    el("p", { class: "row between" }, el("time", { class: "faint", datetime: order.created_at }, moment.format(new Date(order.created_at))), el("span", { class: "badge" }, stateWord(order))),
    headOf(order), el("ul", { class: "stack" }, order.lines.map(line)), order.shipped ? el("p", { class: "soft" }, sent ? `Shipped: ${sent}` : "It was shipped.") : null) });
}

/** Opens the dialog of `order`; `changed(order)` gets the order as it is after each act. `warning` stands in it at first. */
export function openOrder(order, shop, changed, warning = "") {
  if (!stands(order)) {
    openClosed(order);
    if (warning) toast(warning, "bad");
    return;
  }
  const path = `/api/shops/${segment(shop)}/orders/${segment(order.id)}`;
  const rest = order.total_minor - (order.refunded_minor ?? 0);
  const error = el("p", { class: "error", role: "alert", hidden: !warning }, warning);
  const amount = el("input", { class: "input", id: "refund-amount", inputmode: "decimal", value: plainAmount(rest, order.currency) });
  const back = order.lines.map((line) => el("input", { class: "input", type: "number", min: 0, max: line.quantity - (line.returned ?? 0), value: 0, step: 1, data: { back: "" } }));
  const refund = el("button", { type: "button", class: "button", id: "refund" }, "Refund");
  const ship = el("button", { type: "button", class: "button", id: "ship" }, order.shipped ? "Save the parcel" : "Mark as shipped");
  const parcel = {
    carrier: el("input", { class: "input", id: "carrier", maxlength: 60, value: order.shipment?.carrier ?? "" }),
    number: el("input", { class: "input", id: "tracking-number", maxlength: 80, value: order.shipment?.number ?? "" }),
    url: el("input", { class: "input", id: "tracking-url", type: "url", maxlength: 500, value: order.shipment?.url ?? "" }),
  };
  const labelled = (label, input) => el("label", { class: "field" }, el("span", {}, label), input);
  const cancel = el("button", { type: "button", class: "button danger", id: "cancel-order" }, "Cancel order");
  const form = el("form", { class: "stack" },
    headOf(order),
    el("label", { class: "field" }, el("span", {}, `Give back (${order.currency})`), amount),
    order.lines.map((line, n) => el("label", { class: "field" }, el("span", {}, `Back on the shelf: ${line.title}, of ${line.quantity}`), back[n])),
    el("div", { class: "row end" }, refund),
    el("details", { id: "parcel" }, el("summary", {}, "Parcel"), el("div", { class: "stack" }, labelled("Carrier", parcel.carrier),
      labelled("Tracking number", parcel.number), labelled("Tracking address (https)", parcel.url))),
    error, el("div", { class: "row end" }, order.shipped || AT_BANK.has(order.dispute) ? null : cancel, ship));
  const { dialog } = openDialog({ title: `Order ${order.id}`, body: form, className: "small" });

  const act = (button, work) => busy(button, async () => {
    show(error, false);
    try {
      const done = await work();
      if (done) toast(done, "good");
      dialog.close();
    } catch (problem) {
      say(error, problem.message);
      show(error, true);
      error.scrollIntoView({ block: "nearest" });
      if (!problem.code) throw problem;
    }
  });

  // Another refund than this one was made under the key. Nothing is sent before what is left of the order was shown.
  const showMade = async (key) => {
    const now = await get(path);
    endKey(order.id, key);
    changed(now);
    if (!dialog.open) return toast(MADE_BEFORE, "bad");
    dialog.close();
    return openOrder(now, shop, changed, MADE_BEFORE);
  };

  const giveBack = async (asked) => {
    const key = refundKeys.get(order.id) ?? newKey();
    refundKeys.set(order.id, key);
    let made;
    try {
      made = await post(`${path}/refunds`, asked, key);
    } catch (problem) {
      if (problem.code !== "idempotency_mismatch") throw problem;
      await showMade(key);
      return null;
    }
    endKey(order.id, key);
    if (made.state === "refused") throw new Problem({ code: "refund_refused", detail: "The provider has refused this refund since it was asked for." });
    await get(path).then(changed, () => {}); // read, not reckoned: it may have been made long ago
    return `${money(asked.amount_minor, order.currency)} is on its way back.`;
  };

  form.addEventListener("submit", (event) => event.preventDefault()); // a line break in a field gives no money back
  refund.addEventListener("click", async () => {
    const minor = parseMinor(amount.value, order.currency);
    if (minor === null) {
      say(error, `Write an amount in ${order.currency}.`);
      show(error, true);
      return;
    }
    const sum = money(minor, order.currency);
    if (!(await confirmDialog({ title: `Give back ${sum}?`, text: "Money that went back cannot be fetched again.", yes: `Give back ${sum}`, no: "Keep it" }))) return;
    const units = back.map((input, n) => ({ line: n + 1, quantity: Number(input.value) })).filter((one) => one.quantity > 0);
    act(refund, () => giveBack({ amount_minor: minor, currency: order.currency, units }));
  });
  ship.addEventListener("click", () => act(ship, async () => {
    const said = Object.fromEntries(Object.entries(parcel).map(([name, input]) => [name, input.value.trim()]));
    changed(await (Object.values(said).some(Boolean) ? put(`${path}/shipment`, said) : post(`${path}/ship`)));
    return "Marked as shipped.";
  }));
  cancel.addEventListener("click", async () => {
    const sure = await confirmDialog({ title: "Cancel this order?", text: "The money goes back to the buyer, the units to the shelf.", yes: "Cancel the order", no: "Keep it", danger: true });
    if (!sure) return;
    act(cancel, async () => {
      changed(await post(`${path}/cancel`));
      return "The order is cancelled.";
    });
  });
}
