/** Choose a market: with its price, the change of the day and its funding. */

import { Badge, toneOf } from "../components/badge.js";
import { Button } from "../components/button.js";
import { Dialog } from "../components/dialog.js";
import { Field } from "../components/field.js";
import { compact, percent, signedPercent, words } from "../lib/format.js";
import { Value, useValue } from "../lib/state.js";
import { html, useEffect, useState } from "../vendor/htm/preact.js";
import { choose, chosen, followTicker, markets, precisionOf, refresh, tickers } from "./markets.js";

const FOLLOWED_MAX = 100;

/** Whether the list is open. */
export const isPicking = new Value(false);

/** The button with the market's name, and the list that it opens. */
export function MarketPicker() {
  const isOpen = useValue(isPicking);
  const name = useValue(chosen) ?? "Markets";
  return html`<${Button} class="market-name" aria-haspopup="dialog" title="Choose a market (m)" onClick=${() => isPicking.set(true)}>
      ${name} <span aria-hidden="true" class="caret"></span>
    <//>
    ${isOpen && html`<${List} />`}`;
}

function List() {
  const known = useValue(markets) ?? new Map();
  useValue(tickers);
  const [sought, seek] = useState("");
  const close = () => isPicking.set(false);
  const take = (id) => {
    choose(id);
    close();
  };
  useEffect(() => {
    refresh();
    const ends = [...known.keys()].slice(0, FOLLOWED_MAX).map(followTicker);
    return () => ends.forEach((end) => end());
  }, []);
  const found = [...known.values()].filter(({ id }) => id.toLowerCase().includes(sought.trim().toLowerCase()));
  const takeFirst = (event) => {
    event.preventDefault();
    if (found.length) take(found[0].id);
  };
  return html`<${Dialog} title="Markets" class="picker" onClose=${close}>
    <form onSubmit=${takeFirst}><${Field} label="Search" autofocus value=${sought} onInput=${seek} /></form>
    <table class="list">
      <caption class="unseen">Markets</caption>
      <thead>
        <tr><th scope="col">Market</th><th scope="col" class="number">Last</th><th scope="col" class="number">24 h</th><th scope="col" class="number wide">Volume</th><th scope="col" class="number">Funding</th></tr>
      </thead>
      <tbody>
        ${found.map((one) => html`<${Row} key=${one.id} one=${one} ticker=${tickers.now.get(one.id)} onTake=${() => take(one.id)} />`)}
      </tbody>
    </table>
    ${!found.length && html`<p class="empty">No market has this name</p>`}
  <//>`;
}

function Row({ one, ticker, onTake }) {
  return html`<tr class="clickable" onClick=${onTake}>
    <th scope="row"><button type="button" class="link" aria-current=${one.id === chosen.now ? "true" : null}>${one.id}</button> ${one.status !== "ACTIVE" && html`<${Badge} kind="warn">${words(one.status)}<//>`}</th>
    <td class="number">${precisionOf(one.id).price(ticker?.lastPrice ?? one.markPrice)}</td>
    <td class=${`number ${toneOf(ticker?.change24h)}`}>${signedPercent(ticker?.changeRate24h)}</td>
    <td class="number wide">${compact(ticker?.notional24h)}</td>
    <td class="number">${percent(ticker?.predictedFundingRate ?? ticker?.fundingRate ?? one.fundingRate, 4)}</td>
  </tr>`;
}
