/** The pace of markets: orders a second, and the time from an accepted order to its rows. */

/** Orders a second of one market. */
export function rateOf({ seconds, ordersAccepted }) {
  return ordersAccepted / seconds;
}

/** Orders a second of all. */
export function totalRate(markets) {
  return markets.reduce((sum, { pace }) => sum + rateOf(pace), 0);
}

/** The slowest market's 95th percentile in microseconds; null where no market had an order. */
export function slowestUs(markets) {
  const known = markets.map(({ pace }) => pace.latencyUsP95).filter((us) => us !== null);
  return known.length ? Math.max(...known) : null;
}

/** Microseconds as milliseconds. */
export function milliseconds(us) {
  return (us / 1_000).toFixed(1);
}
