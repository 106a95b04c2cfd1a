/** How near the front of the queue for auto-deleveraging a position is: five lights, and the same in words. */

import { html } from "../vendor/htm/preact.js";

const LIGHTS = [0, 1, 2, 3, 4];

/** The lights of a rank, 0 (last) to 4 (first). */
export function AdlLights({ rank }) {
  const text = `${rank + 1} of ${LIGHTS.length} lights: ${rank === 4 ? "among the first" : rank === 0 ? "among the last" : "in between"} to be deleveraged`;
  return html`<span class="adl" role="img" aria-label=${text} title=${text}>${LIGHTS.map((light) => html`<i key=${light} class=${light <= rank ? `on rank-${rank}` : ""}></i>`)}</span>`;
}
