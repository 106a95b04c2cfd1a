/** Short reports of what an action did. They are read out, and go away by themselves; those of faults stay longer. */

import { Value, useValue } from "../lib/state.js";
import { inWords } from "../lib/refusals.js";
import { html } from "../vendor/htm/preact.js";
import { Button } from "./button.js";

const SHOWN_MS = 6_000;
const FAULTS_SHOWN_MS = 12_000;
const KEPT = 4;
const toasts = new Value([]);
let last = 0;

/** Report something; `kind` is "good", "bad" or "plain". */
export function report(text, kind = "good") {
  const toast = { id: (last += 1), text, kind };
  toasts.set([...toasts.now.slice(1 - KEPT), toast]);
  setTimeout(() => dismiss(toast), kind === "bad" ? FAULTS_SHOWN_MS : SHOWN_MS);
}

/** Report a refusal in words, with its code. */
export function reportRefusal(refusal, what = "") {
  report(`${what}${inWords(refusal)}`, "bad");
}

function dismiss(toast) {
  toasts.set(toasts.now.filter(({ id }) => id !== toast.id));
}

/** Where the reports appear: once in a page. */
export function Toasts() {
  const shown = useValue(toasts);
  return html`<div class="toasts" role="log" aria-live="polite" aria-label="Reports">
    ${shown.map(
      (toast) => html`<div key=${toast.id} class=${`toast ${toast.kind}`}>
        <span>${toast.text}</span>
        <${Button} kind="quiet" aria-label="Dismiss" onClick=${() => dismiss(toast)}>✕<//>
      </div>`,
    )}
  </div>`;
}
