/** Quantities from shares of what the account can carry. An estimate for the form: the exchange decides. */

import { decimal, over, roundDown, times, toText } from "../lib/decimal.js";
import { balance, positions } from "./account_feed.js";
import { leverageOf } from "./leverage.js";
import { TYPES } from "./order_types.js";

const ONE = decimal("1");
const HUNDRED = decimal("100");

/** The quantity that uses so many percent of what is available; "" where that is nothing. */
export function shareOf(percent, fields, market, markPrice) {
  const whole = fields.reduceOnly ? heldIn(market, fields.side) : affordable(fields, market, markPrice);
  const part = over(times(whole, decimal(String(percent))), HUNDRED);
  const quantity = roundDown(part, decimal(market.lotSize));
  return quantity > 0n ? toText(quantity) : "";
}

/** The margin of the price, what the order may lose against the mark, and the fee, for each unit. */
function affordable(fields, market, markPrice) {
  const [free, mark] = [decimal(balance.now?.availableMargin ?? ""), decimal(markPrice ?? "")];
  if (!free || free < 0n || !mark) return 0n;
  const isMarket = TYPES[fields.type].isMarket;
  const bound = isMarket ? times(mark, decimal(market.takeBound)) : 0n;
  const isBuy = fields.side === "BUY";
  const price = isMarket ? (isBuy ? mark + bound : mark - bound) : (decimal(fields.price) ?? mark);
  const beyond = isBuy ? price - mark : mark - price;
  const margin = over(price, decimal(String(leverageOf(market.id))));
  const each = margin + (beyond > 0n ? beyond : 0n) + times(price, decimal(market.takerFeeRate));
  return over(free, each) ?? 0n;
}

function heldIn(market, side) {
  const held = positions.now.get(market.id);
  const reduces = held && (held.side === "LONG") === (side === "SELL");
  return reduces ? times(decimal(held.quantity), ONE) : 0n;
}
