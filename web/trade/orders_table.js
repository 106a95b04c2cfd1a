/** Orders that have not ended: their terms can be changed in place. */

import { Side } from "../components/badge.js";
import { Button } from "../components/button.js";
import { Table } from "../components/table.js";
import { Time } from "../components/time.js";
import { words } from "../lib/format.js";
import { useValue } from "../lib/state.js";
import { html, useState } from "../vendor/htm/preact.js";
import { AmendCell } from "./amend_cell.js";
import { orders } from "./account_feed.js";
import { markets, precisionOf } from "./markets.js";
import { cancel, cancelAll } from "./order_entry.js";
import { isConditional, TYPES } from "./order_types.js";

/** The table; of one market where `onlyMarket` names it. */
export function OrdersTable({ onlyMarket }) {
  useValue(orders);
  useValue(markets);
  const [isSure, setSure] = useState(false);
  const rows = [...orders.now.values()].filter(({ marketId }) => precisionOf(marketId) && (!onlyMarket || marketId === onlyMarket)).sort((left, right) => right.createdAt.localeCompare(left.createdAt));
  const columns = [
    { title: "Time", cell: ({ createdAt }) => html`<${Time} at=${createdAt} />` },
    { title: "Market", cell: ({ marketId }) => marketId },
    { title: "Type", cell: typeOf },
    { title: "Side", cell: ({ side }) => html`<${Side} side=${side} />` },
    { title: "Price", isNumber: true, cell: (order) => html`<${AmendCell} order=${order} name="price" text=${priceOf(order)} />` },
    { title: "Quantity", isNumber: true, cell: (order) => html`<${AmendCell} order=${order} name="quantity" text=${quantityOf(order)} />` },
    { title: "Filled", isNumber: true, cell: ({ marketId, filledQuantity }) => precisionOf(marketId).quantity(filledQuantity) },
    { title: "Trigger", isNumber: true, cell: (order) => html`<${AmendCell} order=${order} name="triggerPrice" text=${triggerOf(order)} />` },
    { title: "Conditions", isWide: true, cell: conditionsOf },
    { title: "Status", cell: (order) => html`<span title=${order.amendRefused ? `The last amend was refused: ${order.amendRefused}` : undefined}>${words(order.status)}${order.amendRefused ? " *" : ""}</span>` },
    { title: "Actions", isUntitled: true, cell: (order) => html`<span class="actions"><${Button} class="small" aria-label=${`Cancel ${order.orderId}`} onClick=${() => cancel(order)}>Cancel<//></span>` },
  ];
  const all = async () => {
    setSure(false);
    await cancelAll(onlyMarket);
  };
  const cancelling = rows.length > 0 && html`<p class="below">${isSure ? html`<${Button} kind="danger" class="small" onClick=${all}>Cancel all ${rows.length} now<//> <${Button} class="small" onClick=${() => setSure(false)}>Keep them<//>` : html`<${Button} class="small" onClick=${() => setSure(true)}>Cancel all<//>`}</p>`;
  return html`<${Table} caption="Open orders" columns=${columns} rows=${rows} keyOf=${({ orderId }) => orderId} empty="No open orders" after=${cancelling} />`;
}

/** The type of an order, with what it is attached to. */
export function typeOf({ type, parentOrderId }) {
  const name = TYPES[type]?.name ?? type;
  return parentOrderId ? html`<span title=${`Attached to ${parentOrderId}`}>${name} (attached)</span>` : name;
}

/** What bounds an order besides its price. */
export function conditionsOf({ timeInForce, type, postOnly, reduceOnly, closePosition, workingType, expiresAt, ocoGroup }) {
  const parts = [
    TYPES[type]?.hasPrice && !isConditional(type) && timeInForce !== "GTC" && timeInForce,
    expiresAt && html`until <${Time} at=${expiresAt} />`,
    postOnly && "post-only",
    closePosition ? "close position" : reduceOnly && "reduce-only",
    workingType && `by ${workingType.toLowerCase()}`,
    ocoGroup && "OCO",
  ].filter(Boolean);
  return parts.map((part, index) => html`${index ? ", " : ""}${part}`);
}

function priceOf({ marketId, price, type }) {
  return price && TYPES[type]?.hasPrice !== undefined ? precisionOf(marketId).price(price) : "Market";
}

function quantityOf({ marketId, quantity, closePosition }) {
  return closePosition && /^0/.test(quantity) ? "Position" : precisionOf(marketId).quantity(quantity);
}

function triggerOf({ marketId, triggerPrice, callbackRate, activationPrice }) {
  if (triggerPrice) return precisionOf(marketId).price(triggerPrice);
  if (!callbackRate) return "–";
  const percent = `${Number(callbackRate) * 100}%`;
  return activationPrice ? `${percent} from ${precisionOf(marketId).price(activationPrice)}` : percent;
}
