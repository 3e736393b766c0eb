// Works out what a product costs right now and whether it can be had, from the room's state alone.
// Pure: takes values and the server's time, returns values. Never touches the page.

const OVER = new Set(["ended", "cancelled"]);
const SOON_MS = 10 * 60_000;
const BESIDE_MAX = 6;

/** The sales of this room's state that are not over at `now`, soonest end first. */
export function openSales(state, now) {
  const sales = [];
  for (const [key, sale] of state) {
    if (key.startsWith("sale:") && sale && !OVER.has(sale.state) && now < sale.ends_at_ms) sales.push(sale);
  }
  return sales.sort((a, b) => a.ends_at_ms - b.ends_at_ms);
}

/**
 * The sales that somebody who sees only the pinned product would miss, soonest end first: what runs, what begins within
 * minutes, and what has a waiting room to join. Where there are too many, those that are sold out are left out first.
 */
export function salesBeside(state, now, pinnedId) {
  const sales = openSales(state, now)
    .filter((sale) => sale.product.id !== pinnedId && (sale.waiting_room || sale.starts_at_ms - now < SOON_MS));
  const isOut = (sale) => salePhase(sale, now) === "running" && stockOfSale(sale, state).status === "sold_out";
  const first = [...sales.filter((sale) => !isOut(sale)), ...sales.filter(isOut)].slice(0, BESIDE_MAX);
  return sales.filter((sale) => first.includes(sale));
}

/** `soon`, `running` or `over`: by the clock, since a state change may be a moment behind it. */
export function salePhase(sale, now) {
  if (OVER.has(sale.state) || now >= sale.ends_at_ms) return "over";
  return now < sale.starts_at_ms ? "soon" : "running";
}

function stockOf(state, poolId, fallback) {
  const pool = poolId ? state.get(`pool:${poolId}`) : null;
  if (pool) return { left: pool.left, status: pool.status };
  return { left: fallback, status: fallback > 0 ? "open" : "sold_out" };
}

const stockOfSale = (sale, state) => stockOf(state, sale.pool, sale.state === "sold_out" ? 0 : sale.allotment);

/**
 * The offer for one variant: `{variant, pool, sale, price, listPrice, campaign, currency, left, status, limit, phase}`.
 * `listPrice` is null unless it is dearer than `price`; `campaign` is the name of the one that lowers it, or ""; `status` is open, all_held, sold_out, or soon:
 * all that there is goes into a sale that has not begun. A running sale is the offer until it is over, also while it
 * is sold out: stock may return.
 */
export function offerOf(variant, state, now) {
  const sales = openSales(state, now).filter((sale) => sale.variant === variant.id);
  const running = sales.find((sale) => salePhase(sale, now) === "running");
  const coming = sales.find((sale) => salePhase(sale, now) === "soon");
  if (running) return offerOfSale(running, variant, state, now);
  const ordinary = ordinaryOffer(variant, state);
  if (!coming) return ordinary;
  if (ordinary.status !== "sold_out") return { ...ordinary, sale: coming, phase: "soon" };
  return offerOfSale(coming, variant, state, now);
}

/** What a sale of this variant offers, and will offer before it begins, whatever the shelf has meanwhile. */
export function offerOfSale(sale, variant, state, now) {
  const soon = salePhase(sale, now) === "soon";
  const stock = soon ? { left: sale.allotment, status: "soon" } : stockOfSale(sale, state);
  return {
    variant,
    phase: soon ? "soon" : "running",
    pool: sale.pool,
    sale,
    price: sale.price_minor,
    listPrice: sale.list_minor > sale.price_minor ? sale.list_minor : null,
    campaign: "",
    currency: sale.currency,
    limit: sale.per_buyer_limit,
    ...stock,
  };
}

/**
 * The offer of a variant from ordinary stock, whatever sale there is. What it costs is the room's word, which is the
 * gate's: with the discount or campaign of this moment. Until the room has spoken it is the list price.
 */
export function ordinaryOffer(variant, state) {
  const pool = state.get(`pool:${variant.pool}`);
  const price = pool?.price_minor || variant.price_minor;
  const list = pool?.list_minor || variant.price_minor;
  return {
    variant,
    pool: variant.pool,
    sale: null,
    phase: "ordinary",
    price,
    listPrice: list > price ? list : null,
    campaign: pool?.campaign ?? "",
    currency: variant.currency,
    limit: null,
    ...stockOf(state, variant.pool, variant.on_hand),
  };
}

/** The offers of a product's variants, in their order. */
export function offersOf(product, state, now) {
  return product.variants.map((variant) => offerOf(variant, state, now));
}

/** Which offer a card should show first: one on sale, then one that can be had, then the first. */
export function bestOffer(offers) {
  return (
    offers.find((offer) => offer.phase === "running" && offer.status !== "sold_out") ??
    offers.find((offer) => offer.phase === "running") ??
    offers.find((offer) => offer.phase === "soon") ??
    offers.find((offer) => offer.status === "open") ??
    offers[0] ??
    null
  );
}

/** One line about the stock of an offer, and how urgent it is: `{text, tone}`. */
export function stockLine(offer) {
  if (offer.status === "soon") return { text: `${offer.left} in the sale`, tone: "plenty" };
  if (offer.status === "sold_out") return { text: "Sold out", tone: "gone" };
  if (offer.status === "all_held") return { text: "All held — may come back", tone: "held" };
  return { text: `${offer.left} left`, tone: offer.left <= 5 ? "few" : "plenty" };
}

/** The name of what is sold: product, and variant when it has a name. */
export function fullTitle(product, variant) {
  return variant.title ? `${product.title} · ${variant.title}` : product.title;
}
