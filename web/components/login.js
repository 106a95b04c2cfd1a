/** Login and registration in one dialog. */

import { call } from "../lib/api.js";
import { inWords } from "../lib/refusals.js";
import { session } from "../lib/session.js";
import { html, useState } from "../vendor/htm/preact.js";
import { Button } from "./button.js";
import { Dialog } from "./dialog.js";
import { Field } from "./field.js";
import { report } from "./toast.js";

const TITLES = { login: "Log in", register: "Create an account" };

/** Asks for e-mail and password; `mode` is "login" or "register". */
export function LoginDialog({ mode: first = "login", onClose }) {
  const [mode, setMode] = useState(first);
  const [typed, setTyped] = useState({ email: "", password: "", code: "" });
  const [needsCode, setNeedsCode] = useState(false);
  const [refusal, setRefusal] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const type = (name) => (text) => setTyped((before) => ({ ...before, [name]: text }));
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    setRefusal(null);
    try {
      await enter(mode, typed, needsCode);
      onClose();
    } catch (refused) {
      if (refused.details?.reason === "TOTP_REQUIRED") setNeedsCode(true);
      else setRefusal(refused);
    }
    setBusy(false);
  };
  const other = mode === "login" ? "register" : "login";
  return html`<${Dialog} title=${TITLES[mode]} onClose=${onClose}>
    <form class="stack" onSubmit=${submit}>
      ${session.hasExpired && html`<p class="note">Your session has ended: log in again.</p>`}
      <${Field} label="E-mail" type="email" autocomplete="username" required autofocus value=${typed.email} onInput=${type("email")} />
      <${Field}
        label="Password"
        type="password"
        autocomplete=${mode === "login" ? "current-password" : "new-password"}
        required
        hint=${mode === "register" ? "At least 8 characters" : undefined}
        value=${typed.password}
        onInput=${type("password")}
      />
      ${needsCode &&
      html`<${Field} label="Code of your authenticator, or a recovery code" autocomplete="one-time-code" required value=${typed.code} onInput=${type("code")} />`}
      <p class="note bad" role="alert">${refusal && inWords(refusal)}</p>
      <${Button} kind="primary" type="submit" isBusy=${isBusy}>${TITLES[mode]}<//>
      <${Button} kind="quiet" onClick=${() => setMode(other)}>${mode === "login" ? "No account yet? Create one" : "Log in with an account"}<//>
    </form>
  <//>`;
}

async function enter(mode, { email, password, code }, needsCode) {
  if (mode === "register") await call("POST", "/auth/register", { email, password });
  const { token, userId } = await call("POST", "/auth/login", { email, password, ...(needsCode ? { code } : {}) });
  session.begin({ token, userId, email });
  report(mode === "register" ? `Account ${userId} is ready` : `Logged in as ${email}`);
}
