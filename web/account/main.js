/** The account page. */

import { Button } from "../components/button.js";
import { LoginDialog } from "../components/login.js";
import { Shell } from "../components/shell.js";
import { Tabs } from "../components/tabs.js";
import { session } from "../lib/session.js";
import { useValue } from "../lib/state.js";
import { html, render, useState } from "../vendor/htm/preact.js";
import { KeysPanel } from "./keys_panel.js";
import { MoneyPanel } from "./money_panel.js";
import { PasswordForm } from "./password_form.js";
import { readProfile } from "./profile.js";
import { SessionsPanel } from "./sessions_panel.js";
import { StatementsPanel } from "./statements_panel.js";
import { TotpPanel } from "./totp_panel.js";

const SECURITY = () => html`<${PasswordForm} /><${TotpPanel} />`;
const TABS = [
  { id: "money", label: "Money", panel: MoneyPanel },
  { id: "security", label: "Security", panel: SECURITY },
  { id: "sessions", label: "Sessions", panel: SessionsPanel },
  { id: "api-keys", label: "API keys", panel: KeysPanel },
  { id: "statements", label: "Statements", panel: StatementsPanel },
];

function Page() {
  const login = useValue(session);
  return html`<${Shell} page="account">
    <div class="account">
      <h1>Account</h1>
      ${login ? html`<${Account} key=${login.userId} />` : html`<${Entrance} />`}
    </div>
  <//>`;
}

function Account() {
  const [chosen, choose] = useState(() => tabOf(location.hash));
  const show = (id) => {
    history.replaceState(null, "", `#${id}`);
    choose(id);
  };
  const { panel } = TABS.find(({ id }) => id === chosen);
  return html`<${Tabs} label="Account" tabs=${TABS} chosen=${chosen} onChoose=${show}><${panel} key=${chosen} /><//>`;
}

/** What is shown to nobody in particular. */
function Entrance() {
  const [asked, ask] = useState(null);
  return html`<div class="tabs"><div class="part stack">
    <p>Log in to manage your money, your password, two-factor login, sessions and API keys.</p>
    <div class="row">
      <${Button} kind="primary" onClick=${() => ask("login")}>Log in to your account<//>
      <${Button} onClick=${() => ask("register")}>Open an account<//>
    </div>
    ${asked && html`<${LoginDialog} mode=${asked} onClose=${() => ask(null)} />`}
  </div></div>`;
}

function tabOf(hash) {
  return TABS.find(({ id }) => `#${id}` === hash)?.id ?? TABS[0].id;
}

render(html`<${Page} />`, document.getElementById("page"));
session.watch(readProfile);
await readProfile();
