/** Whether an account is frozen. */

import { Badge } from "../components/badge.js";
import { html } from "../vendor/htm/preact.js";

/** Frozen, or normal. */
export function FrozenBadge({ at }) {
  return at ? html`<${Badge} kind="warn">frozen<//>` : html`<span class="faint">normal</span>`;
}
