/** What an account has, as lists that are read again while they are shown. */

import { Side, toneOf } from "../components/badge.js";
import { Table } from "../components/table.js";
import { Time } from "../components/time.js";
import { exact, signed, words } from "../lib/format.js";
import { html, useState } from "../vendor/htm/preact.js";
import { ActsTable } from "./acts_table.js";
import { Panel } from "./panel.js";
import { Polled } from "./polled.js";

const time = (name) => ({ title: "Time", cell: (row) => html`<${Time} at=${row[name]} />` });
const text = (name, title) => ({ title, cell: (row) => row[name] ?? "–" });
const number = (name, title) => ({ title, isNumber: true, cell: (row) => exact(row[name]) });
const amount = (name, title) => ({ title, isNumber: true, cell: (row) => html`<span class=${toneOf(row[name])}>${signed(row[name], 6)}</span>` });
const side = { title: "Side", cell: (row) => html`<${Side} side=${row.side} />` };
const order = { title: "Order", cell: ({ orderId }) => html`<a href=${`#proof/${orderId}`}>${orderId}</a>` };

const COLUMNS = {
  positions: [text("marketId", "Market"), side, number("quantity", "Size"), number("entryPrice", "Entry"), number("markPrice", "Mark"), number("liquidationPrice", "Liquidation"), amount("unrealizedPnl", "Unrealized PnL"), number("maintenanceMargin", "Maintenance"), number("leverage", "Leverage"), number("adlRank", "ADL")],
  orders: [time("createdAt"), order, { title: "Type", cell: ({ type }) => words(type) }, side, number("price", "Price"), number("quantity", "Quantity"), number("remainingQuantity", "Remaining"), { title: "Status", cell: ({ status, reason }) => `${words(status)}${reason ? `: ${words(reason).toLowerCase()}` : ""}` }, { title: "Reduce-only", cell: ({ reduceOnly }) => (reduceOnly ? "yes" : "no") }],
  fills: [time("time"), order, side, number("price", "Price"), number("quantity", "Quantity"), text("liquidityRole", "Role"), number("fee", "Fee"), amount("realizedPnl", "Realized PnL"), text("cause", "Cause")],
  ledger: [time("time"), { title: "Type", cell: ({ type }) => words(type) }, text("marketId", "Market"), amount("amount", "Amount"), number("balanceAfter", "Balance after"), text("referenceId", "Reference")],
  "api-keys": [text("keyId", "Key"), text("label", "Label"), { title: "Scopes", cell: ({ scopes }) => scopes.join(", ") }, { title: "Created", cell: ({ createdAt }) => html`<${Time} at=${createdAt} />` }, { title: "Revoked", cell: ({ revokedAt }) => html`<${Time} at=${revokedAt} />` }],
};
const KEYS = {
  positions: ({ marketId }) => marketId,
  orders: ({ orderId }) => orderId,
  fills: ({ tradeId, orderId }) => `${tradeId} ${orderId}`,
  ledger: ({ entryId }) => entryId,
  "api-keys": ({ keyId }) => keyId,
};

/** The tabs. */
export const LISTS = [
  { id: "positions", label: "Positions" },
  { id: "orders", label: "Orders" },
  { id: "fills", label: "Fills" },
  { id: "ledger", label: "Ledger" },
  { id: "api-keys", label: "API keys" },
  { id: "acts", label: "Acts of operators" },
];

/** One of them. */
export function AccountList({ kind, userId }) {
  const path = kind === "acts" ? `/admin/acts?userId=${userId}&limit=50` : `/admin/users/${userId}/${kind}?limit=50`;
  const [polled] = useState(() => new Polled(path));
  const { label } = LISTS.find(({ id }) => id === kind);
  return html`<${Panel} title=${label} polled=${polled}>
    ${({ data }) => (kind === "acts" ? html`<${ActsTable} rows=${data} />` : html`<${Table} caption=${label} columns=${COLUMNS[kind]} rows=${data} keyOf=${KEYS[kind]} empty="Nothing" />`)}
  <//>`;
}
