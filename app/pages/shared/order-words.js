// How an order stands, in one or two words, the same on every page. Owns the words; the states are the server's.

const STANDING = new Set(["authorised", "paid"]);
const DISPUTES = { inquiry: "bank asks", open: "disputed", lost: "dispute lost" };

/** Whether the order stands: neither cancelled nor given back whole. */
export const stands = (order) => STANDING.has(order.state);

/** Whether nothing of it is with the buyer although it is paid: the provider refused to give the money back. */
export const isOwed = (order) => order.state === "paid" && !order.refunded_minor && order.lines.every((line) => line.returned === line.quantity);

/** What an order's badge says. */
export function stateWord(order) {
  if (DISPUTES[order.dispute]) return DISPUTES[order.dispute];
  if (!stands(order)) return order.state;
  if (isOwed(order)) return "to be refunded";
  if (order.refunded_minor) return "partly refunded";
  return order.shipped ? "shipped" : order.state;
}

/** Whether somebody has to look at it. */
export const isTrouble = (order) => Boolean(DISPUTES[order.dispute]) || isOwed(order);
