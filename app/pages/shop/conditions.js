// What the shop asks of an order: ways to ship, tax by country, the return policy. Loads, edits and saves them.
// Owns the form; whether the conditions make sense the server decides, and buyers always agree to a policy's version.

import { get, put, segment } from "../shared/api.js";
import { countrySelect, isCountry } from "../shared/countries.js";
import { busy, el, fill, say, show } from "../shared/dom.js";
import { icon } from "../shared/icons.js";
import { parseMinor, plainAmount } from "../shared/money.js";
import { toast } from "../shared/toast.js";

const field = (label, control) => el("label", { class: "field" }, el("span", {}, label), control);

// What a person can put right.
const refusal = (message, input) => {
  input?.focus();
  return Object.assign(new Error(message), { code: "form" });
};

const idOf = (name, taken) => {
  const stem = name.toLowerCase().normalize("NFKD").replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 24) || "way";
  for (let n = 1; ; n += 1) {
    const id = n === 1 ? stem : `${stem}-${n}`;
    if (!taken.has(id)) return id;
  }
};

export class ConditionsPanel {
  constructor(shop) {
    this.shop = shop;
    this.path = `/api/shops/${segment(shop.id)}/conditions`;
    this.methods = el("div", { class: "rows", id: "methods" });
    this.rates = el("div", { class: "rows", id: "rates" });
    this.included = el("input", { type: "checkbox", id: "prices-include-tax" });
    this.policy = el("textarea", { class: "input policy-field", id: "return-policy", maxlength: 20_000 });
    this.policyNote = el("p", { class: "faint" });
    this.error = el("p", { class: "error", role: "alert", hidden: true });
    this.save = el("button", { class: "button primary", id: "save-conditions" }, "Save conditions");
    const more = (text, id, add) => el("button", { type: "button", class: "button small", id, onclick: () => add().querySelector("input, select").focus() }, icon("plus"), text);
    this.form = el("form", { class: "stack", hidden: true },
      el("fieldset", { class: "stack" }, el("legend", {}, "Ways to ship"), this.methods,
        el("div", {}, more("Add a way to ship", "add-method", () => this.addMethod()))),
      el("fieldset", { class: "stack" }, el("legend", {}, "Tax by country"), this.rates,
        el("div", {}, more("Add a country", "add-rate", () => this.addRate())),
        el("label", { class: "check" }, this.included, el("span", {}, "My prices include the tax (else it comes on top of them)"))),
      field("Return policy (may stay empty)", this.policy), this.policyNote, this.error,
      el("div", { class: "row end" }, this.save));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      busy(this.save, () => this.keep());
    });
    this.panel = el("section", { class: "panel stack", id: "conditions", "aria-label": "Conditions" },
      el("h2", {}, "Shipping, tax and returns"),
      el("p", { class: "soft" }, "Without any of these, people buy for the price on the label and are asked for no address."), this.form);
  }

  async load() {
    this.take(await get(this.path));
  }

  take(found) {
    this.found = found;
    fill(this.methods);
    fill(this.rates);
    for (const method of found.shipping) this.addMethod(method);
    for (const rate of found.tax) this.addRate(rate);
    this.included.checked = found.prices_include_tax;
    this.policy.value = found.return_policy;
    say(this.policyNote, found.policy_version ? `Version ${found.policy_version} is in force. Another text becomes the next version.` : "");
    show(this.form, true); // not before: what was typed would be lost
  }

  addMethod(method = null) {
    const { currency } = this.shop;
    const amount = (minor) => (minor === null || minor === undefined ? "" : plainAmount(minor, currency));
    const inputs = {
      name: el("input", { class: "input", maxlength: 80, required: true, value: method?.name ?? "" }),
      price: el("input", { class: "input numbers", inputmode: "decimal", required: true, value: amount(method?.price_minor ?? 0) }),
      free: el("input", { class: "input numbers", inputmode: "decimal", value: amount(method?.free_from_minor) }),
      countries: el("input", { class: "input", placeholder: "everywhere", value: method?.countries?.join(" ") ?? "" }),
    };
    const row = el("div", { class: "method-row", data: { method: method?.id ?? "" } },
      field("Name", inputs.name), field(`Price (${currency})`, inputs.price), field(`Free from (${currency})`, inputs.free),
      field("Countries (DE FR …)", inputs.countries), removeButton(() => row));
    row.inputs = inputs;
    this.methods.append(row);
    return row;
  }

  addRate(rate = null) {
    const country = countrySelect({ required: true }, rate?.country ?? "");
    const percent = el("input", { class: "input numbers", inputmode: "decimal", required: true, value: rate ? String(rate.rate_bp / 100) : "" });
    const row = el("div", { class: "rate-row" }, field("Country", country), field("Percent", percent), removeButton(() => row));
    row.inputs = { country, percent };
    this.rates.append(row);
    return row;
  }

  readMethods() {
    const taken = new Set([...this.methods.children].map((row) => row.dataset.method).filter(Boolean));
    return [...this.methods.children].map((row) => {
      const { name, price, free, countries } = row.inputs;
      const minor = (input) => {
        const found = parseMinor(input.value, this.shop.currency);
        if (found === null) throw refusal(`Write an amount in ${this.shop.currency}.`, input);
        return found;
      };
      const codes = countries.value.toUpperCase().split(/[\s,;]+/).filter(Boolean);
      const wrong = codes.find((code) => !isCountry(code));
      if (wrong) throw refusal(`${wrong} is no country's code.`, countries);
      const id = row.dataset.method || idOf(name.value, taken);
      taken.add(id);
      return { id, name: name.value.trim(), price_minor: minor(price), free_from_minor: free.value.trim() ? minor(free) : null, countries: codes };
    });
  }

  readRates() {
    return [...this.rates.children].map((row) => {
      const { country, percent } = row.inputs;
      const match = /^\s*(\d{1,3})(?:[.,](\d{1,2}))?\s*%?\s*$/.exec(percent.value);
      const bp = match ? Number(match[1]) * 100 + Number((match[2] ?? "").padEnd(2, "0")) : null;
      if (bp === null || bp > 10_000) throw refusal("Write a percentage from 0 to 100, with two decimals at most.", percent);
      return { country: country.value, rate_bp: bp };
    });
  }

  async keep() {
    show(this.error, false);
    this.form.inert = true; // what was typed meanwhile would be lost
    try {
      this.take(await put(this.path, {
        version: this.found.version, prices_include_tax: this.included.checked,
        shipping: this.readMethods(), tax: this.readRates(), return_policy: this.policy.value,
      }));
      toast("The conditions are in force.", "good");
    } catch (problem) {
      say(this.error, problem.message);
      show(this.error, true);
      if (!problem.code) throw problem;
    } finally {
      this.form.inert = false;
    }
  }
}

function removeButton(row) {
  return el("button", { type: "button", class: "icon-button", "aria-label": "Remove", onclick: () => row().remove() }, icon("close"));
}
