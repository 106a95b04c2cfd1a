/** Take-profit and stop-loss of a position: two orders that close it at market, of which the first to fire cancels the other. */

import { Button } from "../components/button.js";
import { Dialog } from "../components/dialog.js";
import { Choice, DecimalField } from "../components/field.js";
import { newId } from "../lib/ids.js";
import { useValue } from "../lib/state.js";
import { html, useState } from "../vendor/htm/preact.js";
import { orders } from "./account_feed.js";
import { isExit } from "./exits.js";
import { markets, precisionOf } from "./markets.js";
import { cancel, place } from "./order_entry.js";
import { typeName } from "./order_types.js";

const WORKING = [
  { value: "MARK", label: "Mark" },
  { value: "LAST", label: "Last" },
  { value: "INDEX", label: "Index" },
];

/** The dialog. */
export function ExitDialog({ position, onClose }) {
  const known = [...useValue(orders).values()].filter((order) => isExit(order, position));
  const { marketId, side } = position;
  const unit = markets.now.get(marketId).quoteAsset;
  const [takeProfit, setTakeProfit] = useState("");
  const [stopLoss, setStopLoss] = useState("");
  const [workingType, setWorkingType] = useState("MARK");
  const [isBusy, setBusy] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    const common = { marketId, side: side === "LONG" ? "SELL" : "BUY", closePosition: true, workingType, ...(takeProfit && stopLoss ? { ocoGroup: newId() } : {}) };
    const wanted = [takeProfit && { ...common, type: "TAKE_PROFIT_MARKET", triggerPrice: takeProfit }, stopLoss && { ...common, type: "STOP_MARKET", triggerPrice: stopLoss }];
    const placed = await Promise.all(wanted.filter(Boolean).map(place));
    if (placed.length && placed.every(Boolean)) onClose();
    setBusy(false);
  };
  return html`<${Dialog} title=${`TP/SL of ${marketId} ${side.toLowerCase()}`} onClose=${onClose}>
    <form class="stack" onSubmit=${submit}>
      ${known.length > 0 && html`<ul class="exits">${known.map((order) => html`<${Known} key=${order.orderId} order=${order} />`)}</ul>`}
      <div class="pair">
        <${DecimalField} label="Take profit" unit=${unit} value=${takeProfit} onInput=${setTakeProfit} />
        <${DecimalField} label="Stop loss" unit=${unit} value=${stopLoss} onInput=${setStopLoss} />
      </div>
      <${Choice} label="Trigger by" options=${WORKING} value=${workingType} onChange=${setWorkingType} />
      <p class="note">Each closes the whole position at market. Given both, the first to fire cancels the other.</p>
      <${Button} kind="primary" type="submit" isBusy=${isBusy} disabled=${isBusy || !(takeProfit || stopLoss)}>Place<//>
    </form>
  <//>`;
}

function Known({ order }) {
  return html`<li>
    <span>${typeName(order.type)} from ${precisionOf(order.marketId).price(order.triggerPrice)}</span>
    <${Button} class="small" onClick=${() => cancel(order)}>Cancel<//>
  </li>`;
}
