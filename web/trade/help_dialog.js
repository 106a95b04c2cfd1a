/** The keys of the page. */

import { Dialog } from "../components/dialog.js";
import { Value, useValue } from "../lib/state.js";
import { html } from "../vendor/htm/preact.js";

const KEYS = [
  ["b / s", "Buy, sell: go to the quantity"],
  ["p", "Go to the price"],
  ["m", "Choose a market"],
  ["↑ / ↓ in a price or quantity", "One tick or lot up or down, with Shift ten"],
  ["Enter in the form", "Send the order"],
  ["Enter / Esc in a table", "Send the amend, leave it"],
  ["Esc", "Close a dialog, leave a field"],
  ["?", "This list"],
];

/** Whether it is open. */
export const isHelping = new Value(false);

/** The dialog, while it is open. */
export function HelpDialog() {
  if (!useValue(isHelping)) return null;
  return html`<${Dialog} title="Keys" onClose=${() => isHelping.set(false)}>
    <dl class="keys">${KEYS.map(([key, meaning]) => html`<div key=${key}><dt><kbd>${key}</kbd></dt><dd>${meaning}</dd></div>`)}</dl>
  <//>`;
}
