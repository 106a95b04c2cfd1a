/** The markets, the one that is traded, and their tickers. */

import { decoded } from "../lib/address.js";
import { AGAIN_MS, read } from "../lib/api.js";
import { Precision } from "../lib/format.js";
import { Value } from "../lib/state.js";
import { live } from "./connection.js";

const KEY = "perpetua.market";

/** Every market by its id, as of the last reading; null before the first. */
export const markets = new Value(null);
/** The id of the market that is traded; null before it is known. */
export const chosen = new Value(null);
/** Tickers by market: those of the markets that are followed. */
export const tickers = new Value(new Map());

/** The market that is traded, or null. */
export function market() {
  return markets.now?.get(chosen.now) ?? null;
}

/** How its prices and quantities are written. */
export function precisionOf(id) {
  const found = markets.now?.get(id);
  return found ? (found.precision ??= new Precision(found)) : null;
}

/** Trade another market, and name it in the address. */
export function choose(id, { isNew = true } = {}) {
  localStorage.setItem(KEY, id);
  if (isNew) history.pushState(null, "", `/trade/${encodeURIComponent(id)}`);
  chosen.set(id);
}

/** Read the markets, again until it works, and choose the one in the address, the last one, or the first. */
export async function begin() {
  window.addEventListener("popstate", () => chosen.set(named() ?? chosen.now));
  await refresh();
  while (!markets.now) {
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    await refresh();
  }
  choose(named() ?? lastOr(markets.now), { isNew: false });
}

/** Read the markets again. */
export async function refresh() {
  try {
    const { data } = await read("/markets?limit=500");
    markets.set(new Map(data.map((one) => [one.id, one])));
  } catch {
    // the state of the connection is shown; `begin` tries again
  }
}

/** Follow the ticker of a market; returns what ends it. */
export function followTicker(id) {
  return live.subscribe({ channel: "ticker", market: id }, (message) => {
    if (message.op !== "ticker") return;
    tickers.now.set(id, message.data);
    tickers.touch();
  });
}

function named() {
  const [, place, id] = location.pathname.split("/");
  return place === "trade" && id ? decoded(id) : null;
}

function lastOr(known) {
  const last = localStorage.getItem(KEY);
  return known.has(last) ? last : (known.keys().next().value ?? null);
}
