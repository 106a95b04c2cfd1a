/** A word with a state: "good", "bad", "warn", "buy", "sell" or "plain". */

import { html } from "../vendor/htm/preact.js";

/** A badge. */
export function Badge({ kind = "plain", children, ...rest }) {
  return html`<span class=${`badge ${kind}`} ...${rest}>${children}</span>`;
}

/** BUY and LONG, SELL and SHORT: colour, and always the word. */
export function Side({ side }) {
  const isBuy = side === "BUY" || side === "LONG";
  return html`<span class=${isBuy ? "buy" : "sell"}>${side[0] + side.slice(1).toLowerCase()}</span>`;
}

/** A text in the colour of its sign; "" for zero. */
export function toneOf(text) {
  if (!text || /^-?0(\.0+)?$/.test(text)) return "";
  return text.startsWith("-") ? "sell" : "buy";
}
