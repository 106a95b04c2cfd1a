/** Open positions, valued at the marks of now. */

import { Side, toneOf } from "../components/badge.js";
import { Button } from "../components/button.js";
import { Table } from "../components/table.js";
import { toFixed, toText } from "../lib/decimal.js";
import { fixed, percent, signed, signedPercent } from "../lib/format.js";
import { useValue } from "../lib/state.js";
import { html, useState } from "../vendor/htm/preact.js";
import { marks, orders, positions } from "./account_feed.js";
import { AdlLights } from "./adl_lights.js";
import { CloseDialog } from "./close_dialog.js";
import { exitsOf } from "./exits.js";
import { ExitDialog } from "./exit_dialog.js";
import { choose, markets, precisionOf } from "./markets.js";
import { account, valued } from "./valuation.js";

const MONEY = 2;

/** The table. */
export function PositionsTable() {
  for (const value of [positions, marks, orders, markets]) useValue(value);
  const [closing, close] = useState(null);
  const [exiting, exit] = useState(null);
  const rows = [...positions.now.values()].filter(({ marketId }) => precisionOf(marketId));
  const columns = [
    { title: "Market", cell: ({ marketId }) => html`<button type="button" class="link" onClick=${() => choose(marketId)}>${marketId}</button>` },
    { title: "Side", cell: ({ side, leverage }) => html`<${Side} side=${side} /> ${leverage}x` },
    { title: "Size", isNumber: true, cell: ({ marketId, quantity }) => precisionOf(marketId).quantity(quantity) },
    { title: "Entry", isNumber: true, cell: ({ marketId, entryPrice }) => precisionOf(marketId).price(entryPrice) },
    { title: "Mark", isNumber: true, cell: (row) => precisionOf(row.marketId).price(toText(valued(row).mark)) },
    { title: "Liquidation", isNumber: true, cell: (row) => html`<span class="warn-text">${liquidationOf(row)}</span>` },
    { title: "Margin", isNumber: true, cell: ({ initialMargin }) => fixed(initialMargin, MONEY) },
    { title: "Margin ratio", isNumber: true, cell: () => percent(toText(account()?.ratio ?? 0n)) },
    { title: "PnL (ROI)", isNumber: true, cell: (row) => html`<${Pnl} position=${row} />` },
    { title: "Realized", isNumber: true, cell: ({ realizedPnl }) => html`<span class=${toneOf(realizedPnl)}>${signed(realizedPnl, MONEY)}</span>` },
    { title: "ADL", cell: ({ adlRank }) => html`<${AdlLights} rank=${adlRank} />` },
    { title: "TP / SL", isNumber: true, cell: (row) => exitsOf(row, orders.now, precisionOf(row.marketId)) },
    { title: "Actions", isUntitled: true, cell: (row) => html`<span class="actions"><${Button} class="small" onClick=${() => exit(row)}>TP/SL<//><${Button} class="small" onClick=${() => close(row)}>Close<//></span>` },
  ];
  return html`<${Table} caption="Open positions" columns=${columns} rows=${rows} keyOf=${({ marketId }) => marketId} empty="No open positions" />
    ${closing && html`<${CloseDialog} position=${closing} onClose=${() => close(null)} />`}
    ${exiting && html`<${ExitDialog} position=${exiting} onClose=${() => exit(null)} />`}`;
}

function Pnl({ position }) {
  const { pnl, roi } = valued(position);
  const text = toFixed(pnl, MONEY);
  const share = roi === null ? "" : ` (${signedPercent(toText(roi))})`;
  return html`<span class=${toneOf(text)} data-pnl=${position.marketId}>${signed(text, MONEY)}${share}</span>`;
}

function liquidationOf({ marketId, liquidationPrice }) {
  return liquidationPrice ? precisionOf(marketId).price(liquidationPrice) : "None";
}
