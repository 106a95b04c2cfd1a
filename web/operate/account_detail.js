/** One account: its money, and tabs with its positions, orders, fills, ledger, keys and what operators did to it. */

import { Badge } from "../components/badge.js";
import { Button } from "../components/button.js";
import { Tabs } from "../components/tabs.js";
import { Time } from "../components/time.js";
import { fixed } from "../lib/format.js";
import { inWords } from "../lib/refusals.js";
import { html, useEffect, useState } from "../vendor/htm/preact.js";
import { AccountActDialog, accountActs } from "./account_acts.js";
import { AccountList, LISTS } from "./account_lists.js";
import { FrozenBadge } from "./frozen_badge.js";
import { Polled, usePolled } from "./polled.js";

/** The account of a user. */
export function AccountDetail({ userId }) {
  const path = `/admin/users/${encodeURIComponent(userId)}`;
  const [polled] = useState(() => new Polled(path));
  const [tab, setTab] = useState("positions");
  const [asked, ask] = useState(null);
  const { body, refusal } = usePolled(polled);
  useEffect(() => document.getElementById("account-title")?.focus(), [body === null]);
  if (body === null) {
    return html`<section class="panel" aria-label="Account"><p class="empty">${refusal ? inWords(refusal) : "Reading"}</p><p class="below"><a href="#accounts">All accounts</a></p></section>`;
  }
  return html`<section class="panel" aria-label="Account">
      <div class="panel-head">
        <h2 id="account-title" tabindex="-1">User ${body.user.userId} <span class="wrap">${body.user.email}</span></h2>
        <a href="#accounts">All accounts</a>
      </div>
      <div class="account">
        <${Facts} account=${body} />
        <div class="account-acts" role="group" aria-label="Acts on this account">
          ${accountActs(body).map(({ kind, label, isDangerous }) => html`<${Button} key=${kind} kind=${isDangerous ? "danger" : "plain"} onClick=${() => ask(kind)}>${label}<//>`)}
        </div>
      </div>
      <${Tabs} label="What the account has" tabs=${LISTS} chosen=${tab} onChoose=${setTab}>
        <${AccountList} key=${tab} kind=${tab} userId=${body.user.userId} />
      <//>
    </section>
    ${asked && html`<${AccountActDialog} kind=${asked} account=${body} onDone=${() => polled.read()} onClose=${() => ask(null)} />`}`;
}

function Facts({ account: { user, balance, ...sums } }) {
  const money = (text) => `${fixed(text, 2)} ${balance.asset}`;
  const lines = [
    ["State", html`<${FrozenBadge} at=${user.frozenAt} />${user.frozenAt && html` since <${Time} at=${user.frozenAt} />`}${sums.isInLiquidation && html` <${Badge} kind="bad">in liquidation<//>`}`],
    ["Role", user.role === "admin" ? "administrator" : "user"],
    ["Registered", html`<${Time} at=${user.createdAt} />`],
    ["Wallet", money(balance.total)],
    ["Available", money(balance.available)],
    ["Locked", money(balance.locked)],
    ["Equity", money(sums.equity)],
    ["Required margin", money(sums.requiredMargin)],
    ["Maintenance margin", money(sums.maintenanceMargin)],
    ["Open orders", sums.openOrders],
    ["Active API keys", sums.activeKeys],
  ];
  return html`<dl class="lines">${lines.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}
