/** The market that is traded, at a glance: its picker, prices, the day, and the time until funding. */

import { Badge, toneOf } from "../components/badge.js";
import { compact, countdown, percent, signedPercent, utc, words } from "../lib/format.js";
import { useValue } from "../lib/state.js";
import { html, useEffect, useState } from "../vendor/htm/preact.js";
import { mark, status, trades } from "./market_feed.js";
import { chosen, market, markets, precisionOf, tickers } from "./markets.js";
import { MarketPicker } from "./market_picker.js";

/** The bar above the chart. */
export function MarketBar() {
  for (const value of [markets, chosen, tickers, mark, status, trades]) useValue(value);
  const traded = market();
  const precision = precisionOf(chosen.now);
  const ticker = tickers.now.get(chosen.now);
  const state = mark.now ?? ticker ?? traded;
  const last = trades.now[0]?.price ?? ticker?.lastPrice;
  const shown = status.now ?? traded?.status;
  if (!traded) return html`<section class="market-bar" aria-label="Market"><${MarketPicker} /><${NoMarket} /></section>`;
  return html`<section class="market-bar" aria-label="Market">
    <${MarketPicker} />
    <strong class=${`last ${trades.now[0]?.takerSide === "SELL" ? "sell" : "buy"}`} title="Last price">${precision.price(last)}</strong>
    ${shown && shown !== "ACTIVE" && html`<${Badge} kind="warn">${words(shown)}<//>`}
    <dl class="figures" tabindex="0" aria-label="The market in numbers">
      <${Figure} title="Mark" value=${precision.price(state?.markPrice)} />
      <${Figure} title="Index" value=${precision.price(state?.indexPrice)} />
      <${Figure} title="24 h change" tone=${toneOf(ticker?.change24h)} value=${signedPercent(ticker?.changeRate24h)} />
      <${Figure} title="24 h high" value=${precision.price(ticker?.high24h)} />
      <${Figure} title="24 h low" value=${precision.price(ticker?.low24h)} />
      <${Figure} title=${`24 h volume (${traded.quoteAsset})`} value=${compact(ticker?.notional24h)} />
      <${Figure} title=${`Open interest (${traded.baseAsset})`} value=${compact(ticker?.openInterest)} />
      <${Funding} state=${state} />
    </dl>
  </section>`;
}

/** A number with its name. */
function Figure({ title, value, tone = "", hint }) {
  return html`<div title=${hint}><dt>${title}</dt><dd class=${tone}>${value}</dd></div>`;
}

function Funding({ state }) {
  const [now, tick] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => tick(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, []);
  const rate = state?.predictedFundingRate ?? state?.fundingRate;
  const at = state?.nextFundingTime;
  const hint = at ? `The next payment is at ${utc(at)}; a positive rate is paid by longs to shorts` : undefined;
  return html`<${Figure} title="Funding / countdown" hint=${hint} value=${`${percent(rate, 4)} / ${at ? countdown(new Date(at) - now) : "–"}`} />`;
}

function NoMarket() {
  if (!markets.now) return null;
  return html`<p class="note bad" role="alert">There is no market ${chosen.now}: choose another one. (MARKET_NOT_FOUND)</p>`;
}
