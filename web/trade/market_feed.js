/** What the page shows of the market that is traded: book, trades, mark and status, live. */

import { Book } from "../lib/book.js";
import { readPatiently } from "../lib/api.js";
import { Value } from "../lib/state.js";
import { live } from "./connection.js";
import { heard } from "./freshness.js";
import { followTicker } from "./markets.js";

/** Levels that the book holds. */
export const DEPTH = 100;
const TRADES_KEPT = 60;

/** The book; null until its first snapshot. */
export const book = new Value(null);
/** The last trades, newest first. */
export const trades = new Value([]);
/** Mark, index and funding. */
export const mark = new Value(null);
/** The status of the market. */
export const status = new Value(null);

/** Follow a market; returns what ends it. */
export function follow(id) {
  for (const [value, empty] of [[book, null], [trades, []], [mark, null], [status, null]]) value.set(empty);
  const ends = [followBook(id), followState(id), followStatus(id), followTicker(id), followTrades(id)];
  return () => ends.forEach((end) => end());
}

function followBook(id) {
  const kept = new Book();
  const fields = { channel: "book", market: id, depth: DEPTH };
  return live.subscribe(fields, (message) => {
    if (message.op === "subscribed") return;
    heard(id, message);
    if (!kept.take(message)) live.restart(fields);
    else if (book.now === kept) book.touch();
    else book.set(kept);
  });
}

function followState(id) {
  return live.subscribe({ channel: "mark", market: id }, (message) => {
    if (message.op !== "mark") return;
    heard(id, message);
    mark.set(message.data);
  });
}

function followStatus(id) {
  return live.subscribe({ channel: "status", market: id }, (message) => {
    if (message.op === "status") status.set(message.status);
  });
}

/** The last trades of the tables, then each that follows them. */
function followTrades(id) {
  let end = () => {};
  let isOver = false;
  const take = (message) => {
    if (message.op !== "trade") return;
    heard(id, message.data);
    trades.set([message.data, ...trades.now].slice(0, TRADES_KEPT));
  };
  const first = async () => {
    const stored = await readPatiently(`/markets/${encodeURIComponent(id)}/trades?limit=${TRADES_KEPT}`, () => !isOver);
    if (isOver || !stored) return;
    trades.set(stored.data);
    end = live.subscribe({ channel: "trades", market: id, from: (stored.data[0]?.sequence ?? 0) + 1 }, take);
  };
  first();
  return () => {
    isOver = true;
    end();
  };
}
