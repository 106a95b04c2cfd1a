/** The markets: status, owner, lags, mark and sources, and what an operator does to them. */

import { Badge } from "../components/badge.js";
import { Button } from "../components/button.js";
import { Table } from "../components/table.js";
import { Time } from "../components/time.js";
import { exact } from "../lib/format.js";
import { useValue } from "../lib/state.js";
import { html, useState } from "../vendor/htm/preact.js";
import { seen } from "./connection.js";
import { actsFor, LABELS, MarketActDialog } from "./market_acts.js";
import { milliseconds, rateOf } from "./pace.js";
import { Panel } from "./panel.js";
import { markets } from "./polled.js";

const KINDS = { ACTIVE: "good", HALTED: "bad", SETTLED: "plain" };
const LAG_WARN_MS = 1_000;

/** The state of a market in words: what was set, and what keeps it from that. */
export function Status({ market }) {
  const notes = [];
  if (market.operatorStatus !== market.status) notes.push(`set: ${market.operatorStatus}`);
  if (market.isFrozen) notes.push("mark frozen: too few fresh sources");
  if (market.haltReason) notes.push(`halted by the exchange: ${market.haltReason}`);
  if (market.rests) notes.push(`rests: ${market.rests}`);
  return html`<${Badge} kind=${KINDS[market.status] ?? "warn"}>${market.status}<//>${notes.map((note) => html`<span key=${note} class="note"> ${note}</span>`)}`;
}

function columns(live, ask) {
  return [
    { title: "Market", cell: ({ marketId }) => html`<strong>${marketId}</strong>` },
    { title: "Status", cell: (market) => html`<${Status} market=${market} />` },
    { title: "Mark", isNumber: true, cell: ({ marketId, markPrice }) => exact(live.get(marketId)?.markPrice ?? markPrice) },
    { title: "Index", isNumber: true, cell: ({ marketId, indexPrice }) => exact(live.get(marketId)?.indexPrice ?? indexPrice) },
    { title: "Sources", cell: (market) => html`<${Sources} market=${market} />` },
    { title: "Lag", isNumber: true, cell: (market) => html`<${Lag} market=${market} />` },
    { title: "Orders/s", isNumber: true, cell: ({ pace }) => rateOf(pace).toFixed(1) },
    { title: "p50 / p95", isNumber: true, cell: ({ pace }) => html`<${Latency} pace=${pace} />` },
    { title: "Open interest", isNumber: true, cell: ({ openInterest }) => exact(openInterest) },
    { title: "Orders", isNumber: true, cell: ({ openOrders, waitingOrders }) => `${openOrders} + ${waitingOrders}` },
    { title: "Owner", cell: ({ owner, shard }) => html`<span>${owner ?? html`<span class="sell">none</span>`} <span class="faint">${shard}</span></span>` },
    { title: "Snapshot", isNumber: true, cell: ({ snapshotAgeMs }) => (snapshotAgeMs === null ? "–" : `${Math.round(snapshotAgeMs / 1_000)} s`) },
    {
      title: "Acts",
      isUntitled: true,
      cell: (market) => html`<span class="actions">
        ${actsFor(market).map((kind) => html`<${Button} key=${kind} class="small" onClick=${() => ask({ kind, market })}>${LABELS[kind]}<span class="unseen"> ${market.marketId}</span><//>`)}
      </span>`,
    },
  ];
}

function Sources({ market: { sources, quorum } }) {
  if (!sources.length) return html`<span class="faint">constant</span>`;
  const fresh = sources.filter(({ isFresh }) => isFresh).length;
  const kind = fresh < quorum ? "bad" : fresh < sources.length ? "warn" : "good";
  return html`<details class="sources">
    <summary><${Badge} kind=${kind}>${fresh} of ${sources.length} fresh<//> <span class="faint">quorum ${quorum}</span></summary>
    <ul>
      ${sources.map((source) => html`<li key=${source.name}>${source.name} <span class="faint">weight ${source.weight}</span> ${source.isFresh ? "fresh" : "old"} <${Time} at=${source.observedAt} isShort /></li>`)}
    </ul>
  </details>`;
}

function Lag({ market: { unsent, unsentAgeMs, unpersisted, unpersistedAgeMs } }) {
  const waiting = unsent + unpersisted;
  const age = Math.max(unsentAgeMs, unpersistedAgeMs);
  const title = `${unsent} commands not in the log yet, ${unpersisted} not in the tables yet`;
  return html`<span title=${title} class=${age > LAG_WARN_MS ? "warn-text" : ""}>${waiting}${age > LAG_WARN_MS ? ` (${(age / 1_000).toFixed(1)} s)` : ""}</span>`;
}

function Latency({ pace: { latencyUsP50, latencyUsP95 } }) {
  return latencyUsP50 === null ? "–" : `${milliseconds(latencyUsP50)} / ${milliseconds(latencyUsP95)} ms`;
}

/** The table, and the dialog of the act that was asked for. */
export function MarketsPanel() {
  const [asked, ask] = useState(null);
  const live = useValue(seen);
  const tools = html`<${Button} class="small" onClick=${() => ask({ kind: "drain", market: null })}>Drain all<//>`;
  return html`<${Panel} title="Markets" polled=${markets} tools=${tools}>
      ${(all) => html`<${Table} caption="Markets" columns=${columns(live, ask)} rows=${all} keyOf=${({ marketId }) => marketId} empty="No market is listed" />`}
    <//>
    ${asked && html`<${MarketActDialog} ...${asked} onClose=${() => ask(null)} />`}`;
}
