/** Proof: that money is conserved, now, and the path of an order through the system. */

import { Badge } from "../components/badge.js";
import { exact } from "../lib/format.js";
import { html } from "../vendor/htm/preact.js";
import { Panel } from "./panel.js";
import { conservation } from "./polled.js";
import { TracePanel } from "./trace_panel.js";

/** Both. */
export function ProofPanel({ chosen }) {
  return html`<${Panel} title="Conservation" polled=${conservation}>${(books) => html`<${Books} books=${books} />`}<//>
    <${TracePanel} key=${chosen} orderId=${chosen} />`;
}

function Books({ books }) {
  const terms = [
    { name: "wallets of all users", value: books.wallets },
    { sign: "+", name: "fees", value: books.fees },
    { sign: "+", name: "insurance fund", value: books.insurance },
    { sign: "−", name: "costs of open positions", value: books.openCosts },
    { sign: "=", name: "paid in: deposits, corrections and the fund's seed, less withdrawals", value: books.paidIn },
  ];
  const sizes = Object.entries(books.sizeDifferences);
  return html`<div class="proof">
    <ol class="equation" aria-label="Wallets plus fees plus insurance fund less open costs is what was paid in">
      ${terms.map(({ sign, name, value }) => html`<li key=${name}><span class="sign" aria-hidden="true">${sign ?? ""}</span><strong>${exact(value)}</strong><span class="note">${name}</span></li>`)}
    </ol>
    <ul class="checks">
      <${Holds} what="Difference of both sides" sum=${books.difference} />
      <${Holds} what="Clearing is the opposite of the open costs" sum=${books.clearingDifference} />
      <${Holds} what="Wallets are the sum of their ledger entries" sum=${books.walletDifference} />
      <li>
        <${Badge} kind=${sizes.length ? "bad" : "good"}>${sizes.length ? "broken" : "holds"}<//> The positions of each market sum to zero
        ${sizes.map(([market, lots]) => html`<span key=${market} class="sell"> ${market}: ${lots} lots</span>`)}
      </li>
    </ul>
  </div>`;
}

function Holds({ what, sum }) {
  return html`<li><${Badge} kind=${sum === "0" ? "good" : "bad"}>${sum === "0" ? "holds" : "broken"}<//> ${what} <span class=${sum === "0" ? "faint" : "sell"}>${exact(sum)} USDC</span></li>`;
}
