/** The leverage of the account in each market. */

import { call, readPatiently } from "../lib/api.js";
import { session } from "../lib/session.js";
import { Value } from "../lib/state.js";
import { markets } from "./markets.js";

/** Leverage by market; a market that is missing has its maximum. */
export const leverages = new Value(new Map());

/** Read it for the account of the session, from now on. */
export function watchLeverage() {
  session.watch(readAll);
  readAll();
}

/** The leverage in a market. */
export function leverageOf(id) {
  return leverages.now.get(id) ?? markets.now?.get(id)?.maxLeverage ?? 1;
}

/** Change it; throws a Refusal. */
export async function setLeverage(id, leverage) {
  const answer = await call("POST", `/positions/${encodeURIComponent(id)}/leverage`, { leverage });
  leverages.set(new Map(leverages.now).set(id, answer.leverage));
}

async function readAll() {
  const login = session.now;
  leverages.set(new Map());
  if (!login) return;
  const found = await readPatiently("/leverage?limit=500", () => session.now === login);
  if (found && session.now === login) leverages.set(new Map(found.data.map(({ marketId, leverage }) => [marketId, leverage])));
}
