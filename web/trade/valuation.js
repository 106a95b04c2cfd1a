/** The account at the marks of now: the exchange's values, moved exactly by what the marks have moved since. */

import { decimal, over, times } from "../lib/decimal.js";
import { balance, marks, positions } from "./account_feed.js";

/** A position at the mark of now: {mark, pnl, roi}, decimals; `roi` is null without margin. */
export function valued(position) {
  const seen = decimal(position.markPrice ?? "") ?? 0n;
  const mark = decimal(marks.now.get(position.marketId) ?? "") ?? seen;
  const size = position.side === "LONG" ? decimal(position.quantity) : -decimal(position.quantity);
  const pnl = decimal(position.unrealizedPnl) + times(size, mark - seen);
  return { mark, pnl, roi: over(pnl, decimal(position.initialMargin)) };
}

/** The account: {wallet, pnl, equity, maintenance, ratio, available}, decimals; null without a balance. */
export function account() {
  if (!balance.now) return null;
  const wallet = decimal(balance.now.total);
  let [pnl, moved, maintenance] = [0n, 0n, 0n];
  for (const position of positions.now.values()) {
    const now = valued(position);
    pnl += now.pnl;
    moved += now.pnl - decimal(position.unrealizedPnl);
    maintenance += decimal(position.maintenanceMargin);
  }
  const equity = wallet + pnl;
  const ratio = maintenance ? (equity > 0n ? over(maintenance, equity) : decimal("1")) : 0n;
  return { wallet, pnl, equity, maintenance, ratio, available: decimal(balance.now.availableMargin) + moved };
}
