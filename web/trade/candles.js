/** Candles of a market for the chart: the stored ones, then each change. */

import { readPatiently } from "../lib/api.js";
import { live } from "./connection.js";

const KEPT = 500;

/** Intervals, as the API names them. */
export const INTERVALS = ["1m", "5m", "15m", "1h", "4h", "1d"];

/**
 * Follow the candles of a market: `begin` gets the stored ones, oldest first, whenever they are read (at first, and after each
 * cut), `take` each that changes. Returns what ends it.
 */
export function followCandles(market, interval, begin, take) {
  let isOver = false;
  let isRead = false;
  let readings = 0;
  let early = [];
  const readAll = async () => {
    const number = (readings += 1);
    isRead = false;
    early = [];
    const isWanted = () => !isOver && number === readings;
    const stored = await readPatiently(`/markets/${encodeURIComponent(market)}/candles?interval=${interval}&limit=${KEPT}`, isWanted);
    if (!stored || !isWanted()) return;
    begin(stored.data.reverse());
    isRead = true;
    for (const candle of early) take(candle);
  };
  const end = live.subscribe({ channel: "candles", market, interval }, (message) => {
    if (message.op === "subscribed") readAll();
    if (message.op !== "candle") return;
    if (isRead) take(message.data);
    else early.push(message.data);
  });
  return () => {
    isOver = true;
    end();
  };
}
