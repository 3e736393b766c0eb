// The products of the show, each with its price and stock of this moment. Owns the list; buying is buy-sheet.js.

import { arrange, el, fill } from "../shared/dom.js";
import { OfferCard } from "../shared/offer-card.js";

// All that a card draws by itself; what is left is the room's word, and its own only until the room has spoken.
const drawn = (product) => JSON.stringify(product, (name, value) => (name === "on_hand" ? undefined : value));

export class LineUp {
  constructor(host, { state, buy, lines }) {
    this.host = host;
    this.options = { kind: "tile", state, buy, lines };
    this.cards = [];
    this.shown = false;
    this.grid = el("ul", { class: "lineup-grid" });
    this.count = el("span", { class: "faint" });
    fill(host, el("header", { class: "lineup-head" }, el("h2", {}, "In this show"), this.count), this.grid);
  }

  /** Draws these products, in this order. A product that is as before keeps its card. */
  show(products) {
    this.shown = true;
    this.cards = products.map((product) => this.cardOf(product));
    this.count.textContent = products.length === 1 ? "1 product" : `${products.length} products`;
    arrange(this.grid, this.cards.length
      ? this.cards.map((card) => card.node.parentNode ?? el("li", {}, card.node))
      : [el("li", { class: "empty" }, "The host has put nothing in this show yet.")]);
  }

  cardOf(product) {
    const known = this.cards.find((card) => card.product.id === product.id);
    if (!known || drawn(known.product) !== drawn(product)) return new OfferCard(product, this.options);
    known.product.variants.forEach((variant, n) => (variant.on_hand = product.variants[n].on_hand));
    return known;
  }

  has(productId) {
    return this.cards.some((card) => card.product.id === productId);
  }

  find(productId) {
    return this.cards.find((card) => card.product.id === productId)?.product ?? null;
  }

  /** Redraws what depends on the time and the room, and marks the pinned product. */
  update(now, pinnedId) {
    for (const card of this.cards) {
      card.update(now);
      card.node.classList.toggle("is-pinned", card.product.id === pinnedId);
    }
  }
}
