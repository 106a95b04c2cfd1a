/** Close a position, or a part of it, at market or with a limit order. */

import { Button, Segmented } from "../components/button.js";
import { Dialog } from "../components/dialog.js";
import { DecimalField } from "../components/field.js";
import { decimal, over, roundDown, times, toText } from "../lib/decimal.js";
import { useValue } from "../lib/state.js";
import { html, useState } from "../vendor/htm/preact.js";
import { marks } from "./account_feed.js";
import { markets, precisionOf } from "./markets.js";
import { place } from "./order_entry.js";
import { valued } from "./valuation.js";

const KINDS = [
  { value: "MARKET", label: "Market" },
  { value: "LIMIT", label: "Limit" },
];
const SHARES = [25, 50, 75, 100];

/** The dialog. */
export function CloseDialog({ position, onClose }) {
  useValue(marks);
  const { marketId, side } = position;
  const market = markets.now.get(marketId);
  const [type, setType] = useState("MARKET");
  const [quantity, setQuantity] = useState(position.quantity);
  const [price, setPrice] = useState("");
  const [isBusy, setBusy] = useState(false);
  const take = (share) => setQuantity(toText(roundDown(over(times(decimal(position.quantity), decimal(String(share))), decimal("100")), decimal(market.lotSize))));
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    const body = { marketId, side: side === "LONG" ? "SELL" : "BUY", type, quantity, reduceOnly: true, ...(type === "LIMIT" ? { price } : {}) };
    if (await place(body)) onClose();
    setBusy(false);
  };
  return html`<${Dialog} title=${`Close ${marketId} ${side.toLowerCase()}`} onClose=${onClose}>
    <form class="stack" onSubmit=${submit}>
      <${Segmented} label="Type" options=${KINDS} value=${type} onChange=${setType} />
      <${DecimalField} label="Quantity" unit=${market.baseAsset} required value=${quantity} onInput=${setQuantity} />
      <div class="shares" role="group" aria-label="Share of the position">
        ${SHARES.map((share) => html`<${Button} key=${share} kind="quiet" onClick=${() => take(share)}>${share}%<//>`)}
      </div>
      ${type === "LIMIT" && html`<${DecimalField} label="Price" unit=${market.quoteAsset} required value=${price} onInput=${setPrice} />`}
      <p class="note">The order can only reduce the position. Mark: ${precisionOf(marketId).price(toText(valued(position).mark))}</p>
      <${Button} kind=${side === "LONG" ? "sell" : "buy"} type="submit" isBusy=${isBusy}>Close ${side.toLowerCase()}<//>
    </form>
  <//>`;
}
