/** A new password. */

import { Button } from "../components/button.js";
import { Field } from "../components/field.js";
import { report } from "../components/toast.js";
import { call } from "../lib/api.js";
import { session } from "../lib/session.js";
import { html, useState } from "../vendor/htm/preact.js";
import { useSubmit } from "./submitting.js";

const NOTHING = { password: "", newPassword: "" };

/** The form. */
export function PasswordForm() {
  const [typed, setTyped] = useState(NOTHING);
  const type = (name) => (text) => setTyped((before) => ({ ...before, [name]: text }));
  const { submit, isBusy, complaint } = useSubmit(async () => {
    await call("POST", "/auth/password", typed);
    setTyped(NOTHING);
    report("The password is changed; every other session has ended");
  });
  return html`<section class="part" aria-labelledby="password-title">
    <h2 id="password-title">Password</h2>
    <form class="stack" onSubmit=${submit}>
      <input class="unseen" tabindex="-1" aria-hidden="true" autocomplete="username" value=${session.now?.email ?? ""} readonly />
      <${Field} label="Present password" type="password" autocomplete="current-password" required value=${typed.password} onInput=${type("password")} />
      <${Field} label="New password" type="password" autocomplete="new-password" required minlength="8" hint="At least 8 characters" value=${typed.newPassword} onInput=${type("newPassword")} />
      ${complaint}
      <${Button} kind="primary" type="submit" isBusy=${isBusy}>Change the password<//>
      <p class="note">Every other session ends. API keys stay.</p>
    </form>
  </section>`;
}
