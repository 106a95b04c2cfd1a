/** What would become of the order in the form: asked of the exchange while it is typed. */

import { call } from "../lib/api.js";
import { session } from "../lib/session.js";
import { Value } from "../lib/state.js";
import { balance } from "./account_feed.js";
import { chosen } from "./markets.js";
import { bodyOf, draft } from "./order_draft.js";

const TYPED_MS = 200;
const AGAIN_MS = 3_000;

/** {body, answer} or {body, refusal} of the last order that was asked about; null where the form is no order. */
export const preview = new Value(null);

let timer = null;
let asked = 0;

/** Ask at each change of the form from now on, and again while it stays. */
export function watchPreview() {
  for (const value of [draft, chosen, session, balance]) value.watch(() => plan(TYPED_MS));
}

function plan(wait) {
  clearTimeout(timer);
  timer = setTimeout(ask, wait);
}

async function ask() {
  const { body, missing } = bodyOf(draft.now, chosen.now);
  const number = (asked += 1);
  if (!session.now || !chosen.now || missing) return preview.set(null);
  if (document.hidden) return plan(AGAIN_MS);
  const next = await call("POST", "/orders/preview", body).then(
    (answer) => ({ body, answer }),
    (refusal) => ({ body, refusal }),
  );
  if (number !== asked) return undefined;
  preview.set(next);
  return plan(AGAIN_MS);
}
