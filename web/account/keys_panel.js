/** API keys: created with what they may do, shown once, revoked. */

import { Badge } from "../components/badge.js";
import { Button } from "../components/button.js";
import { Dialog } from "../components/dialog.js";
import { Check, Field } from "../components/field.js";
import { Time } from "../components/time.js";
import { report, reportRefusal } from "../components/toast.js";
import { call } from "../lib/api.js";
import { html, useState } from "../vendor/htm/preact.js";
import { ListTable, useList } from "./list.js";
import { useSubmit } from "./submitting.js";
import { copy } from "./totp_panel.js";

const SCOPES = { read: "Read the account", trade: "Place and cancel orders", withdraw: "Withdraw money" };

/** The panel. */
export function KeysPanel() {
  const list = useList("/api-keys");
  const [isAsked, ask] = useState(false);
  const [secret, show] = useState(null);
  const revoke = async ({ keyId, label }) => {
    try {
      await call("DELETE", `/api-keys/${keyId}`);
      report(`The key ${label} is revoked`);
    } catch (refusal) {
      reportRefusal(refusal);
    }
    list.again();
  };
  const created = (key) => {
    ask(false);
    show(key);
    list.again();
  };
  const columns = [
    { title: "Name", cell: ({ label }) => label },
    { title: "May", cell: ({ scopes }) => scopes.join(", ") },
    { title: "From", isWide: true, cell: ({ allowedAddresses }) => allowedAddresses.join(", ") || "anywhere" },
    { title: "Created", cell: ({ createdAt }) => html`<${Time} at=${createdAt} />` },
    { title: "Expires", cell: ({ expiresAt }) => html`<${Time} at=${expiresAt} />` },
    { title: "State", isUntitled: true, cell: (row) => stateOf(row, revoke) },
  ];
  return html`<section class="part whole stacked" aria-labelledby="keys-title">
    <h2 id="keys-title">API keys</h2>
    <p class="row"><${Button} kind="primary" onClick=${() => ask(true)}>Create a key<//></p>
    <${ListTable} list=${list} caption="API keys" columns=${columns} keyOf=${({ keyId }) => keyId} empty="No keys: programs need one to trade for you" />
    ${isAsked && html`<${CreateDialog} onClose=${() => ask(false)} onCreated=${created} />`}
    ${secret && html`<${SecretDialog} secret=${secret} onClose=${() => show(null)} />`}
  </section>`;
}

function stateOf(row, revoke) {
  if (row.revokedAt) return html`<${Badge}>Revoked<//>`;
  if (row.expiresAt && Date.parse(row.expiresAt) <= Date.now()) return html`<${Badge}>Expired<//>`;
  return html`<span class="actions"><${Button} class="small" aria-label=${`Revoke ${row.label}`} onClick=${() => revoke(row)}>Revoke<//></span>`;
}

function CreateDialog({ onClose, onCreated }) {
  const [label, name] = useState("");
  const [addresses, allow] = useState("");
  const [scopes, choose] = useState({ read: true, trade: false, withdraw: false });
  const { submit, isBusy, complaint } = useSubmit(async () => {
    const allowedAddresses = addresses.split(/[\s,]+/).filter(Boolean);
    const chosen = Object.keys(SCOPES).filter((scope) => scopes[scope]);
    const { secret } = await call("POST", "/api-keys", { label, scopes: chosen, allowedAddresses });
    onCreated(secret);
  });
  return html`<${Dialog} title="Create an API key" onClose=${onClose}>
    <form class="stack" onSubmit=${submit}>
      <${Field} label="Name" required maxlength="64" autofocus value=${label} onInput=${name} />
      <fieldset class="scopes">
        <legend>It may</legend>
        ${Object.entries(SCOPES).map(
          ([scope, words]) => html`<${Check} key=${scope} label=${words} checked=${scopes[scope]} onChange=${(isChosen) => choose({ ...scopes, [scope]: isChosen })} />`,
        )}
      </fieldset>
      <${Field} label="Addresses it works from" hint="IP addresses or networks, separated by commas; empty: anywhere" value=${addresses} onInput=${allow} />
      ${complaint}
      <${Button} kind="primary" type="submit" isBusy=${isBusy}>Create the key<//>
    </form>
  <//>`;
}

function SecretDialog({ secret, onClose }) {
  return html`<${Dialog} title="Your new key" onClose=${onClose}>
    <div class="stack">
      <p>It is shown only now. It gives its holder every right you have chosen.</p>
      <code class="secret" aria-label="Key">${secret}</code>
      <${Button} onClick=${() => copy(secret)}>Copy the key<//>
      <${Button} kind="primary" onClick=${onClose}>I have kept it<//>
    </div>
  <//>`;
}
