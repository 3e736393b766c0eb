// The form that starts a flash sale on one variant: price or percentage, units, limit, duration, countdown.

import { post, segment } from "../shared/api.js";
import { serverNow } from "../shared/clock.js";
import { openDialog } from "../shared/dialog.js";
import { busy, el, say, show } from "../shared/dom.js";
import { icon } from "../shared/icons.js";
import { money, parseMinor, plainAmount } from "../shared/money.js";
import { offerOf } from "../shared/offers.js";
import { toast } from "../shared/toast.js";

const DURATIONS = [[30, "30 s"], [60, "1 min"], [120, "2 min"], [300, "5 min"], [600, "10 min"], [1200, "20 min"]];
const COUNTDOWNS = [[0, "At once"], [5, "In 5 s"], [10, "In 10 s"], [30, "In 30 s"], [60, "In 1 min"], [300, "In 5 min"]];

const field = (label, control) => el("label", { class: "field" }, el("span", {}, label), control);
const choice = (name, options, chosen) => el("select", { class: "input", name },
  options.map(([value, text]) => el("option", { value, selected: value === chosen }, text)));

/** Opens the form for a product of the line-up. */
export function openSaleForm(loaded, product, state) {
  const currency = loaded.shop.currency;
  const variant = choice("variant", product.variants.map((one) => [one.id, `${one.title || product.title} · ${money(one.price_minor, currency)}`]), product.variants[0].id);
  const kind = choice("kind", [["percent", "Percent off"], ["price", `Price in ${currency}`]], "percent");
  const amount = el("input", { class: "input numbers", name: "amount", inputmode: "decimal", required: true, value: "25" });
  const preview = el("span", { class: "faint numbers" });
  const allotment = el("input", { class: "input numbers", name: "allotment", type: "number", min: 1, required: true, value: "10" });
  const stock = el("span", { class: "faint numbers" });
  const limit = el("input", { class: "input numbers", name: "limit", type: "number", min: 1, max: 100, required: true, value: "2" });
  const length = choice("duration", DURATIONS, 120);
  const start = choice("countdown", COUNTDOWNS, 0);
  const error = el("p", { class: "error", role: "alert", hidden: true });
  const submit = el("button", { class: "button sale", id: "start-sale" }, icon("bolt"), "Start the sale");
  const chosen = () => product.variants.find((one) => one.id === variant.value);
  const left = () => offerOf({ ...chosen() }, new Map([...state].filter(([key]) => !key.startsWith("sale:"))), serverNow()).left;

  const redraw = () => {
    say(stock, `${left()} on hand`);
    const percent = Number(amount.value);
    const fits = kind.value === "percent" && Number.isInteger(percent) && percent >= 1 && percent <= 99;
    say(preview, fits ? `about ${money(Math.round((chosen().price_minor * (100 - percent)) / 100), currency)}` : "");
  };
  kind.addEventListener("change", () => {
    amount.value = kind.value === "percent" ? "25" : plainAmount(chosen().price_minor, currency);
    redraw();
  });
  for (const control of [variant, amount]) control.addEventListener("input", redraw);

  const form = el("form", { class: "stack", novalidate: true },
    product.variants.length > 1 ? field("Variant", variant) : el("p", { class: "soft" }, `${product.title} · ${money(product.variants[0].price_minor, currency)}`),
    el("div", { class: "pair" }, field("Kind", kind), el("label", { class: "field" }, el("span", {}, "Amount"), amount, preview)),
    el("div", { class: "pair" }, el("label", { class: "field" }, el("span", {}, "Units in the sale"), allotment, stock), field("Most per buyer", limit)),
    el("div", { class: "pair" }, field("Lasts", length), field("Starts", start)),
    error, el("div", { class: "row end" }, submit));
  const sheet = openDialog({ title: "Flash sale", body: form });
  redraw();

  const complain = (text) => {
    say(error, text);
    show(error, true);
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const body = {
      variant: variant.value, allotment: Number(allotment.value), per_buyer_limit: Number(limit.value),
      duration_s: Number(length.value), countdown_s: Number(start.value),
    };
    if (kind.value === "percent") body.percent_off = Number(amount.value);
    else body.price_minor = parseMinor(amount.value, currency);
    const figure = body.percent_off ?? body.price_minor;
    if (!Number.isInteger(figure) || figure < 1 || (kind.value === "percent" && figure > 99)) {
      return complain(kind.value === "percent" ? "Percent off is a whole number from 1 to 99." : `“${amount.value}” is not a price in ${currency}.`);
    }
    if (![body.allotment, body.per_buyer_limit].every((one) => Number.isInteger(one) && one >= 1)) return complain("Units and limit are whole numbers, one or more.");
    return busy(submit, async () => {
      try {
        await post(`/api/shows/${segment(loaded.id)}/flash-sales`, body);
        sheet.dialog.close();
        toast("The sale is set. Everybody sees it now.", "good");
      } catch (problem) {
        if (problem.name !== "Problem") throw problem;
        complain(problem.message);
      }
    });
  });
}
