// The ways to pay, as the server offers them: simulated methods by button, or a card in Stripe's own frame.
// Owns how a method is got and how a bank's question is put. No card number ever reaches this page or our server.

import { get, post, segment } from "../shared/api.js";
import { cardName, cardUntil, loadCards } from "../shared/cards.js";
import { busy, el, fill, say } from "../shared/dom.js";
import { money } from "../shared/money.js";
import { toastProblem } from "../shared/toast.js";

const METHODS = {
  works: ["Card that works", "Goes through at once"],
  declines: ["Card that declines", "The bank says no"],
  challenges: ["Card whose bank asks", "You confirm that it is you"],
  late: ["Card that is slow", "The provider does not answer for a while"],
  lent: ["Borrowed card", "One card for everybody who presses this; a sale's limit counts it once"],
  twice: ["Card that answers twice", "The provider repeats itself; you pay once"],
  hangs: ["Card that hangs", "The provider never answers; you get everything back"],
};

let offered = null;
let stripe = null;

function paymentOffer() {
  offered ??= get("/api/payment-offer").catch((error) => {
    offered = null;
    throw error;
  });
  return offered;
}

// Stripe's script comes from Stripe alone; the page's policy names that one place, where Stripe is configured.
async function openStripe(offer) {
  stripe ??= new Promise((resolve, reject) => {
    const script = el("script", { src: offer.script });
    script.addEventListener("load", () => resolve(globalThis.Stripe(offer.publishable_key)));
    script.addEventListener("error", () => {
      stripe = null;
      script.remove();
      reject(refusal("Stripe does not answer. Check your connection and try again."));
    });
    document.head.append(script);
  });
  return stripe;
}

// Without them there are still the others.
async function keptCards() {
  try {
    return (await loadCards()).filter((card) => card.usable);
  } catch (error) {
    if (!error.code) throw error;
    return [];
  }
}

// What a person can put right, like a refusal of the server.
function refusal(message) {
  return Object.assign(new Error(message), { code: "card" });
}

export class PaymentPanel {
  /** `choose(way)` is called when the person has pressed; `way()` then resolves with what the server takes: `{method}`, and `keep`. */
  constructor(hold, choose) {
    this.hold = hold;
    this.choose = choose;
    this.buttons = [];
    this.disabled = false;
    this.amount = hold.amount_minor;
    this.node = el("div", { class: "methods", role: "group", "aria-label": "Pay with" });
    this.ready = this.draw();
  }

  async draw() {
    try {
      const [offer, cards] = await Promise.all([paymentOffer(), keptCards()]);
      if (offer.provider === "none") throw refusal("Nobody can pay here yet: the shop has no payment provider.");
      const kept = cards.map((card) =>
        el("button", { type: "button", class: "method kept", data: { card: card.id }, onclick: () => this.choose(async () => ({ method: card.method })) },
          el("strong", {}, cardName(card)), el("span", {}, `Kept for you, ${cardUntil(card)}`)));
      if (offer.provider === "stripe") await this.drawCard(offer, kept);
      else this.drawButtons(offer, kept);
    } catch (error) {
      fill(this.node, el("p", { class: "error", role: "alert" }, error.message));
      if (!error.code) throw error;
    }
    this.disable(this.disabled);
  }

  // Not ticked unless the person does it.
  keepField(changed = () => {}) {
    this.keep = el("input", { type: "checkbox", id: "keep-card" });
    this.keep.addEventListener("change", changed);
    return el("label", { class: "check" }, this.keep, el("span", {}, "Keep this card for next time"));
  }

  way(method) {
    return this.keep.checked ? { method, keep: true } : { method };
  }

  drawButtons(offer, kept) {
    const others = offer.methods.filter((method) => METHODS[method]).map((method) =>
      el("button", { type: "button", class: "method", data: { method }, onclick: () => this.choose(async () => this.way(method)) },
        el("strong", {}, METHODS[method][0]), el("span", {}, METHODS[method][1])));
    this.buttons = [...kept, ...others];
    fill(this.node, kept, el("p", { class: "faint" }, "Simulated payment: choose how it should end."), this.keepField(), others);
  }

  async drawCard(offer, kept) {
    const frame = el("div", { class: "card-frame", id: "card-frame" });
    const pay = el("button", { type: "button", class: "button primary wide", id: "pay" },
      `Pay ${money(this.amount, this.hold.currency)}`);
    const keep = this.keepField(() => this.elements?.update({ setupFutureUsage: this.keep.checked ? "on_session" : null }));
    fill(this.node, kept, kept.length ? el("p", { class: "faint" }, "Or with another card:") : null, frame, keep, pay, el("p", { class: "faint centred" }, "Your card goes to Stripe alone; we never see it."));
    const opened = await openStripe(offer);
    const elements = opened.elements({
      mode: "payment",
      amount: this.amount,
      currency: this.hold.currency.toLowerCase(),
      captureMethod: "manual",
      paymentMethodCreation: "manual",
      paymentMethodTypes: ["card"],
      appearance: { theme: "night" },
    });
    this.elements = elements;
    elements.create("payment").mount(frame);
    pay.addEventListener("click", () => this.choose(async () => this.way(await cardMethod(opened, elements))));
    this.buttons = [...kept, pay];
    this.reprice = () => {
      say(pay, `Pay ${money(this.amount, this.hold.currency)}`);
      elements.update({ amount: this.amount });
    };
  }

  /** What is to be paid is another amount by now, e.g. with shipping. */
  setAmount(minor) {
    this.amount = minor;
    this.reprice?.();
  }

  disable(disabled) {
    this.disabled = disabled;
    for (const button of this.buttons) button.disabled = disabled;
  }

  focus() {
    this.ready.then(() => this.buttons[0]?.focus());
  }

  /** Puts the bank's question; resolves when the person has answered it, whatever they said. */
  ask(question) {
    return askBank(this.node, question, money(this.amount, this.hold.currency));
  }
}

/** Puts the bank's question about a payment of `amount`, in `node` where it is ours to put, in place of what is there. */
export async function askBank(node, { payment, challenge }, amount) {
  const offer = await paymentOffer();
  if (offer.provider === "stripe") await (await openStripe(offer)).handleNextAction({ clientSecret: challenge });
  else await askHere(node, payment, amount);
}

function askHere(node, payment, amount) {
  const before = [...node.childNodes];
  return new Promise((resolve) => {
    const answer = (approve, text, className) => {
      const button = el("button", { type: "button", class: className, data: { approve: String(approve) } }, text);
      button.addEventListener("click", () => busy(button, async () => {
        try {
          await post(`/api/payments/${segment(payment)}/bank`, { approve });
        } catch (error) {
          return toastProblem(error); // the question stays: it can be answered again
        }
        fill(node, before); // whoever was declined chooses another
        return resolve();
      }));
      return button;
    };
    const yes = answer(true, "Yes, it is me", "button primary wide");
    fill(node, el("div", { class: "bank", id: "bank" },
      el("h3", {}, "Your bank asks"), el("p", { class: "soft" }, `Are you paying ${amount} just now? Simulated; the stream goes on.`),
      yes, answer(false, "No, it is not", "button ghost wide")));
    yes.focus();
  });
}

async function cardMethod(opened, elements) {
  const { error: incomplete } = await elements.submit();
  if (incomplete) throw refusal(incomplete.message);
  const { paymentMethod, error } = await opened.createPaymentMethod({ elements });
  if (error) throw refusal(error.message);
  return paymentMethod.id;
}
