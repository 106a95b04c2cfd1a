/** Positions, open orders and histories of the account, as tabs. */

import { Check } from "../components/field.js";
import { Tabs } from "../components/tabs.js";
import { session } from "../lib/session.js";
import { useValue } from "../lib/state.js";
import { html, useState } from "../vendor/htm/preact.js";
import { orders, positions } from "./account_feed.js";
import { BalancesTable } from "./balances_table.js";
import { HistoryTable } from "./history_tables.js";
import { chosen } from "./markets.js";
import { OrdersTable } from "./orders_table.js";
import { PositionsTable } from "./positions_table.js";

/** The tabs. */
export function AccountTabs() {
  const login = useValue(session);
  const [tab, setTab] = useState("positions");
  const [isNarrow, narrow] = useState(false);
  const id = useValue(chosen);
  const tabs = [
    { id: "positions", label: `Positions (${useValue(positions).size})` },
    { id: "open", label: `Open orders (${useValue(orders).size})` },
    { id: "orders", label: "Order history" },
    { id: "fills", label: "Fills" },
    { id: "funding", label: "Funding" },
    { id: "ledger", label: "Ledger" },
    { id: "balances", label: "Balances" },
  ];
  const onlyMarket = isNarrow ? id : null;
  const isHistory = ["orders", "fills", "funding", "ledger"].includes(tab);
  const tools = html`${isHistory && html`<a class="export" href="/account#statements">Export</a>`}<${Check} label="This market only" checked=${isNarrow} onChange=${narrow} />`;
  const content = {
    positions: () => html`<${PositionsTable} />`,
    open: () => html`<${OrdersTable} onlyMarket=${onlyMarket} />`,
    balances: () => html`<${BalancesTable} />`,
  }[tab];
  return html`<section class="panel holdings stacked" aria-label="Your account">
    <${Tabs} label="Your account" tabs=${tabs} chosen=${tab} onChoose=${setTab} tools=${tools}>
      ${login ? (content ? content() : html`<${HistoryTable} key=${tab} kind=${tab} onlyMarket=${onlyMarket} />`) : html`<p class="empty">Log in to see your positions and orders</p>`}
    <//>
  </section>`;
}
