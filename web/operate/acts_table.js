/** The log of operators. */

import { Table } from "../components/table.js";
import { Time } from "../components/time.js";
import { words } from "../lib/format.js";
import { html } from "../vendor/htm/preact.js";
import { Panel } from "./panel.js";
import { acts } from "./polled.js";

const COLUMNS = [
  { title: "Time", cell: ({ time }) => html`<${Time} at=${time} />` },
  { title: "Who", cell: ({ operatorId, shell }) => (operatorId ? html`user ${operatorId}` : html`<code>${shell}</code>`) },
  { title: "Act", cell: ({ action }) => words(action) },
  { title: "On", cell: ({ userId, marketId }) => (userId ? html`<a href=${`#accounts/${userId}`}>user ${userId}</a>` : (marketId ?? "the exchange")) },
  { title: "Reason", cell: ({ reason }) => html`<span class="wrap">${reason ?? "–"}</span>` },
  { title: "Before", cell: ({ before }) => html`<code class="wrap">${JSON.stringify(before)}</code>` },
  { title: "After", cell: ({ after }) => html`<code class="wrap">${JSON.stringify(after)}</code>` },
];

/** Entries of the log, newest first. */
export function ActsTable({ rows }) {
  return html`<${Table} caption="What operators did" columns=${COLUMNS} rows=${rows} keyOf=${({ actId }) => actId} empty="Nothing was done yet" />`;
}

/** The newest entries of all. */
export function ActsPanel() {
  return html`<${Panel} title="Log of operators" polled=${acts}>${({ data }) => html`<${ActsTable} rows=${data} />`}<//>`;
}
