/** Deposit and withdraw. Locally everybody credits the own account; in production operators do. */

import { Button } from "../components/button.js";
import { Dialog } from "../components/dialog.js";
import { DecimalField, Field } from "../components/field.js";
import { report } from "../components/toast.js";
import { call } from "../lib/api.js";
import { exact } from "../lib/format.js";
import { newId } from "../lib/ids.js";
import { inWords } from "../lib/refusals.js";
import { html, useRef, useState } from "../vendor/htm/preact.js";
import { balance } from "./account_feed.js";

const KINDS = {
  deposit: { title: "Deposit", path: "/deposits", done: "Deposited" },
  withdraw: { title: "Withdraw", path: "/withdrawals", done: "Withdrawn" },
};
const ASSET = "USDC";

/** The dialog; `kind` is "deposit" or "withdraw". */
export function MoneyDialog({ kind, onClose }) {
  const { title, path, done } = KINDS[kind];
  const [amount, type] = useState("");
  const [code, typeCode] = useState("");
  const [needsCode, setNeedsCode] = useState(false);
  const [refusal, refuse] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const key = useRef(newId());
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    try {
      balance.set(await call("POST", path, { asset: ASSET, amount, ...(needsCode ? { code } : {}) }, { "Idempotency-Key": key.current }));
      report(`${done} ${exact(amount)} ${ASSET}`);
      onClose();
    } catch (refused) {
      if (refused.details?.reason === "TOTP_REQUIRED") setNeedsCode(true);
      else refuse(refused);
      if (refused.status && refused.status < 500) key.current = newId(); // nothing was stored: what follows is another request
      setBusy(false);
    }
  };
  return html`<${Dialog} title=${title} onClose=${onClose}>
    <form class="stack" onSubmit=${submit}>
      <${DecimalField} label="Amount" unit=${ASSET} required autofocus value=${amount} onInput=${type} />
      ${kind === "withdraw" && html`<p class="note">Available: ${exact(balance.now?.available)} ${ASSET}</p>`}
      ${needsCode && html`<${Field} label="Code of your authenticator" autocomplete="one-time-code" required value=${code} onInput=${typeCode} />`}
      <p class="note bad" role="alert">${refusal && inWords(refusal)}</p>
      <${Button} kind="primary" type="submit" isBusy=${isBusy}>${title}<//>
    </form>
  <//>`;
}
