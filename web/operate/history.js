/** The last minutes of a few numbers, for the sparklines: a point at each look. */

import { Value } from "../lib/state.js";
import { slowestUs, totalRate } from "./pace.js";
import { conservation, fund, markets } from "./polled.js";

const KEPT = 150;

/** A series: times in seconds, and values. */
class Series extends Value {
  constructor() {
    super({ times: [], values: [] });
  }

  /** Add a point. */
  add(at, value) {
    const { times, values } = this.now;
    this.set({ times: [...times, at / 1000].slice(-KEPT), values: [...values, value].slice(-KEPT) });
  }
}

export const ordersPerSecond = new Series();
export const latency = new Series();
export const backlog = new Series();
export const fundWallet = new Series();
export const difference = new Series();

/** Note each answer. */
export function keepHistory() {
  markets.watch(({ body, at }) => body && noteMarkets(body, at));
  fund.watch(({ body, at }) => body && noteOnce(fundWallet, at, Number(body.wallet)));
  conservation.watch(({ body, at }) => body && noteOnce(difference, at, Number(body.difference)));
}

function noteMarkets(all, at) {
  noteOnce(ordersPerSecond, at, totalRate(all));
  noteOnce(latency, at, slowestUs(all));
  noteOnce(backlog, at, all.reduce((sum, { unsent, unpersisted }) => sum + unsent + unpersisted, 0));
}

function noteOnce(series, at, value) {
  if (series.now.times.at(-1) !== at / 1000) series.add(at, value);
}
