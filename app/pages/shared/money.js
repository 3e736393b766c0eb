// Turns integer minor units into text and back. Never computes a price: those come from the server.

const formats = new Map();

function formatOf(currency) {
  if (!formats.has(currency)) {
    formats.set(currency, new Intl.NumberFormat(undefined, { style: "currency", currency }));
  }
  return formats.get(currency);
}

/** How many decimals the currency has: 0, 2 or 3. */
export function exponent(currency) {
  return formatOf(currency).resolvedOptions().maximumFractionDigits;
}

/** `12345, "EUR"` → `€123.45` as this reader writes it. */
export function money(minor, currency) {
  return formatOf(currency).format(minor / 10 ** exponent(currency));
}

/** What a person typed (`12.34`, `12,34`) as minor units, or null when it is no amount of this currency. */
export function parseMinor(text, currency) {
  const match = /^\s*(\d{1,10})(?:[.,](\d+))?\s*$/.exec(text);
  if (!match) return null;
  const digits = exponent(currency);
  const fraction = match[2] ?? "";
  if (fraction.length > digits) return null;
  return Number(match[1]) * 10 ** digits + Number(fraction.padEnd(digits, "0") || "0");
}

/** Minor units as a plain decimal for an input field. */
export function plainAmount(minor, currency) {
  const digits = exponent(currency);
  return (minor / 10 ** digits).toFixed(digits);
}
