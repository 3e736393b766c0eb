// Buy now: with a card that the buyer keeps, choice and payment are one request. Owns the button and the step in which
// it is paid. Not offered by shops that want an address or an agreement first: there one holds, reads, and pays.

import { get, segment } from "../shared/api.js";
import { cardName, loadCards } from "../shared/cards.js";
import { el } from "../shared/dom.js";
import { money } from "../shared/money.js";
import { Reading } from "../shared/reading.js";
import { toast } from "../shared/toast.js";
import { askBank } from "./payment.js";

const WAIT_MS = 400;

export class QuickBuy {
  /** `sheet` is the buy sheet that it is drawn in. */
  constructor(sheet) {
    this.sheet = sheet;
    this.card = null;
    this.expected = false; // of a card that was just asked to be kept
    this.reading = new Reading({ read: () => this.find(), load: (card) => (this.card = card) });
    sheet.holds.cardKept = () => {
      this.expected = true;
    };
  }

  /**
   * Looks whether there is a card, with the page and not with the sheet: whoever keeps none waits for nothing. Where one
   * is expected a moment is waited, and no more: a button that came later would push others from under a finger.
   */
  async ready() {
    if (!this.expected) return;
    await Promise.race([this.look(), new Promise((resolve) => setTimeout(resolve, WAIT_MS))]);
    this.expected = this.card === null;
  }

  async look() {
    this.card = null;
    await this.reading.refresh();
  }

  async find() {
    const { shop } = this.sheet;
    if (!shop) return null;
    try {
      const [cards, asked] = await Promise.all([loadCards(), get(`/api/shops/${segment(shop)}/conditions`)]);
      if (asked.shipping.length || asked.tax.length || asked.policy_version) return null;
      return cards.find((one) => one.usable) ?? null;
    } catch (error) {
      if (!error.code) throw error; // without an answer there is still the long way
      return null;
    }
  }

  /** The button, null without a card; `buy` is called when it is pressed. */
  button(buy) {
    return this.card && el("button", { type: "button", class: "button primary wide", id: "buy-now", onclick: buy });
  }

  /** What the button says of what is chosen now. */
  label(card, amount) {
    return `Buy now for ${amount} · ${cardName(card)}`;
  }

  /** Buys with `card`; `again(problem)` draws the choice anew when there is no order. */
  async buy({ card, product, title, pool, quantity, amount_minor, currency }, again) {
    const { sheet } = this;
    const { holds } = sheet;
    const note = el("p", { class: "sheet-note", role: "status" });
    const bank = el("div", { class: "methods" });
    const amount = money(amount_minor, currency);
    sheet.draw("buying", "Buying", sheet.summary(product, `${quantity} × ${title}`, el("span", { class: "offer-price numbers" }, amount)),
      el("p", { class: "soft" }, `With ${cardName(card)}.`), note, bank);
    const paying = () => sheet.tell(note, "Paying…", "busy");
    paying();
    const body = sheet.body;
    // Agreed to the total: a price that has changed meanwhile is refused.
    const asked = { pool, quantity, method: card.method, show: holds.show, admission: holds.lines?.admission(pool), agreed: { total_minor: amount_minor } };
    try {
      const order = await holds.insist("/api/buy-now", asked, {
        pending: () => sheet.tell(note, "Payment pending: the provider has not answered yet. You will see the outcome here.", "busy"),
        ask: async (question) => {
          sheet.tell(note, "Your bank wants to know whether it is you. It stays held for you.", "busy");
          await askBank(bank, question, amount);
          paying();
        },
      });
      holds.lines?.used(pool);
      if (sheet.shows(body)) sheet.drawDone(order);
      else toast(`It is yours: ${quantity} × ${title}, order ${order.id}.`, "good");
    } catch (problem) {
      if (problem.code) await this.look(); // perhaps the card is kept no more
      if (sheet.shows(body)) again(problem);
      else toast(`${title}: ${problem.message}`, "bad");
      if (!problem.code) throw problem;
    }
  }
}
