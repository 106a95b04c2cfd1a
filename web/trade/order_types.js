/** The types of orders, and which fields each has. */

/** Every type of docs/semantics.md. */
export const TYPES = {
  LIMIT: { name: "Limit", hasPrice: true },
  MARKET: { name: "Market", isMarket: true },
  STOP: { name: "Stop limit", hasPrice: true, hasTrigger: true },
  STOP_MARKET: { name: "Stop market", hasTrigger: true, canClose: true, isMarket: true },
  TAKE_PROFIT: { name: "Take profit limit", hasPrice: true, hasTrigger: true },
  TAKE_PROFIT_MARKET: { name: "Take profit market", hasTrigger: true, canClose: true, isMarket: true },
  TRAILING_STOP_MARKET: { name: "Trailing stop", isTrailing: true, canClose: true, isMarket: true },
};

/** A type as people name it, in lower case within a sentence. */
export function typeName(type) {
  return (TYPES[type]?.name ?? type).toLowerCase();
}

/** Whether orders of the type wait for a condition. */
export function isConditional(type) {
  const { hasTrigger, isTrailing } = TYPES[type];
  return Boolean(hasTrigger || isTrailing);
}
