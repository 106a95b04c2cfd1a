/** Monthly statements, and the whole history as files. */

import { Button } from "../components/button.js";
import { Choice } from "../components/field.js";
import { read } from "../lib/api.js";
import { signed, exact } from "../lib/format.js";
import { useValue } from "../lib/state.js";
import { html, useEffect, useState } from "../vendor/htm/preact.js";
import { save } from "./downloads.js";
import { profile } from "./profile.js";
import { useSubmit } from "./submitting.js";

const SUMS = {
  deposits: "Deposits",
  withdrawals: "Withdrawals",
  realizedPnl: "Realized profit and loss of trades",
  fees: "Trading fees",
  funding: "Funding",
  liquidationFees: "Liquidation fees",
  insurance: "Insurance fund",
  corrections: "Corrections",
};
const PLACES = 6;
const KINDS = [
  { value: "fills", label: "Fills" },
  { value: "orders", label: "Orders" },
  { value: "ledger", label: "Movements of the wallet" },
  { value: "funding", label: "Funding payments" },
];
const FORMATS = [
  { value: "csv", label: "CSV (spreadsheets)" },
  { value: "ndjson", label: "JSON lines (programs)" },
];
const EVER = "";

/** The panel. */
export function StatementsPanel() {
  const months = monthsSince(useValue(profile)?.createdAt ?? new Date().toISOString());
  return html`<${Statement} months=${months} /><${Export} months=${months} />`;
}

function Statement({ months }) {
  const [month, choose] = useState(months[0]);
  const [shown, show] = useState(null);
  const { submit: load, complaint } = useSubmit(async () => show(await read(`/statements/${month}`)));
  useEffect(() => void load(), [month]);
  return html`<section class="part" aria-labelledby="statement-title">
    <h2 id="statement-title">Statement</h2>
    <div class="row"><${Choice} label="Month (UTC)" options=${months.map((each) => ({ value: each, label: each }))} value=${month} onChange=${choose} /></div>
    ${complaint}
    ${shown && html`<${Figures} of=${shown} />`}
  </section>`;
}

function Figures({ of }) {
  return html`<dl class="lines" aria-label=${`Statement of ${of.month}`}>
    <div class="total"><dt>Opening balance</dt><dd>${exact(of.opening)} ${of.asset}</dd></div>
    ${Object.entries(SUMS).map(([name, words]) => html`<div key=${name}><dt>${words}</dt><dd>${signed(of[name], PLACES)}</dd></div>`)}
    <div class="total"><dt>${of.isFinal ? "Closing balance" : "Balance so far"}</dt><dd>${exact(of.closing)} ${of.asset}</dd></div>
  </dl>
  <p class="note">${of.entries} movements of the wallet.</p>`;
}

function Export({ months }) {
  const [kind, chooseKind] = useState(KINDS[0].value);
  const [format, chooseFormat] = useState(FORMATS[0].value);
  const [month, chooseMonth] = useState(EVER);
  const { submit, isBusy, complaint } = useSubmit(() => save(kind, format, month));
  const periods = [{ value: EVER, label: "Everything" }, ...months.map((each) => ({ value: each, label: each }))];
  return html`<section class="part" aria-labelledby="export-title">
    <h2 id="export-title">Download</h2>
    <form class="stack" onSubmit=${submit}>
      <${Choice} label="What" options=${KINDS} value=${kind} onChange=${chooseKind} />
      <${Choice} label="Period (UTC)" options=${periods} value=${month} onChange=${chooseMonth} />
      <${Choice} label="Format" options=${FORMATS} value=${format} onChange=${chooseFormat} />
      ${complaint}
      <${Button} kind="primary" type="submit" isBusy=${isBusy}>Download<//>
    </form>
  </section>`;
}

/** The months from now back to a time, as 2027-01. */
function monthsSince(iso) {
  const months = [];
  const now = new Date();
  for (let year = now.getUTCFullYear(), month = now.getUTCMonth() + 1; ; ) {
    months.push(`${year}-${String(month).padStart(2, "0")}`);
    if (months.at(-1) <= iso.slice(0, 7)) return months;
    month -= 1;
    if (month === 0) [year, month] = [year - 1, 12];
  }
}
