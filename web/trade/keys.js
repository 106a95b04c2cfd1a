/** The keys of the trading page (help_dialog.js lists them). */

import { onKeys } from "../lib/keyboard.js";
import { isHelping } from "./help_dialog.js";
import { isPicking } from "./market_picker.js";
import { change } from "./order_draft.js";
import { view } from "./view.js";

/** Listen from now on. */
export function listenToKeys() {
  const side = (name) => () => {
    change({ side: name });
    goTo("quantity");
  };
  onKeys({
    b: side("BUY"),
    s: side("SELL"),
    p: () => goTo("price"),
    m: () => isPicking.set(true),
    "?": () => isHelping.set(true),
  });
  window.addEventListener("keydown", (event) => event.key === "Escape" && document.activeElement?.matches("input, select") && document.activeElement.blur());
}

/** Show the form, where only one panel is shown, and put the cursor into a field. */
function goTo(name) {
  view.set("order");
  requestAnimationFrame(() => document.querySelector(`.order [data-field="${name}"]`)?.select());
}
