// What a shop asks before it sends anything: where to, how, the total, the return policy. Stays out of sight for a
// shop that asks nothing. Owns the form; the server reckons every amount, and refuses what was not agreed to.

import { get, segment } from "../shared/api.js";
import { countrySelect } from "../shared/countries.js";
import { el, fill, say, show } from "../shared/dom.js";
import { money } from "../shared/money.js";
import { totalRows } from "../shared/totals.js";

const FIELDS = [
  ["name", "Name", "shipping name", true], ["street", "Street and number", "shipping address-line1", true],
  ["extra", "More (may stay empty)", "shipping address-line2", false],
  ["postal_code", "Postal code", "shipping postal-code", false], ["city", "City", "shipping address-level2", true],
];
let typed = null; // an address outlives the sheet in which it was typed, and the hold that ended meanwhile
const CHANGED = new Set(["total_changed", "policy_changed", "agreement_needed", "shipping_unknown"]);

// What a person can put right, like a refusal of the server.
const refusal = (message) => Object.assign(new Error(message), { code: "form" });

/** True of a refusal after which the totals have to be looked at again. */
export const isStale = (problem) => CHANGED.has(problem.code);

export class CheckoutForm {
  /** `quote(country, shipping)` asks the server; `priced(total_minor or null)` is called with every answer. */
  constructor(shop, { quote, priced }) {
    Object.assign(this, { shop, askQuote: quote, priced });
    this.asks = true;
    this.quote = null;
    this.turn = 0;
    this.node = el("div", { class: "stack checkout-form", id: "checkout-form", hidden: true });
    this.error = el("p", { class: "error", role: "alert", hidden: true });
    void this.ready;
  }

  /** Settles once it is known what the shop asks, or that it cannot be known now: then the next who waits asks again. */
  get ready() {
    this.loading ??= this.load();
    return this.loading;
  }

  async load() {
    try {
      const conditions = await get(`/api/shops/${segment(this.shop)}/conditions`);
      this.conditions = conditions;
      this.asks = Boolean(conditions.shipping.length || conditions.tax.length || conditions.policy_version);
      if (this.asks) this.draw(typed ?? (this.needsAddress ? (await get("/api/address")).ship_to : null));
      show(this.node, this.asks);
      if (this.asks) await this.refresh();
    } catch (error) {
      this.conditions = null;
      this.loading = null;
      fill(this.node, el("p", { class: "error", role: "alert" }, error.message));
      show(this.node, true);
      if (!error.code) throw error;
    }
  }

  get needsAddress() {
    return Boolean(this.conditions.shipping.length || this.conditions.tax.length);
  }

  draw(saved) {
    this.inputs = Object.fromEntries(FIELDS.map(([name, , autocomplete, required]) => [name,
      el("input", { class: "input", name, autocomplete, required, maxlength: name === "postal_code" ? 16 : 120, value: saved?.[name] ?? "" })]));
    this.country = countrySelect({ name: "country", autocomplete: "shipping country", required: true }, saved?.country ?? "");
    this.country.addEventListener("change", () => this.refresh());
    this.node.onchange = () => (typed = this.written());
    this.ways = el("div", { class: "stack ways", role: "radiogroup", "aria-label": "Shipping" });
    this.sums = el("div", { "aria-live": "polite" });
    this.accept = el("input", { type: "checkbox", id: "accept-policy" });
    const field = (name) => el("label", { class: "field" }, el("span", {}, FIELDS.find(([one]) => one === name)[1]), this.inputs[name]);
    fill(this.node,
      this.needsAddress ? el("fieldset", { class: "stack" }, el("legend", {}, "Send it to"), field("name"), field("street"), field("extra"),
        el("div", { class: "pair" }, field("postal_code"), field("city")),
        el("label", { class: "field" }, el("span", {}, "Country"), this.country)) : null,
      this.ways, this.sums, this.error,
      this.conditions.policy_version ? el("div", { class: "stack policy" },
        el("details", {}, el("summary", {}, "Return policy"), el("p", { class: "policy-text" }, this.conditions.return_policy)),
        el("label", { class: "check" }, this.accept, el("span", {}, "I have read the return policy and agree to it"))) : null);
  }

  /** Asks for the totals as they are now. */
  async refresh(shipping = this.quote?.shipping ?? "") {
    if (!this.conditions) return void (await this.ready);
    const turn = ++this.turn;
    try {
      const quote = await this.askQuote(this.country.value, shipping);
      if (turn !== this.turn) return;
      this.take(quote);
    } catch (error) {
      if (turn !== this.turn) return;
      // The way that was chosen does not go there: the server says which do.
      if (error.code === "shipping_unknown" && shipping) return void (await this.refresh(""));
      this.complain(error.code === "shipping_unknown" ? "This shop does not send anything there." : error.message);
      if (!error.code) throw error;
    }
  }

  take(quote) {
    this.quote = quote;
    show(this.error, false);
    fill(this.ways, quote.ways.length ? el("span", { class: "faint" }, "Shipping") : null, quote.ways.map((way) => {
      const radio = el("input", { type: "radio", name: "shipping", value: way.id, checked: way.id === quote.shipping });
      radio.addEventListener("change", () => this.refresh(way.id));
      return el("label", { class: "check way" }, radio, el("span", { class: "grow" }, way.name),
        el("span", { class: "numbers" }, way.price_minor ? money(way.price_minor, quote.currency) : "free"));
    }));
    const way = quote.ways.find((one) => one.id === quote.shipping);
    fill(this.sums, quote.totals ? totalRows(quote.totals, quote.currency, way?.name ?? "")
      : el("p", { class: "faint" }, "Choose a country to see the total."));
    this.priced(quote.totals?.total_minor ?? null);
  }

  /** What a quote is asked for. */
  asked() {
    return { country: this.country?.value ?? "", shipping: this.quote?.shipping ?? "" };
  }

  written() {
    const words = Object.fromEntries(Object.entries(this.inputs).map(([name, input]) => [name, input.value.trim()]));
    return { ...words, country: this.country.value };
  }

  complain(message) {
    this.quote = null;
    fill(this.ways);
    fill(this.sums);
    say(this.error, message);
    show(this.error, true);
    this.priced(null);
  }

  /** What the buyer agreed to, for the order; throws what is still missing, with the place in focus. */
  read() {
    if (!this.conditions) throw refusal("What the shop asks is not known yet. Check your connection and try again.");
    if (!this.asks) return {};
    if (this.needsAddress) {
      const missing = [...Object.values(this.inputs), this.country].find((input) => input.required && !input.value.trim());
      if (missing) {
        missing.focus();
        throw refusal("Say where it is to be sent.");
      }
    }
    if (!this.quote?.totals) throw refusal("The total is not known yet.");
    if (this.conditions.policy_version && !this.accept.checked) {
      this.accept.focus();
      throw refusal("Please agree to the return policy first.");
    }
    const said = { agreed: { total_minor: this.quote.totals.total_minor, shipping: this.quote.shipping, policy: this.conditions.policy_version } };
    return this.needsAddress ? { ...said, ship_to: this.written() } : said;
  }

  /** After a refusal: what the shop asks may be another by now. */
  async again() {
    this.conditions = await get(`/api/shops/${segment(this.shop)}/conditions`);
    this.draw(this.written());
    await this.refresh();
  }
}
