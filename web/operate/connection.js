/** The socket: marks, states and liquidations as they come, between two looks. */

import { Live } from "../lib/live.js";
import { Value } from "../lib/state.js";
import { liquidations, markets } from "./polled.js";

/** Mark and status of each market as the log has them, by market id: {markPrice, indexPrice, status}. */
export const seen = new Value(new Map());
/** The state of the connection. */
export let connection = new Value({ name: "connecting", since: Date.now() });
const followed = new Set();
let live = null;

/** Follow every market that is listed. */
export function followMarkets() {
  live = new Live();
  connection = live.state;
  markets.watch(({ body }) => {
    for (const { marketId } of body ?? []) follow(marketId);
  });
}

function follow(market) {
  if (followed.has(market)) return;
  followed.add(market);
  live.subscribe({ channel: "mark", market }, (message) => note(market, message));
  live.subscribe({ channel: "status", market }, (message) => {
    note(market, message);
    if (message.status) markets.read();
  });
  live.subscribe({ channel: "liquidations", market }, ({ op }) => op !== "subscribed" && liquidations.read());
}

function note(market, { markPrice, indexPrice, status }) {
  const before = seen.now.get(market) ?? {};
  seen.now.set(market, {
    markPrice: markPrice ?? before.markPrice,
    indexPrice: indexPrice ?? before.indexPrice,
    status: status ?? before.status,
  });
  seen.touch();
}
