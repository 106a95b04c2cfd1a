/** A number of the overview: its name, its value, a note, and its last minutes. */

import { html } from "../vendor/htm/preact.js";
import { Sparkline } from "./sparkline.js";

/** One number; `kind` is "good", "bad", "warn" or "plain". */
export function Figure({ name, value, note, series, kind = "plain" }) {
  return html`<div class=${`figure ${kind}`}>
    <dt>${name}</dt>
    <dd>
      <strong>${value}</strong>
      <span class="note">${note}</span>
      ${series && html`<${Sparkline} series=${series} />`}
    </dd>
  </div>`;
}
