/** Dead letters: what workers could not read or apply, with a retry. */

import { Button } from "../components/button.js";
import { Table } from "../components/table.js";
import { call } from "../lib/api.js";
import { html, useState } from "../vendor/htm/preact.js";
import { ActDialog } from "./act_dialog.js";
import { Panel } from "./panel.js";
import { deadLetters } from "./polled.js";

function columns(ask) {
  return [
    { title: "Letter", cell: ({ id }) => html`<code>${id}</code>` },
    { title: "Market", cell: ({ marketId }) => marketId },
    { title: "Reason", cell: ({ reason, detail }) => html`<span class="wrap">${reason}: ${detail}</span>` },
    { title: "Bytes", isNumber: true, cell: ({ sizeBytes }) => sizeBytes },
    { title: "Content", cell: ({ text }) => html`<code class="wrap">${text}</code>` },
    { title: "Acts", isUntitled: true, cell: (letter) => html`<${Button} class="small" onClick=${() => ask(letter)}>Retry<span class="unseen"> ${letter.id}</span><//>` },
  ];
}

/** The newest letters. */
export function LettersPanel() {
  const [asked, ask] = useState(null);
  return html`<${Panel} title="Dead letters" polled=${deadLetters}>
      ${({ data }) => html`<${Table} caption="Dead letters" columns=${columns(ask)} rows=${data} keyOf=${({ id }) => id} empty="No dead letter: every record was read and applied" />`}
    <//>
    ${asked && html`<${RetryDialog} letter=${asked} onClose=${() => ask(null)} />`}`;
}

function RetryDialog({ letter, onClose }) {
  const what = [
    `The relay of ${letter.marketId} sends the commands of ${letter.id} again, if they can be read now and are still missing.`,
    "Commands that were answered stay as they are. It is safe to repeat.",
  ];
  const act = async (reason) => {
    const [{ result, why }] = await call("POST", "/admin/dead-letters/retry", { ids: [letter.id], reason });
    deadLetters.read();
    return `${letter.id}: ${result}, ${why}`;
  };
  return html`<${ActDialog} title="Retry a dead letter" what=${what} verb="Retry" act=${act} onClose=${onClose} />`;
}
