/** Forced actions as they happen, with their receipts. */

import { Badge } from "../components/badge.js";
import { Table } from "../components/table.js";
import { Time } from "../components/time.js";
import { words } from "../lib/format.js";
import { html } from "../vendor/htm/preact.js";
import { Facts } from "./facts.js";
import { Panel } from "./panel.js";
import { liquidations } from "./polled.js";

const COLUMNS = [
  { title: "Time", cell: ({ receipt }) => html`<${Time} at=${receipt.time} />` },
  { title: "User", cell: ({ userId }) => (userId === "-3" ? "Insurance fund" : html`<a href=${`#accounts/${userId}`}>${userId}</a>`) },
  { title: "Action", cell: ({ receipt }) => words(receipt.action) },
  { title: "Market", cell: ({ receipt }) => receipt.marketId ?? "–" },
  { title: "State", cell: ({ receipt }) => html`<${Badge} kind=${receipt.doneAt ? "good" : "warn"}>${receipt.doneAt ? "done" : "under way"}<//>` },
  { title: "Case", isNumber: true, cell: ({ receipt }) => `${receipt.liquidationId} / ${receipt.step}` },
  {
    title: "Receipt",
    cell: ({ receipt }) => html`<details class="receipt">
      <summary>Receipt<span class="unseen"> of case ${receipt.liquidationId}, step ${receipt.step}</span></summary>
      <${Facts} title="Decided on" facts=${receipt.inputs} />
      ${receipt.outcome && html`<${Facts} title="Outcome" facts=${receipt.outcome} />`}
    </details>`,
  },
];

/** The newest receipts of all accounts. */
export function LiquidationsPanel() {
  return html`<${Panel} title="Liquidations" polled=${liquidations}>
    ${({ data }) => html`<${Table} caption="Receipts of forced actions" columns=${COLUMNS} rows=${data} keyOf=${({ receipt }) => `${receipt.liquidationId} ${receipt.step}`} empty="No account was ever liquidated" />`}
  <//>`;
}
