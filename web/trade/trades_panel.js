/** The last trades of the market. */

import { Time } from "../components/time.js";
import { useValue } from "../lib/state.js";
import { html } from "../vendor/htm/preact.js";
import { CAUSES } from "./causes.js";
import { trades } from "./market_feed.js";
import { chosen, precisionOf } from "./markets.js";
import { takePrice } from "./price_click.js";

/** The panel. */
export function TradesPanel() {
  const shown = useValue(trades);
  const precision = precisionOf(useValue(chosen));
  return html`<section class="panel trades" aria-label="Trades">
    <div class="panel-head"><h2>Trades</h2></div>
    <div class="scroll" tabindex="0" role="region" aria-label="Last trades">
      <table>
        <caption class="unseen">Last trades, newest first</caption>
        <thead><tr><th scope="col">Price</th><th scope="col">Quantity</th><th scope="col">Time</th></tr></thead>
        <tbody>
          ${shown.map(
            (trade) => html`<tr key=${trade.sequence} data-sequence=${trade.sequence} onClick=${() => takePrice(trade.price)} title=${CAUSES[trade.cause]}>
              <td class=${trade.takerSide === "BUY" ? "buy" : "sell"}>
                <span class="arrow" aria-hidden="true">${trade.takerSide === "BUY" ? "▲" : "▼"}</span>
                <span class="unseen">${trade.takerSide === "BUY" ? "Bought at" : "Sold at"}</span>
                ${precision?.price(trade.price)}
              </td>
              <td>${precision?.quantity(trade.quantity)}${trade.cause !== "TRADE" ? " *" : ""}</td>
              <td><${Time} at=${trade.time} isShort /></td>
            </tr>`,
          )}
        </tbody>
      </table>
      ${!shown.length && html`<p class="empty">No trades yet</p>`}
    </div>
  </section>`;
}
