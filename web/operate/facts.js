/** Facts of any shape as text: names, values, and lists of them. */

import { html } from "../vendor/htm/preact.js";

/** A list of named facts. */
export function Facts({ title, facts }) {
  return html`<div class="facts">
    <h3>${title}</h3>
    <${Part} fact=${facts} />
  </div>`;
}

function Part({ fact }) {
  if (fact === null || typeof fact !== "object") return html`<span>${fact === null ? "–" : String(fact)}</span>`;
  if (Array.isArray(fact)) return fact.length ? html`<ol>${fact.map((each, place) => html`<li key=${place}><${Part} fact=${each} /></li>`)}</ol>` : "none";
  return html`<dl>
    ${Object.entries(fact).map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd><${Part} fact=${value} /></dd></div>`)}
  </dl>`;
}
