// How a total came about, line by line: goods, discount, shipping, tax. Draws what the server reckoned; adds up nothing.

import { el } from "./dom.js";
import { money } from "./money.js";

const percent = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 2 });

const row = (label, text, strong = false) => el("p", { class: "row between" }, el("span", {}, label), el(strong ? "strong" : "span", { class: "numbers" }, text));

/** The rows of `sums` (goods_minor, …, total_minor); `shipping` is the name of the way it is sent, "" for none. */
export function totalRows(sums, currency, shipping, totalWord = "Total") {
  const tax = `${percent.format(sums.tax_rate_bp / 10_000)} tax`;
  return el("div", { class: "totals", id: "totals" },
    row("Goods", money(sums.goods_minor, currency)),
    sums.discount_minor ? row("Discount", `−${money(sums.discount_minor, currency)}`) : null,
    shipping ? row(`Shipping: ${shipping}`, sums.shipping_minor ? money(sums.shipping_minor, currency) : "free") : null,
    sums.tax_minor && !sums.tax_included ? row(tax, money(sums.tax_minor, currency)) : null,
    row(totalWord, money(sums.total_minor, currency), true),
    sums.tax_minor && sums.tax_included ? el("p", { class: "faint" }, `with ${money(sums.tax_minor, currency)} of ${tax} in it`) : null);
}
