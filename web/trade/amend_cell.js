/** A term of an open order that can be changed in place: Enter sends the amend, Esc leaves it. */

import { html, useEffect, useRef, useState } from "../vendor/htm/preact.js";
import { amend } from "./order_entry.js";
import { TYPES } from "./order_types.js";

const NAMES = { price: "price", quantity: "quantity", triggerPrice: "trigger price" };
const AMENDABLE = new Set(["OPEN", "PARTIALLY_FILLED", "UNTRIGGERED"]);

/** The cell of the term `name`, which reads `text`. */
export function AmendCell({ order, name, text }) {
  const [typed, type] = useState(null);
  const field = useRef(null);
  useEffect(() => typed !== null && field.current?.select(), [typed === null]);
  if (!canAmend(order, name)) return text;
  if (typed === null) {
    return html`<button type="button" class="amend" title=${`Change the ${NAMES[name]}`} aria-label=${`${text}, change the ${NAMES[name]} of ${order.orderId}`} onClick=${() => type(order[name])}>${text}</button>`;
  }
  const press = async (event) => {
    if (event.key === "Escape") type(null);
    if (event.key !== "Enter") return;
    event.preventDefault();
    if (typed === order[name] || (await amend(order, { [name]: typed }))) type(null);
  };
  return html`<input class="amend" ref=${field} inputmode="decimal" autocomplete="off" aria-label=${`New ${NAMES[name]} of ${order.orderId}`} value=${typed} onInput=${(event) => type(event.currentTarget.value.replace(",", "."))} onKeyDown=${press} onBlur=${() => type(null)} />`;
}

function canAmend(order, name) {
  if (!AMENDABLE.has(order.status) || order.cancelRequestedAt) return false;
  if (name === "price") return Boolean(TYPES[order.type]?.hasPrice);
  if (name === "quantity") return !order.closePosition;
  return order.status === "UNTRIGGERED" && Boolean(order.triggerPrice);
}
