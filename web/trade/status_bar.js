/** How long orders took, and the keys. */

import { Button } from "../components/button.js";
import { useValue } from "../lib/state.js";
import { html } from "../vendor/htm/preact.js";
import { isHelping } from "./help_dialog.js";
import { latencies } from "./order_entry.js";

/** The line below everything. */
export function StatusBar() {
  const known = useValue(latencies);
  const median = [...known].sort((left, right) => left - right)[Math.floor(known.length / 2)];
  return html`<footer class="status-bar">
    <span title="From the click to the stored order, over the socket">${known.length ? `Last order acknowledged in ${known[0].toFixed(0)} ms, median of ${known.length}: ${median.toFixed(0)} ms` : "No order sent yet"}</span>
    <${Button} kind="quiet" class="small" onClick=${() => isHelping.set(true)}>Keys (?)<//>
  </footer>`;
}
