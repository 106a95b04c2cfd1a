/** Candles with volume, own fills, orders and the position, drawn by Lightweight Charts of TradingView. */

import { Segmented } from "../components/button.js";
import { exact } from "../lib/format.js";
import { useValue } from "../lib/state.js";
import { theme } from "../lib/theme.js";
import { html, useEffect, useRef, useState } from "../vendor/htm/preact.js";
import { fills, orders, positions } from "./account_feed.js";
import { followCandles, INTERVALS } from "./candles.js";
import { CandleChart } from "./candle_chart.js";
import { chosen, market, markets } from "./markets.js";

const KEY = "perpetua.interval";
const OPTIONS = INTERVALS.map((value) => ({ value, label: value }));

/** The panel. */
export function ChartPanel() {
  const id = useValue(chosen);
  const isKnown = Boolean(useValue(markets)?.has(id));
  const [interval, setInterval] = useState(INTERVALS.includes(localStorage.getItem(KEY)) ? localStorage.getItem(KEY) : "1m");
  const [shown, show] = useState(null);
  const box = useRef(null);
  const chart = useRef(null);
  useEffect(() => {
    if (!isKnown) return undefined;
    const drawn = (chart.current = new CandleChart(box.current, market(), show));
    const end = followCandles(id, interval, (all) => drawn.setAll(all), (candle) => drawn.take(candle));
    const ends = [
      end,
      theme.watch(() => drawn.paint()),
      fills.watch(() => drawn.mark(fills.now, interval)),
      ...[orders, positions].map((value) => value.watch(() => drawn.draw(positions.now.get(id), orders.now))),
    ];
    drawn.mark(fills.now, interval);
    drawn.draw(positions.now.get(id), orders.now);
    return () => {
      ends.forEach((each) => each());
      drawn.close();
    };
  }, [id, isKnown, interval]);
  const choose = (value) => {
    localStorage.setItem(KEY, value);
    setInterval(value);
  };
  return html`<section class="panel chart" aria-label="Chart">
    <div class="panel-head">
      <h2 class="unseen">Chart</h2>
      <${Segmented} label="Length of a candle" class="small" options=${OPTIONS} value=${interval} onChange=${choose} />
      <${Legend} candle=${shown} />
      <a class="credit" href="https://www.tradingview.com/" rel="noopener noreferrer" target="_blank" title="Charts by TradingView, Lightweight Charts™ © TradingView, Inc.">Charts by TradingView</a>
    </div>
    <div class="canvas" ref=${box} role="img" aria-label=${`Candles of ${id ?? ""}, ${interval} each; last price ${exact(shown?.close)}`}></div>
  </section>`;
}

/** The candle at the cross-hair, else the last one. */
function Legend({ candle }) {
  if (!candle) return null;
  const parts = [["O", candle.open], ["H", candle.high], ["L", candle.low], ["C", candle.close], ["V", candle.volume]];
  return html`<p class="legend" aria-hidden="true">${parts.map(([name, text]) => html`<span key=${name}><b>${name}</b> ${exact(text)}</span>`)}</p>`;
}
