/** What would become of the order in the form, in numbers and words. */

import { exact, fixed, words } from "../lib/format.js";
import { inWords } from "../lib/refusals.js";
import { useValue } from "../lib/state.js";
import { html } from "../vendor/htm/preact.js";
import { precisionOf } from "./markets.js";
import { preview } from "./preview.js";
import { isConditional } from "./order_types.js";

const MONEY = 2;

/** The list below the form. */
export function OrderPreview({ missing, market }) {
  const found = useValue(preview);
  const answer = found?.answer;
  const unit = market?.quoteAsset ?? "";
  const outcome = answer?.outcome;
  return html`<div class="preview">
    <dl class="lines">
      <${Line} title="Order value" value=${money(answer?.notional, unit)} />
      <${Line} title="Margin needed" value=${money(answer?.marginAdded, unit)} />
      <${Line} title="Fee at most" value=${money(answer?.feeMax, unit)} />
      <${Line} title="Fills now" value=${fillsOf(outcome, market)} />
      <${Line} title="Liquidation price after" value=${liquidationAfter(answer, market)} />
      <${Line} title="Available after" value=${money(answer?.availableMargin, unit)} />
    </dl>
    <p class=${`note ${isRefused(found) ? "bad" : ""}`} role="status">${verdictOf(found, missing)}</p>
  </div>`;
}

function Line({ title, value }) {
  return html`<div><dt>${title}</dt><dd>${value}</dd></div>`;
}

function isRefused(found) {
  return Boolean(found?.refusal || found?.answer?.refusal);
}

function verdictOf(found, missing) {
  if (missing) return `Enter ${missing}`;
  if (!found) return "";
  const refusal = found.refusal ?? found.answer.refusal;
  if (refusal) return inWords(refusal);
  if (isConditional(found.body.type)) return "Waits for its condition; margin is checked when it fires";
  const { status, reason } = found.answer.outcome ?? {};
  if (!status) return "";
  return reason ? `Would end ${words(status).toLowerCase()}: ${words(reason).toLowerCase()} (${reason})` : `Would be ${words(status).toLowerCase()}`;
}

function fillsOf(outcome, market) {
  if (!outcome) return "–";
  const precision = precisionOf(market.id);
  const quantity = `${precision.quantity(outcome.filledQuantity)} ${market.baseAsset}`;
  return outcome.averagePrice ? `${quantity} at ${precision.price(outcome.averagePrice)}` : quantity;
}

function liquidationAfter(answer, market) {
  const position = answer?.outcome?.positionIfFilled ?? answer?.outcome?.position;
  return position ? (position.liquidationPrice ? precisionOf(market.id).price(position.liquidationPrice) : "None") : "–";
}

function money(text, unit) {
  return text === null || text === undefined ? "–" : html`<span title=${exact(text)}>${fixed(text, MONEY)} ${unit}</span>`;
}
