/** The wallet: what there is, deposits and withdrawals. */

import { Button } from "../components/button.js";
import { DecimalField, Field } from "../components/field.js";
import { report } from "../components/toast.js";
import { call, read } from "../lib/api.js";
import { exact } from "../lib/format.js";
import { newId } from "../lib/ids.js";
import { Value, useValue } from "../lib/state.js";
import { html, useEffect, useRef, useState } from "../vendor/htm/preact.js";
import { profile } from "./profile.js";
import { useSubmit } from "./submitting.js";

const ASSET = "USDC";
const LINES = { total: "Wallet", locked: "Margin of positions and orders", available: "Can be withdrawn", availableMargin: "Free margin" };
const balance = new Value(null);

/** The panel. */
export function MoneyPanel() {
  const { submit: again, complaint } = useSubmit(async () => balance.set((await read("/balances"))[0] ?? null));
  useEffect(() => void again(), []);
  return html`<section class="part whole" aria-labelledby="balance-title">
      <h2 id="balance-title">Balance</h2>
      <${Balance} />
      ${complaint}
    </section>
    <${Movement} title="Deposit" path="/deposits" done="Deposited" />
    <${Movement} title="Withdraw" path="/withdrawals" done="Withdrawn" mayNeedCode />`;
}

function Balance() {
  const shown = useValue(balance);
  return html`<dl class="lines">
    ${Object.entries(LINES).map(([name, words]) => html`<div key=${name}><dt>${words}</dt><dd>${exact(shown?.[name])} ${ASSET}</dd></div>`)}
  </dl>`;
}

/** A form that moves money once, however often it is sent: what is repeated after a cut has the same key. */
function Movement({ title, path, done, mayNeedCode }) {
  const needsCode = useValue(profile)?.isTotpEnabled && mayNeedCode;
  const [amount, type] = useState("");
  const [code, typeCode] = useState("");
  const key = useRef(newId());
  const { submit, isBusy, complaint } = useSubmit(async () => {
    try {
      const body = { asset: ASSET, amount, ...(needsCode ? { code } : {}) };
      balance.set(await call("POST", path, body, { "Idempotency-Key": key.current }));
      report(`${done} ${exact(amount)} ${ASSET}`);
      type("");
      key.current = newId();
    } catch (refused) {
      if (refused.status && refused.status < 500) key.current = newId(); // nothing was stored: what follows is another request
      throw refused;
    } finally {
      typeCode("");
    }
  });
  const id = `${path.slice(1)}-title`;
  return html`<section class="part" aria-labelledby=${id}>
    <h2 id=${id}>${title}</h2>
    <form class="stack" onSubmit=${submit}>
      <${DecimalField} label=${`Amount to ${title.toLowerCase()}`} unit=${ASSET} required value=${amount} onInput=${type} />
      ${needsCode && html`<${Field} label="Code of your authenticator" autocomplete="one-time-code" required value=${code} onInput=${typeCode} />`}
      ${complaint}
      <${Button} kind="primary" type="submit" isBusy=${isBusy}>${title}<//>
    </form>
  </section>`;
}
