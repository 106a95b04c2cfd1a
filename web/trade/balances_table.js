/** What the account holds. */

import { Table } from "../components/table.js";
import { exact } from "../lib/format.js";
import { useValue } from "../lib/state.js";
import { html } from "../vendor/htm/preact.js";
import { balance } from "./account_feed.js";

const COLUMNS = [
  { title: "Asset", cell: ({ asset }) => asset },
  ...[["total", "Wallet"], ["locked", "Locked"], ["available", "Can be withdrawn"], ["availableMargin", "Available margin"]].map(([name, title]) => ({
    title,
    isNumber: true,
    cell: (row) => html`<span data-balance=${name}>${exact(row[name])}</span>`,
  })),
];

/** The table. */
export function BalancesTable() {
  const now = useValue(balance);
  return html`<${Table} caption="Balances" columns=${COLUMNS} rows=${now ? [now] : []} keyOf=${({ asset }) => asset} empty="No balance: deposit first" />`;
}
