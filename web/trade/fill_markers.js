/** Own fills as marks of candles: one a candle and side, with the sum of their quantities. */

import { decimal, toText } from "../lib/decimal.js";

const SECONDS = { m: 60, h: 3_600, d: 86_400 };

/** Marks of fills that come newest first, oldest first; `interval` is the length of a candle, as 15m. */
export function marksOf(fills, interval) {
  const length = Number(interval.slice(0, -1)) * SECONDS[interval.at(-1)];
  const marks = new Map();
  for (const { side, time, quantity } of fills) {
    const seconds = Math.floor(Date.parse(time) / 1000 / length) * length;
    const mark = marks.get(`${side} ${seconds}`) ?? { side, time: seconds, sum: 0n };
    marks.set(`${side} ${seconds}`, { ...mark, sum: mark.sum + decimal(quantity) });
  }
  return [...marks.values()].map(({ side, time, sum }) => ({ side, time, quantity: toText(sum) })).reverse();
}
