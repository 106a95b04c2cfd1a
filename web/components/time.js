/** Times: local, with UTC in the title. */

import { dateAndTime, timeOfDay, utc } from "../lib/format.js";
import { html } from "../vendor/htm/preact.js";

/** A moment of the API. */
export function Time({ at, isShort = false }) {
  if (!at) return "–";
  return html`<time datetime=${at} title=${utc(at)}>${isShort ? timeOfDay(at) : dateAndTime(at)}</time>`;
}
