/** Buttons. `kind` is "plain", "primary", "buy", "sell", "danger" or "quiet". */

import { html } from "../vendor/htm/preact.js";

/** A button; `isBusy` while what it began is under way. */
export function Button({ kind = "plain", isBusy = false, children, class: more = "", ...rest }) {
  return html`<button type="button" class=${`button ${kind} ${more}`} aria-busy=${isBusy} disabled=${isBusy} ...${rest}>${children}</button>`;
}

/** A choice of a few: one of `options` [{value, label}] is pressed. */
export function Segmented({ label, options, value, onChange, class: more = "" }) {
  return html`<div class=${`segmented ${more}`} role="group" aria-label=${label}>
    ${options.map(
      (option) =>
        html`<button type="button" key=${option.value} class=${option.kind ?? ""} aria-pressed=${option.value === value} onClick=${() => onChange(option.value)}>
          ${option.label}
        </button>`,
    )}
  </div>`;
}
