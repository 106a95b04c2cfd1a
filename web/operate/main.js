/** The console of operators. */

import { Badge } from "../components/badge.js";
import { Shell } from "../components/shell.js";
import { Tabs } from "../components/tabs.js";
import { decoded } from "../lib/address.js";
import { timeOfDay } from "../lib/format.js";
import { inWords } from "../lib/refusals.js";
import { session } from "../lib/session.js";
import { useValue, Value } from "../lib/state.js";
import { html, render } from "../vendor/htm/preact.js";
import { AccountsPanel } from "./accounts_panel.js";
import { ActsPanel } from "./acts_table.js";
import { connection, followMarkets } from "./connection.js";
import { keepHistory } from "./history.js";
import { LettersPanel } from "./letters_panel.js";
import { LiquidationsPanel } from "./liquidations_panel.js";
import { OverviewPanel } from "./overview_panel.js";
import { ProofPanel } from "./proof_panel.js";
import { role, watchRole } from "./role.js";

const LINKS = [
  { page: "trade", href: "/", label: "Trade" },
  { page: "account", href: "/account", label: "Account" },
  { page: "operate", href: "/operate", label: "Operate" },
  { page: "docs", href: "/docs", label: "API" },
];
const TABS = [
  { id: "overview", label: "Overview", panel: OverviewPanel },
  { id: "accounts", label: "Accounts", panel: AccountsPanel },
  { id: "liquidations", label: "Liquidations", panel: LiquidationsPanel },
  { id: "dead-letters", label: "Dead letters", panel: LettersPanel },
  { id: "log", label: "Log", panel: ActsPanel },
  { id: "proof", label: "Proof", panel: ProofPanel },
];

/** {tab, chosen}: what the address names after `#`. */
const place = new Value(placeNow());

function placeNow() {
  const [tab, chosen = ""] = location.hash.slice(1).split("/");
  return { tab: TABS.some(({ id }) => id === tab) ? tab : "overview", chosen: decoded(chosen) };
}

function Page() {
  const login = useValue(session);
  const known = useValue(role);
  return html`<${Shell} page="operate" links=${LINKS} tools=${known?.role === "admin" ? html`<${Connection} />` : null}>
    <h1 class="unseen">Operate the exchange</h1>
    ${known?.role === "admin" ? html`<${Console} />` : html`<div class="page"><${Refused} login=${login} known=${known} /></div>`}
  <//>`;
}

/** Why there is no console, in words. */
function Refused({ login, known }) {
  if (!login) return html`<h2>This console is for administrators</h2><p>Log in as one to operate the exchange.</p>`;
  if (known === null) return html`<p role="status">Asking for your role</p>`;
  if (known.refusal) return html`<h2>The console cannot be shown</h2><p role="alert">${inWords(known.refusal)}</p>`;
  return html`<h2>This console is for administrators</h2>
    <p role="alert">You are logged in as ${login.email}, who is not an administrator: the exchange refuses everything here (FORBIDDEN).</p>
    <p>An operator makes a user one on the command line: <code>python -m app admin grant ${login.email}</code></p>`;
}

function Console() {
  const { tab, chosen } = useValue(place);
  const { panel: Panel } = TABS.find(({ id }) => id === tab);
  return html`<div class="console">
    <${Tabs} label="Console" tabs=${TABS} chosen=${tab} onChoose=${(id) => (location.hash = id)}><div class="panels"><${Panel} chosen=${chosen} /></div><//>
  </div>`;
}

function Connection() {
  const { name, since } = useValue(connection);
  const text = { live: "Live", connecting: "Connecting" }[name] ?? `Reconnecting since ${timeOfDay(new Date(since).toISOString())}`;
  return html`<span role="status"><${Badge} kind=${name === "live" ? "good" : "warn"} data-state=${name}>${text}<//></span>`;
}

window.addEventListener("hashchange", () => place.set(placeNow()));
followMarkets();
keepHistory();
watchRole();
render(html`<${Page} />`, document.getElementById("page"));
