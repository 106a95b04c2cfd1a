/** The exchange at a glance: pace, latency, lag, money, and whether the books balance. */

import { exact, fixed } from "../lib/format.js";
import { html } from "../vendor/htm/preact.js";
import { Figure } from "./figure.js";
import { backlog, difference, fundWallet, latency, ordersPerSecond } from "./history.js";
import { AuditsPanel, ProcessesPanel, VerificationsPanel } from "./health_panels.js";
import { MarketsPanel } from "./markets_panel.js";
import { milliseconds, slowestUs, totalRate } from "./pace.js";
import { audits, conservation, fund, markets, usePolled } from "./polled.js";

const LAG_WARN = 1_000;

/** The numbers above, the markets, the processes and the checks below. */
export function OverviewPanel() {
  return html`<${Figures} />
    <${MarketsPanel} />
    <div class="columns">
      <${ProcessesPanel} />
      <div class="stack">
        <${AuditsPanel} />
        <${VerificationsPanel} />
      </div>
    </div>`;
}

function Figures() {
  const all = usePolled(markets).body ?? [];
  const books = usePolled(conservation).body;
  const audit = usePolled(audits).body?.data[0];
  const wallet = usePolled(fund).body;
  const waiting = all.reduce((sum, { unsent, unpersisted }) => sum + unsent + unpersisted, 0);
  const slowest = slowestUs(all);
  const closed = all.filter(({ status }) => status !== "ACTIVE" && status !== "SETTLED").length;
  const isBalanced = books && [books.difference, books.clearingDifference, books.walletDifference].every((sum) => sum === "0");
  return html`<dl class="figures" aria-label="The exchange at a glance">
    <${Figure} name="Orders a second" value=${totalRate(all).toFixed(1)} note="accepted, of the last 5 s" series=${ordersPerSecond} />
    <${Figure} name="Latency, p95" value=${slowest === null ? "–" : `${milliseconds(slowest)} ms`} note="from accepted to in the tables" series=${latency} />
    <${Figure} name="Commands waiting" value=${waiting} note=${`${all.length} markets, ${closed} not open`} kind=${waiting > LAG_WARN || closed ? "warn" : "plain"} series=${backlog} />
    <${Figure} name="Insurance fund" value=${wallet ? fixed(wallet.equity, 2) : "–"} note=${wallet ? `${wallet.asset}, with ${wallet.positions.length} positions` : ""} series=${fundWallet} />
    <${Figure}
      name="Conservation"
      value=${books ? (isBalanced ? "Exact" : `Off by ${exact(books.difference)}`) : "–"}
      note=${audit ? `last audit: ${audit.findings.length ? `${audit.findings.length} findings` : "nothing found"}` : "no audit yet"}
      kind=${books && (!isBalanced || audit?.findings.length) ? "bad" : "good"}
      series=${difference}
    />
  </dl>`;
}
