/**
 * How fresh the page is: live; reconnecting, while there is no connection; or stale, while the market's own time does not move on.
 *
 * Every message of a market carries the time of its last event. A market with orders or positions moves once a second, so when no
 * message has come for a while its time is read over REST, and where that does not move either, what the page shows is stale.
 */

import { read } from "../lib/api.js";
import { Value } from "../lib/state.js";
import { live } from "./connection.js";
import { chosen, tickers } from "./markets.js";

const LOOK_MS = 1_000;
const STALE_MS = 4_000;
const IDLE_STALE_MS = 70_000;

/** {name: "connecting" | "live" | "reconnecting" | "stale", since}: `since` in milliseconds of this machine. */
export const freshness = new Value(live.state.now);

let moved = { market: null, time: "", at: 0 };

/** A message, or anything else with a `time`, of a market. */
export function heard(market, { time }) {
  if (market !== chosen.now || !time) return;
  if (moved.market !== market || time > moved.time) moved = { market, time, at: Date.now() };
}

/** Watch from now on. */
export function watchFreshness() {
  live.state.watch(judge);
  chosen.watch(() => (moved = { market: chosen.now, time: "", at: Date.now() }));
  setInterval(look, LOOK_MS);
}

async function look() {
  if (live.state.now.name === "live" && chosen.now && Date.now() - moved.at > 2 * LOOK_MS && !document.hidden) {
    const market = chosen.now;
    const ticker = await read(`/markets/${encodeURIComponent(market)}/ticker`).catch(() => null);
    if (ticker) heard(market, ticker);
  }
  judge();
}

function judge() {
  const connection = live.state.now;
  const isStale = connection.name === "live" && moved.at > 0 && Date.now() - Math.max(moved.at, connection.since) > allowed();
  const next = isStale ? { name: "stale", since: moved.at } : connection;
  if (next.name !== freshness.now.name || next.since !== freshness.now.since) freshness.set(next);
}

/** A market without orders and positions moves once a minute. */
function allowed() {
  const ticker = tickers.now.get(chosen.now);
  const isBusy = ticker && (ticker.bestBid || ticker.bestAsk || ticker.openInterest !== "0");
  return isBusy ? STALE_MS : IDLE_STALE_MS;
}
