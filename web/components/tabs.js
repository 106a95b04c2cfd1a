/** Tabs: arrows move between them. */

import { html } from "../vendor/htm/preact.js";
import { useId } from "./field.js";

const STEPS = { ArrowRight: 1, ArrowLeft: -1 };

/** Tabs [{id, label}] over a panel with the content of the one that is chosen. */
export function Tabs({ label, tabs, chosen, onChoose, children, tools }) {
  const id = useId();
  const move = (event) => {
    const step = STEPS[event.key];
    if (!step) return;
    event.preventDefault();
    const place = (tabs.findIndex((tab) => tab.id === chosen) + step + tabs.length) % tabs.length;
    onChoose(tabs[place].id);
    document.getElementById(`${id}-${tabs[place].id}`)?.focus();
  };
  return html`<div class="tabs">
    <div class="tabs-head">
      <div role="tablist" aria-label=${label} onKeyDown=${move}>
        ${tabs.map(
          (tab) => html`<button
            type="button"
            role="tab"
            key=${tab.id}
            id=${`${id}-${tab.id}`}
            aria-selected=${tab.id === chosen}
            aria-controls=${`${id}-panel`}
            tabindex=${tab.id === chosen ? 0 : -1}
            onClick=${() => onChoose(tab.id)}
          >
            ${tab.label}
          </button>`,
        )}
      </div>
      ${tools}
    </div>
    <div role="tabpanel" id=${`${id}-panel`} aria-labelledby=${`${id}-${chosen}`} tabindex="0">${children}</div>
  </div>`;
}
