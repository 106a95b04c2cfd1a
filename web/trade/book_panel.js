/** The order book with depth bars. A click on a level fills the form with its price. */

import { Segmented } from "../components/button.js";
import { decimal, over, roundDown, toFixed, toNumber, toText } from "../lib/decimal.js";
import { percent } from "../lib/format.js";
import { useValue } from "../lib/state.js";
import { html, useEffect, useRef, useState } from "../vendor/htm/preact.js";
import { orders } from "./account_feed.js";
import { book, mark } from "./market_feed.js";
import { chosen, market, precisionOf } from "./markets.js";
import { takePrice } from "./price_click.js";

const ROW_PX = 20;
const FIXED_PX = 24 + 28;
const STEPS = ["1", "10", "100"];

/** The panel. */
export function BookPanel() {
  useValue(book);
  useValue(orders);
  useValue(chosen);
  const [step, group] = useState("1");
  const [box, rows] = useRows();
  const traded = market();
  const size = traded ? decimal(traded.tickSize) * BigInt(step) : 1n;
  const [bids, asks] = [grouped(book.now?.bids, size, true, rows), grouped(book.now?.asks, size, false, rows)];
  const most = [...bids, ...asks].reduce((largest, level) => (level.total > largest ? level.total : largest), 1n);
  const mine = minePrices(size);
  const options = STEPS.map((value) => ({ value, label: traded ? toText(decimal(traded.tickSize) * BigInt(value)) : value }));
  return html`<section class="panel book" aria-label="Order book" data-good=${book.now?.checks.good} data-bad=${book.now?.checks.bad} data-gaps=${book.now?.checks.gaps} data-sequence=${book.now?.sequence}>
    <div class="panel-head">
      <h2>Order book</h2>
      <${Segmented} label="Price step" class="small" options=${options} value=${step} onChange=${group} />
    </div>
    <div class="book-body" ref=${box}>
      <div class="book-titles" aria-hidden="true"><span>Price</span><span>Quantity</span><span>Total</span></div>
      <${Levels} title="Asks" side="sell" levels=${[...asks].reverse()} most=${most} mine=${mine.SELL} rows=${rows} />
      <${Spread} />
      <${Levels} title="Bids" side="buy" levels=${bids} most=${most} mine=${mine.BUY} rows=${rows} />
    </div>
  </section>`;
}

function Levels({ title, side, levels, most, mine, rows }) {
  const precision = precisionOf(chosen.now);
  return html`<div class=${`levels ${side}`} style=${{ height: `${rows * ROW_PX}px` }}>
    <table>
      <caption class="unseen">${title}</caption>
      <thead class="unseen"><tr><th scope="col">Price</th><th scope="col">Quantity</th><th scope="col">Total</th></tr></thead>
      <tbody>
        ${levels.map(({ price, quantity, total }) => {
          const text = toText(price);
          const width = `${Math.round(toNumber(over(total, most)) * 100)}%`;
          const isMine = mine.has(price);
          return html`<tr key=${text} class=${isMine ? "mine" : ""} style=${{ "--depth": width }} onClick=${() => takePrice(text)}>
            <td class=${side} title=${isMine ? "You have an order here" : undefined}>${precision.price(text)}</td>
            <td>${precision.quantity(toText(quantity))}</td>
            <td>${precision.quantity(toText(total))}</td>
          </tr>`;
        })}
      </tbody>
    </table>
  </div>`;
}

function Spread() {
  useValue(mark);
  const [bid, ask] = [book.now?.bids[0], book.now?.asks[0]];
  const precision = precisionOf(chosen.now);
  if (!precision) return html`<p class="spread"></p>`;
  const gap = bid && ask ? decimal(ask[0]) - decimal(bid[0]) : null;
  const share = gap === null ? "–" : percent(toText(over(gap, decimal(ask[0]))), 3);
  return html`<p class="spread">
    <span>Spread <b>${gap === null ? "–" : toFixed(gap, precision.pricePlaces)}</b> <span class="faint">${share}</span></span>
    <span>Mark <b>${precision.price(mark.now?.markPrice)}</b></span>
  </p>`;
}

/** The best levels, put together by a price step, with the quantity up to each. */
function grouped(levels = [], size, isBid, rows) {
  const found = [];
  let total = 0n;
  for (const [priceText, quantityText] of levels) {
    const exactly = decimal(priceText);
    const price = isBid ? roundDown(exactly, size) : -roundDown(-exactly, size);
    const quantity = decimal(quantityText);
    total += quantity;
    const last = found.at(-1);
    if (last?.price === price) Object.assign(last, { quantity: last.quantity + quantity, total });
    else if (found.length === rows) break;
    else found.push({ price, quantity, total });
  }
  return found;
}

/** The prices at which orders of the account rest, by side. */
function minePrices(size) {
  const found = { BUY: new Set(), SELL: new Set() };
  for (const { marketId, side, price, status } of orders.now.values()) {
    if (marketId !== chosen.now || !price || !["OPEN", "PARTIALLY_FILLED"].includes(status)) continue;
    const exactly = decimal(price);
    found[side].add(side === "BUY" ? roundDown(exactly, size) : -roundDown(-exactly, size));
  }
  return found;
}

/** How many levels of a side fit into the panel. */
function useRows() {
  const box = useRef(null);
  const [rows, setRows] = useState(12);
  useEffect(() => {
    const watcher = new ResizeObserver(([{ contentRect }]) => setRows(Math.max(5, Math.floor((contentRect.height - FIXED_PX) / 2 / ROW_PX))));
    watcher.observe(box.current);
    return () => watcher.disconnect();
  }, []);
  return [box, rows];
}
