/** The money of the account: equity, what is available, and how near a liquidation is. */

import { toneOf } from "../components/badge.js";
import { Button } from "../components/button.js";
import { decimal, toFixed, toNumber, toText } from "../lib/decimal.js";
import { fixed, percent, signed } from "../lib/format.js";
import { session } from "../lib/session.js";
import { useValue } from "../lib/state.js";
import { html, useState } from "../vendor/htm/preact.js";
import { balance, marks, positions } from "./account_feed.js";
import { MoneyDialog } from "./money_dialog.js";
import { account } from "./valuation.js";

const MONEY = 2;
const CALLED = decimal("0.8");

/** The panel. */
export function AccountPanel() {
  const login = useValue(session);
  for (const value of [balance, positions, marks]) useValue(value);
  const [moving, move] = useState(null);
  if (!login) return null;
  const now = account();
  const show = (value) => (value === undefined ? "–" : fixed(toText(value), MONEY));
  const pnl = now ? toFixed(now.pnl, MONEY) : "";
  return html`<section class="panel account" aria-label="Account">
    <div class="panel-head">
      <h2>Account</h2>
      <${Button} class="small" onClick=${() => move("deposit")}>Deposit<//>
      <${Button} class="small" onClick=${() => move("withdraw")}>Withdraw<//>
    </div>
    <dl class="lines">
      <div><dt>Equity</dt><dd data-value="equity">${show(now?.equity)}</dd></div>
      <div><dt>Wallet</dt><dd data-value="wallet">${show(now?.wallet)}</dd></div>
      <div><dt>Unrealized PnL</dt><dd data-value="pnl" class=${toneOf(pnl)}>${now ? signed(pnl, MONEY) : "–"}</dd></div>
      <div><dt>Available margin</dt><dd data-value="available">${show(now?.available)}</dd></div>
      <div><dt>Maintenance margin</dt><dd>${show(now?.maintenance)}</dd></div>
      <div title="Maintenance margin as a share of equity: at 100% positions are liquidated, a warning comes at 80%">
        <dt>Margin ratio</dt>
        <dd data-value="ratio"><${Ratio} ratio=${now?.ratio ?? 0n} /></dd>
      </div>
    </dl>
    ${moving && html`<${MoneyDialog} kind=${moving} onClose=${() => move(null)} />`}
  </section>`;
}

function Ratio({ ratio }) {
  const number = Math.min(1, toNumber(ratio));
  const tone = ratio >= CALLED ? "bad" : ratio >= CALLED / 2n ? "warn" : "good";
  return html`<meter class=${tone} min="0" max="1" value=${number} aria-hidden="true"></meter> <span class=${ratio >= CALLED ? "sell" : ""}>${percent(toText(ratio))}</span>`;
}
