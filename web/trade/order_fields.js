/** The fields of the order form that the chosen type has. */

import { Button } from "../components/button.js";
import { Check, Choice, DecimalField, Field } from "../components/field.js";
import { decimal, roundNear, toFixed } from "../lib/decimal.js";
import { useValue } from "../lib/state.js";
import { html } from "../vendor/htm/preact.js";
import { book, mark } from "./market_feed.js";
import { precisionOf } from "./markets.js";
import { allowed, change, draft } from "./order_draft.js";
import { shareOf } from "./sizing.js";

const SHARES = [25, 50, 75, 100];
const WORKING = [
  { value: "MARK", label: "Mark" },
  { value: "LAST", label: "Last" },
  { value: "INDEX", label: "Index" },
];
const LIVES = [
  { value: "GTC", label: "Until cancelled (GTC)" },
  { value: "IOC", label: "At once, cancel the rest (IOC)" },
  { value: "FOK", label: "All at once or nothing (FOK)" },
  { value: "GTD", label: "Until a time (GTD)" },
];
const SELF_TRADES = [
  { value: "EXPIRE_MAKER", label: "Cancel the resting order" },
  { value: "EXPIRE_TAKER", label: "Cancel the new order" },
  { value: "EXPIRE_BOTH", label: "Cancel both" },
];

/** The fields. */
export function OrderFields({ fields, market }) {
  const may = allowed(fields);
  const set = (name) => (value) => change({ [name]: value });
  return html`${may.trigger && html`<div class="pair"><${PriceField} label="Trigger price" name="triggerPrice" fields=${fields} market=${market} /><${Choice} label="Trigger by" options=${WORKING} value=${fields.workingType} onChange=${set("workingType")} /></div>`}
    ${may.trailing && html`<div class="pair"><${DecimalField} label="Callback" unit="%" value=${fields.callbackPercent} onInput=${set("callbackPercent")} /><${Choice} label="Trigger by" options=${WORKING} value=${fields.workingType} onChange=${set("workingType")} /></div>
      <${PriceField} label="Activation price (optional)" name="activationPrice" fields=${fields} market=${market} />`}
    ${may.price && html`<${PriceField} label="Price" name="price" fields=${fields} market=${market} />`}
    ${may.quantity && html`<${Quantity} fields=${fields} market=${market} />`}
    ${may.close && html`<${Check} label="Close the whole position" checked=${fields.closePosition} onChange=${set("closePosition")} />`}
    ${may.timeInForce && html`<${Choice} label="Time in force" options=${LIVES} value=${fields.timeInForce} onChange=${set("timeInForce")} />`}
    ${may.expiry && html`<${Field} label="Until (local time)" type="datetime-local" step="1" value=${fields.expiresAt} onInput=${set("expiresAt")} />`}
    ${may.slippage && html`<${DecimalField} label="Max slippage from the mark (optional)" unit="%" placeholder=${percentOf(market.takeBound)} value=${fields.slippagePercent} onInput=${set("slippagePercent")} />`}
    <div class="checks">
      ${may.postOnly && html`<${Check} label="Post-only" checked=${fields.postOnly} onChange=${set("postOnly")} />`}
      ${may.reduceOnly && html`<${Check} label="Reduce-only" checked=${fields.reduceOnly} onChange=${set("reduceOnly")} />`}
      ${may.legs && html`<${Check} label="TP/SL" checked=${fields.hasLegs} onChange=${set("hasLegs")} />`}
    </div>
    ${may.legs && fields.hasLegs && html`<${Legs} fields=${fields} market=${market} />`}
    <details class="more"><summary>More</summary>
      <${Choice} label="When it would meet your own order" options=${SELF_TRADES} value=${fields.selfTradePreventionMode} onChange=${set("selfTradePreventionMode")} />
    </details>`;
}

function Legs({ fields, market }) {
  return html`<div class="legs">
    <div class="pair">
      <${PriceField} label="Take profit" name="takeProfit" fields=${fields} market=${market} />
      <${PriceField} label="Stop loss" name="stopLoss" fields=${fields} market=${market} />
    </div>
    <${Choice} label="Trigger by" options=${WORKING} value=${fields.legsWorkingType} onChange=${(value) => change({ legsWorkingType: value })} />
  </div>`;
}

/** A price: arrows move it by ticks, with Shift by ten, from the best price where it is empty. */
function PriceField({ label, name, fields, market }) {
  const start = () => (fields.side === "BUY" ? book.now?.bids[0]?.[0] : book.now?.asks[0]?.[0]) ?? mark.now?.markPrice;
  const step = stepper(name, decimal(market.tickSize), precisionOf(market.id).pricePlaces, start);
  return html`<${DecimalField} label=${label} unit=${market.quoteAsset} value=${fields[name]} onInput=${(text) => change({ [name]: text })} onKeyDown=${step} data-field=${name} />`;
}

function Quantity({ fields, market }) {
  useValue(mark);
  const places = precisionOf(market.id).quantityPlaces;
  const step = stepper("quantity", decimal(market.lotSize), places, () => market.minQuantity);
  const take = (share) => change({ quantity: shareOf(share, fields, market, mark.now?.markPrice) });
  return html`<div class="quantity">
    <${DecimalField} label="Quantity" unit=${market.baseAsset} value=${fields.quantity} onInput=${(quantity) => change({ quantity })} onKeyDown=${step} data-field="quantity" />
    <div class="shares" role="group" aria-label="Share of what is available">
      ${SHARES.map((share) => html`<${Button} key=${share} kind="quiet" onClick=${() => take(share)}>${share}%<//>`)}
    </div>
  </div>`;
}

/** Moves a decimal of the draft by arrows: from what it is at that moment, which may not be drawn yet. */
function stepper(name, step, places, start) {
  return (event) => {
    const way = { ArrowUp: 1n, ArrowDown: -1n }[event.key];
    if (!way) return;
    event.preventDefault();
    const from = decimal(draft.now[name]);
    if (from === null) return change({ [name]: start() ?? "" });
    const next = roundNear(from, step) + way * step * (event.shiftKey ? 10n : 1n);
    return next > 0n && change({ [name]: toFixed(next, places) });
  };
}

function percentOf(rate) {
  return toFixed(decimal(rate) * 100n, 2).replace(/\.?0+$/, "");
}
