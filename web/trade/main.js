/** The trading page. */

import { Segmented } from "../components/button.js";
import { Shell } from "../components/shell.js";
import { useValue } from "../lib/state.js";
import { html, render } from "../vendor/htm/preact.js";
import { followAccount } from "./account_feed.js";
import { AccountPanel } from "./account_panel.js";
import { AccountTabs } from "./account_tabs.js";
import { BookPanel } from "./book_panel.js";
import { ChartPanel } from "./chart_panel.js";
import { ConnectionBadge } from "./connection_badge.js";
import { watchFreshness } from "./freshness.js";
import { HelpDialog } from "./help_dialog.js";
import { listenToKeys } from "./keys.js";
import { watchLeverage } from "./leverage.js";
import { MarketBar } from "./market_bar.js";
import { follow, trades } from "./market_feed.js";
import { begin, chosen, markets, precisionOf } from "./markets.js";
import { clearAmounts } from "./order_draft.js";
import { OrderForm } from "./order_form.js";
import { watchPreview } from "./preview.js";
import { StatusBar } from "./status_bar.js";
import { TradesPanel } from "./trades_panel.js";
import { view, VIEWS } from "./view.js";

let end = () => {};

function Page() {
  const shown = useValue(view);
  return html`<${Shell} page="trade" tools=${html`<${ConnectionBadge} />`}>
    <h1 class="unseen">Trade ${useValue(chosen)}</h1>
    <div class="desk" data-view=${shown}>
      <${MarketBar} />
      <${Segmented} label="Panel" class="views" options=${VIEWS} value=${shown} onChange=${(next) => view.set(next)} />
      <${ChartPanel} />
      <${BookPanel} />
      <${TradesPanel} />
      <div class="side">
        <${OrderForm} />
        <${AccountPanel} />
      </div>
      <${AccountTabs} />
      <${StatusBar} />
    </div>
    <${HelpDialog} />
  <//>`;
}

/** Follow the market that is traded, whichever it is. */
function followChosen() {
  end();
  end = markets.now?.has(chosen.now) ? follow(chosen.now) : () => {};
  nameTab();
}

/** The last price is in the title, where it is seen from another tab. */
function nameTab() {
  const last = precisionOf(chosen.now)?.price(trades.now[0]?.price);
  document.title = `${last && trades.now.length ? `${last} ` : ""}${chosen.now} – Perpetua`;
}

render(html`<${Page} />`, document.getElementById("page"));
watchFreshness();
watchLeverage();
watchPreview();
listenToKeys();
followAccount();
chosen.watch(() => {
  clearAmounts({ isOtherMarket: true });
  followChosen();
});
trades.watch(nameTab);
await begin();
