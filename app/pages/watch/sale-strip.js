// The flash sales of products that are not pinned: who watches on a phone, or looks at the picture, would know of them
// from a note in the chat alone. Owns which are shown and their order; each one is drawn by offer-card.js.

import { arrange, show } from "../shared/dom.js";
import { OfferCard } from "../shared/offer-card.js";
import { salesBeside } from "../shared/offers.js";

export class SaleStrip {
  /** `find(product)` is the product as the line-up has it, null while that is not loaded. */
  constructor(host, { state, buy, lines, find }) {
    Object.assign(this, { host, state, buy, lines, find });
    this.cards = new Map();
  }

  /** Redraws what depends on the time and the room. Cards that stay keep their place in the page, and the focus. */
  update(now, pinnedId) {
    const sales = salesBeside(this.state, now, pinnedId).filter((sale) => this.variantOf(sale));
    const before = [...this.cards.values()];
    this.cards = new Map(sales.map((sale) => [sale.id, this.cardOf(sale)]));
    const cards = [...this.cards.values()];
    if (cards.length !== before.length || cards.some((card, at) => card !== before[at])) {
      arrange(this.host, cards.map((card) => card.node));
      show(this.host, cards.length > 0);
    }
    for (const card of cards) card.update(now);
  }

  variantOf(sale) {
    return this.find(sale.product.id)?.variants.find((one) => one.id === sale.variant);
  }

  cardOf(sale) {
    const product = this.find(sale.product.id);
    const known = this.cards.get(sale.id);
    if (known?.product !== product) return new OfferCard(product, { kind: "strip", sale, state: this.state, buy: this.buy, lines: this.lines });
    known.sale = sale;
    return known;
  }
}
