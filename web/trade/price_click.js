/** A price that is clicked goes to the field that the type of the order has. */

import { change, draft } from "./order_draft.js";
import { TYPES } from "./order_types.js";

/** Take a price into the form. */
export function takePrice(price) {
  const { type } = draft.now;
  if (TYPES[type].hasPrice) change({ price });
  else if (TYPES[type].hasTrigger) change({ triggerPrice: price });
  else if (TYPES[type].isTrailing) change({ activationPrice: price });
  else change({ type: "LIMIT", price });
}
