/** A panel of the console: a title, the state of what it shows, and the content once it is there. */

import { Badge } from "../components/badge.js";
import { timeOfDay } from "../lib/format.js";
import { inWords } from "../lib/refusals.js";
import { html } from "../vendor/htm/preact.js";
import { staleSince, usePolled } from "./polled.js";

/** A panel over a polled value; `children` draws its body. */
export function Panel({ title, polled, tools, children }) {
  const found = usePolled(polled);
  const stale = staleSince(found);
  return html`<section class="panel" aria-label=${title}>
    <div class="panel-head">
      <h2>${title}</h2>
      ${stale && html`<${Badge} kind="bad">Stale since ${timeOfDay(stale)}<//>`} ${tools}
    </div>
    ${found.body === null ? html`<p class="empty">${found.refusal ? inWords(found.refusal) : "Reading"}</p>` : children(found.body)}
  </section>`;
}
