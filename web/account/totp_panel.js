/** Two-factor login: enrol an authenticator app, keep the recovery codes, remove it. */

import { Badge } from "../components/badge.js";
import { Button } from "../components/button.js";
import { Field } from "../components/field.js";
import { report } from "../components/toast.js";
import { call } from "../lib/api.js";
import { useValue } from "../lib/state.js";
import { html, useState } from "../vendor/htm/preact.js";
import { profile, readProfile } from "./profile.js";
import { useSubmit } from "./submitting.js";

/** The panel. */
export function TotpPanel() {
  const me = useValue(profile);
  const [codes, show] = useState(null);
  const isOn = me?.isTotpEnabled;
  return html`<section class="part" aria-labelledby="totp-title">
    <h2 id="totp-title">Two-factor login (TOTP) ${me && html`<${Badge} kind=${isOn ? "good" : "plain"}>${isOn ? "On" : "Off"}<//>`}</h2>
    ${codes && html`<${RecoveryCodes} codes=${codes} onDone=${() => show(null)} />`}
    ${me && !codes && (isOn ? html`<${Remove} left=${me.recoveryCodesLeft} />` : html`<${Enrol} onEnabled=${show} />`)}
  </section>`;
}

function Enrol({ onEnabled }) {
  const [enrolled, keep] = useState(null);
  const { submit, isBusy, complaint } = useSubmit(async () => keep(await call("POST", "/auth/totp")));
  if (enrolled) return html`<${Confirm} enrolled=${enrolled} onEnabled=${onEnabled} />`;
  return html`<div class="stack">
    <p class="note">A code of an app on your phone is then needed to log in and to withdraw.</p>
    ${complaint}
    <${Button} kind="primary" isBusy=${isBusy} onClick=${submit}>Set up an authenticator app<//>
  </div>`;
}

function Confirm({ enrolled, onEnabled }) {
  const [code, type] = useState("");
  const { submit, isBusy, complaint } = useSubmit(async () => {
    const { recoveryCodes } = await call("POST", "/auth/totp/confirm", { code });
    onEnabled(recoveryCodes);
    report("Two-factor login is on");
    await readProfile();
  });
  return html`<form class="stack" onSubmit=${submit}>
    <p class="note">Scan this with the app, or type the secret into it. Then enter the code that it shows.</p>
    <img class="qr" alt="QR code of the secret" src=${`data:image/svg+xml,${encodeURIComponent(enrolled.qr)}`} />
    <code class="secret" aria-label="Secret">${enrolled.secret}</code>
    <${Field} label="Code of the app" inputmode="numeric" autocomplete="one-time-code" required autofocus value=${code} onInput=${type} />
    ${complaint}
    <${Button} kind="primary" type="submit" isBusy=${isBusy}>Turn it on<//>
  </form>`;
}

function RecoveryCodes({ codes, onDone }) {
  return html`<div class="stack">
    <p>Keep these recovery codes where your phone is not. Each replaces a code of the app once, and they are not shown again.</p>
    <ul class="codes" aria-label="Recovery codes">${codes.map((code) => html`<li key=${code}><code>${code}</code></li>`)}</ul>
    <${Button} onClick=${() => copy(codes.join("\n"))}>Copy the codes<//>
    <${Button} kind="primary" onClick=${onDone}>I have kept them<//>
  </div>`;
}

function Remove({ left }) {
  const [code, type] = useState("");
  const { submit, isBusy, complaint } = useSubmit(async () => {
    await call("DELETE", "/auth/totp", { code });
    report("Two-factor login is off");
    await readProfile();
  });
  return html`<form class="stack" onSubmit=${submit}>
    <p class="note">Logins and withdrawals need a code. ${left} of 10 recovery codes are left.</p>
    <${Field} label="Code, or a recovery code" autocomplete="one-time-code" required value=${code} onInput=${type} />
    ${complaint}
    <${Button} kind="danger" type="submit" isBusy=${isBusy}>Turn it off<//>
  </form>`;
}

/** Copy a text where the browser allows it. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    report("Copied");
  } catch {
    report("The browser does not allow that: select the text and copy it", "bad");
  }
}
