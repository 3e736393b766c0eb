// The cards that this person keeps to pay with: fetched, and how one is called. The server knows four of its digits.

import { get } from "./api.js";

const BRANDS = { amex: "American Express", diners: "Diners Club", discover: "Discover", eftpos_au: "eftpos", jcb: "JCB", mastercard: "Mastercard",
  simulated: "Simulated card", unionpay: "UnionPay", visa: "Visa" };

/** All of them, the latest first. */
export async function loadCards() {
  return (await get("/api/saved-cards")).cards;
}

/** "Visa •••• 4242". */
export const cardName = (card) => `${BRANDS[card.brand] ?? "Card"} •••• ${card.last4}`;

/** "until 12/40", or that it is over. */
export function cardUntil(card) {
  const month = `${String(card.exp_month).padStart(2, "0")}/${String(card.exp_year % 100).padStart(2, "0")}`;
  return card.expired ? `expired ${month}` : `until ${month}`;
}
