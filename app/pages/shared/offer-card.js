// A product as people see it while they may buy it: photo, words, variants, price, sale countdown, stock left.
// Draws itself once per product and then changes only what changed, so that focus and choice survive every update.

import { countdown, serverNow, startWords } from "./clock.js";
import { busy, el, fill, say, show } from "./dom.js";
import { icon } from "./icons.js";
import { money } from "./money.js";
import { bestOffer, fullTitle, offerOfSale, offersOf, ordinaryOffer, stockLine } from "./offers.js";

const BUY_WORDS = { open: "Buy", all_held: "All held", sold_out: "Sold out", soon: "Soon" };

/** The photo of a product, or a quiet stand-in. */
export function photo(product, className = "") {
  if (!product.photo) return el("div", { class: `photo none ${className}`, "aria-hidden": "true" }, icon("bag"));
  return el("img", { class: `photo ${className}`, src: product.photo, alt: "", loading: "lazy", decoding: "async" });
}

export class OfferCard {
  /**
   * `kind` is "hero" (the pinned product), "tile" (the line-up) or "strip" (one `sale`, beside what is pinned).
   * `buy(product, variantId, ordinary)` opens the sheet; `lines` tells of the line in front of an offer and joins it.
   */
  constructor(product, { kind, state, buy, lines, sale = null }) {
    this.product = product;
    this.state = state;
    this.lines = lines;
    this.sale = sale;
    this.chosen = null;
    const only = sale && product.variants.find((one) => one.id === sale.variant);
    this.badge = el("span", { class: "badge sale offer-sale", hidden: true });
    this.campaign = el("span", { class: "badge offer-campaign", hidden: true });
    this.price = el("span", { class: "offer-price numbers" });
    this.list = el("s", { class: "offer-list numbers", hidden: true });
    this.stock = el("span", { class: "offer-stock numbers" });
    this.limit = el("span", { class: "offer-limit", hidden: true });
    this.button = el("button", { type: "button", class: "button primary buy" }, icon("bag"), this.word = el("span"));
    this.button.addEventListener("click", () => buy(product, this.offer().variant.id, false));
    this.other = el("button", { type: "button", class: "offer-other", hidden: true });
    this.other.addEventListener("click", () => buy(product, this.offer().variant.id, true));
    this.join = el("button", { type: "button", class: "button sale offer-join", hidden: true });
    this.join.addEventListener("click", () => busy(this.join, () => lines.join(lines.ofOffer(this.offer()).pool)));
    this.chips = kind === "hero" && product.variants.length > 1 ? this.variantChips() : null;
    this.node = el("article", { class: `offer ${kind}`, data: { product: product.id } },
      el("div", { class: "offer-photo" }, photo(product)),
      el("div", { class: "offer-body" },
        el("div", { class: "offer-words" },
          el("div", { class: "offer-head" }, el("h3", { class: "offer-title" }, only ? fullTitle(product, only) : product.title), this.badge, this.campaign),
          kind === "hero" && product.description ? el("p", { class: "offer-description" }, product.description) : null),
        this.chips,
        el("div", { class: "offer-buy" },
          el("div", { class: "offer-figures" },
            el("div", { class: "offer-prices" }, this.price, this.list),
            el("div", { class: "offer-facts" }, this.stock, this.limit), this.other),
          el("div", { class: "offer-buttons" }, this.join, this.button))));
    this.update(serverNow());
  }

  variantChips() {
    const group = el("div", { class: "chips", role: "group", "aria-label": "Variant" });
    for (const variant of this.product.variants) {
      const chip = el("button", { type: "button", class: "chip", data: { variant: variant.id } }, variant.title || "Standard");
      chip.addEventListener("click", () => {
        this.chosen = variant.id;
        this.update(serverNow());
      });
      group.append(chip);
    }
    return group;
  }

  /** The offer that the card shows: of the variant that the person chose, else the best one. */
  offer(offers = offersOf(this.product, this.state, serverNow())) {
    if (this.sale) return offerOfSale(this.sale, this.product.variants.find((one) => one.id === this.sale.variant), this.state, serverNow());
    return offers.find((one) => one.variant.id === this.chosen) ?? bestOffer(offers);
  }

  update(now) {
    const offers = offersOf(this.product, this.state, now);
    const offer = this.offer(offers);
    if (!offer) return;
    say(this.price, money(offer.price, offer.currency));
    say(this.list, offer.listPrice === null ? "" : money(offer.listPrice, offer.currency));
    show(this.list, offer.listPrice !== null);
    say(this.campaign, offer.campaign);
    show(this.campaign, offer.campaign !== "");
    const stock = stockLine(offer);
    say(this.stock, stock.text);
    this.stock.dataset.tone = stock.tone;
    say(this.limit, offer.limit ? `max ${offer.limit} each` : "");
    show(this.limit, Boolean(offer.limit));
    const line = this.lines.ofOffer(offer);
    const word = line.locked ? "In turn only" : BUY_WORDS[offer.status];
    say(this.word, word);
    this.button.disabled = offer.status !== "open" || line.locked;
    this.button.setAttribute("aria-label", `${word}: ${fullTitle(this.product, offer.variant)}`);
    show(this.button, !(this.button.disabled && line.join));
    show(this.join, Boolean(line.join));
    say(this.join, line.join ?? "");
    this.node.dataset.phase = offer.phase;
    this.node.dataset.status = offer.status;
    this.updateOther(offer);
    this.updateSale(offer, now);
    this.updateChips(offers, offer);
  }

  // The sale is out of units while the shelf is not.
  updateOther(offer) {
    const ordinary = ordinaryOffer(offer.variant, this.state);
    const visible = offer.phase === "running" && offer.status === "sold_out" && ordinary.status === "open";
    show(this.other, visible);
    if (visible) say(this.other, `Still ${ordinary.left} at ${money(ordinary.price, ordinary.currency)}`);
  }

  updateSale(offer, now) {
    show(this.badge, offer.sale !== null);
    if (!offer.sale) return;
    const running = offer.phase === "running";
    const text = this.sale ? (running ? countdown(offer.sale.ends_at_ms - now) : startWords(offer.sale, now))
      : running ? `Flash sale · ${countdown(offer.sale.ends_at_ms - now)}`
      : `Flash sale at ${money(offer.sale.price_minor, offer.sale.currency)} ${startWords(offer.sale, now)}`;
    if (!this.saleText) fill(this.badge, icon("bolt"), (this.saleText = el("span", { class: "numbers" })));
    say(this.saleText, text);
    this.badge.classList.toggle("ending", running && offer.sale.ends_at_ms - now < 10_000);
  }

  updateChips(offers, chosen) {
    if (!this.chips) return;
    for (const offer of offers) {
      const chip = [...this.chips.children].find((one) => one.dataset.variant === offer.variant.id);
      chip.setAttribute("aria-pressed", String(offer === chosen));
      chip.dataset.status = offer.status;
      chip.dataset.phase = offer.phase;
    }
  }
}
