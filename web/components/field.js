/** Fields of forms, each with its label, what is wrong with it, and its unit. */

import { html, useRef } from "../vendor/htm/preact.js";

let fields = 0;

/** An id that no other element of the page has. */
export function useId() {
  const id = useRef(null);
  id.current ??= `field-${(fields += 1)}`;
  return id.current;
}

/** A line of text. `onInput` gets the text; further properties go to the input. */
export function Field({ label, unit, error, hint, value, onInput, class: more = "", ...rest }) {
  const id = useId();
  const note = error ?? hint;
  return html`<div class=${`field ${more}`}>
    <label for=${id}>${label}</label>
    <div class="input">
      <input
        id=${id}
        value=${value}
        autocomplete="off"
        spellcheck=${false}
        aria-invalid=${error ? "true" : null}
        aria-describedby=${note ? `${id}-note` : null}
        onInput=${(event) => onInput(event.currentTarget.value)}
        ...${rest}
      />
      ${unit && html`<span class="unit" aria-hidden="true">${unit}</span>`}
    </div>
    ${note && html`<p id=${`${id}-note`} class=${error ? "note bad" : "note"}>${note}</p>`}
  </div>`;
}

/** A decimal: digits and one point; a comma counts as one. */
export function DecimalField({ onInput, ...rest }) {
  const clean = (text) => onInput(text.replace(",", ".").replace(/[^0-9.]/g, ""));
  return html`<${Field} inputmode="decimal" class="decimal" onInput=${clean} ...${rest} />`;
}

/** One of some options [{value, label}]. */
export function Choice({ label, options, value, onChange, class: more = "" }) {
  const id = useId();
  return html`<div class=${`field ${more}`}>
    <label for=${id}>${label}</label>
    <div class="input">
      <select id=${id} value=${value} onChange=${(event) => onChange(event.currentTarget.value)}>
        ${options.map((option) => html`<option key=${option.value} value=${option.value}>${option.label}</option>`)}
      </select>
    </div>
  </div>`;
}

/** Yes or no. */
export function Check({ label, checked, onChange, ...rest }) {
  return html`<label class="check">
    <input type="checkbox" checked=${checked} onChange=${(event) => onChange(event.currentTarget.checked)} ...${rest} />
    <span>${label}</span>
  </label>`;
}
