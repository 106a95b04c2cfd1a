/** The orders that would close a position: take-profits and stops. */

/** Whether a conditional order closes what this position is. */
export function isExit(order, position) {
  const closes = (position.side === "LONG") === (order.side === "SELL");
  return order.marketId === position.marketId && closes && Boolean(order.closePosition || order.reduceOnly) && Boolean(order.triggerPrice);
}

/** Triggers of the take-profits and of the stops of a position, as "63,000 / 57,000". */
export function exitsOf(position, orders, precision) {
  const exits = [...orders.values()].filter((order) => isExit(order, position));
  const shown = (kind) => {
    const found = exits.filter(({ type }) => type.startsWith(kind));
    if (!found.length) return "–";
    return found.length === 1 ? precision.price(found[0].triggerPrice) : `${found.length} orders`;
  };
  return `${shown("TAKE_PROFIT")} / ${shown("STOP")}`;
}
