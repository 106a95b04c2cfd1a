/** Processes, audits and verifications. */

import { Badge } from "../components/badge.js";
import { Table } from "../components/table.js";
import { Time } from "../components/time.js";
import { exact } from "../lib/format.js";
import { html } from "../vendor/htm/preact.js";
import { Panel } from "./panel.js";
import { audits, processes, verifications } from "./polled.js";

const PROCESSES = [
  { title: "Process", cell: ({ process }) => process },
  { title: "At", cell: ({ at }) => html`<code>${at}</code>` },
  { title: "Works for", cell: ({ worksFor }) => html`<span class="wrap">${worksFor.join(", ") || "–"}</span>` },
  { title: "Metrics", cell: ({ metrics }) => html`<code>${metrics ?? "–"}</code>` },
];
const AUDITS = [
  { title: "Time", cell: ({ time }) => html`<${Time} at=${time} />` },
  { title: "Result", cell: (run) => html`<${Verdict} count=${run.findings.length} words="findings" />` },
  { title: "Difference", isNumber: true, cell: ({ difference }) => exact(difference) },
  { title: "Took", isNumber: true, cell: ({ tookMs }) => `${tookMs} ms` },
  { title: "Findings", cell: ({ findings }) => html`<span class="wrap">${findings.map(({ invariant, subject, expected, got }) => `${invariant}: ${subject}, expected ${expected}, is ${got}`).join("; ") || "–"}</span>` },
];
const VERIFICATIONS = [
  { title: "Time", cell: ({ time }) => html`<${Time} at=${time} />` },
  { title: "Market", cell: ({ marketId }) => marketId },
  { title: "Result", cell: (run) => html`<${Verdict} count=${run.differencesFound} words="differences" />` },
  { title: "Replayed", isNumber: true, cell: ({ report }) => `${exact(String(report.commands))} commands, ${exact(String(report.events))} events` },
  { title: "Took", isNumber: true, cell: ({ tookMs }) => `${(tookMs / 1000).toFixed(1)} s` },
];

function Verdict({ count, words }) {
  return html`<${Badge} kind=${count ? "bad" : "good"}>${count ? `${count} ${words}` : "agrees"}<//>`;
}

/** Every running process. */
export function ProcessesPanel() {
  return html`<${Panel} title="Processes" polled=${processes}>
    ${(all) => html`<${Table} caption="Processes" columns=${PROCESSES} rows=${all} keyOf=${({ process, at }) => `${process} ${at}`} empty="No process shows itself" />`}
  <//>`;
}

/** The runs of the periodic audit. */
export function AuditsPanel() {
  return html`<${Panel} title="Audits" polled=${audits}>
    ${({ data }) => html`<${Table} caption="Audits" columns=${AUDITS} rows=${data.slice(0, 5)} keyOf=${({ auditId }) => auditId} empty="The audit has not run yet" />`}
  <//>`;
}

/** The runs of verify. */
export function VerificationsPanel() {
  return html`<${Panel} title="Verifications" polled=${verifications}>
    ${({ data }) => html`<${Table} caption="Verifications" columns=${VERIFICATIONS} rows=${data.slice(0, 5)} keyOf=${({ verificationId }) => verificationId} empty="Nothing was verified yet: python -m app verify --market M" />`}
  <//>`;
}
