/** One chart of one market. Numbers here are for drawing: nothing is computed from them. */

import { placesOf } from "../lib/decimal.js";
import { dateAndTime } from "../lib/format.js";
import { colour } from "../lib/theme.js";
import {
  CandlestickSeries,
  createChart,
  createSeriesMarkers,
  CrosshairMode,
  HistogramSeries,
  LineStyle,
} from "../vendor/lightweight-charts/lightweight-charts.js";
import { marksOf } from "./fill_markers.js";

const MARKED_MAX = 200;
const VOLUME_SHARE = 0.82;
const SHOWN_CANDLES = 90;
const RIGHT_GAP = 4;

/** Draws candles into a box; `onShow` gets the candle under the cross-hair, else the last one. */
export class CandleChart {
  #chart;
  #candles;
  #volume;
  #markers;
  #lines = [];
  #byTime = new Map();
  #times = [];
  #crossed = null;
  #isDrawn = false;
  #palette = {};
  #onShow;
  #market;

  constructor(box, market, onShow) {
    this.#market = market;
    this.#onShow = onShow;
    this.#chart = createChart(box, {
      autoSize: true,
      layout: { attributionLogo: false, fontFamily: getComputedStyle(box).fontFamily, fontSize: 11 },
      crosshair: { mode: CrosshairMode.Normal },
      timeScale: { timeVisible: true, secondsVisible: false, rightOffset: RIGHT_GAP, tickMarkFormatter: tickMark },
      localization: { timeFormatter: (time) => dateAndTime(isoOf(time)) },
    });
    const precision = placesOf(market.tickSize);
    this.#candles = this.#chart.addSeries(CandlestickSeries, { priceFormat: { type: "price", precision, minMove: Number(market.tickSize) } });
    this.#volume = this.#chart.addSeries(HistogramSeries, { priceScaleId: "volume", priceFormat: { type: "volume" }, lastValueVisible: false, priceLineVisible: false });
    this.#chart.priceScale("volume").applyOptions({ scaleMargins: { top: VOLUME_SHARE, bottom: 0 } });
    this.#markers = createSeriesMarkers(this.#candles, []);
    this.#chart.subscribeCrosshairMove(({ time }) => {
      this.#crossed = time ?? null;
      this.#show();
    });
    this.paint();
  }

  /** Replace all candles; oldest first. */
  setAll(candles) {
    this.#byTime = new Map(candles.map((candle) => [secondsOf(candle.time), candle]));
    this.#times = [...this.#byTime.keys()];
    this.#candles.setData(candles.map(barOf));
    this.#volume.setData(candles.map((candle) => this.#volumeOf(candle)));
    if (!this.#isDrawn) this.#showLast(candles.length);
    this.#isDrawn = true;
    this.#show();
  }

  /** Change a candle, or append it. */
  take(candle) {
    const time = secondsOf(candle.time);
    const isLate = this.#times.length > 0 && time < this.#times.at(-1);
    if (isLate && !this.#byTime.has(time)) return;
    if (!this.#byTime.has(time)) this.#times.push(time);
    this.#byTime.set(time, candle);
    this.#candles.update(barOf(candle), isLate);
    this.#volume.update(this.#volumeOf(candle), isLate);
    this.#show();
  }

  /** Mark own fills, newest first, at the candles of this length. */
  mark(fills, interval) {
    const own = fills.filter(({ marketId }) => marketId === this.#market.id).slice(0, MARKED_MAX);
    const [buy, sell] = [colour("--buy"), colour("--sell")];
    const markers = marksOf(own, interval).map(({ side, time, quantity }) => ({
      time,
      position: side === "BUY" ? "belowBar" : "aboveBar",
      shape: side === "BUY" ? "arrowUp" : "arrowDown",
      color: side === "BUY" ? buy : sell,
      text: quantity,
    }));
    this.#markers.setMarkers(markers);
  }

  /** Draw the position and the open orders of the market as lines. */
  draw(position, orders) {
    for (const line of this.#lines) this.#candles.removePriceLine(line);
    const wanted = [...orders.values()].filter(({ marketId }) => marketId === this.#market.id).map(lineOfOrder);
    if (position) wanted.push({ price: position.entryPrice, color: "--accent", title: position.side === "LONG" ? "Long" : "Short" });
    if (position?.liquidationPrice) wanted.push({ price: position.liquidationPrice, color: "--warn", title: "Liquidation" });
    this.#lines = wanted
      .filter(({ price }) => price)
      .map(({ price, color, title }) =>
        this.#candles.createPriceLine({ price: Number(price), color: colour(color), title, lineWidth: 1, lineStyle: LineStyle.Dashed, axisLabelVisible: true }),
      );
  }

  /** Take the colours of the theme. */
  paint() {
    const [up, down, grid, text] = ["--buy", "--sell", "--line-faint", "--text-faint"].map(colour);
    this.#palette = { up: colour("--buy-faint"), down: colour("--sell-faint") };
    this.#chart.applyOptions({
      layout: { background: { color: colour("--surface") }, textColor: text },
      grid: { vertLines: { color: grid }, horzLines: { color: grid } },
      rightPriceScale: { borderColor: grid },
      timeScale: { borderColor: grid },
    });
    this.#candles.applyOptions({ upColor: up, downColor: down, borderVisible: false, wickUpColor: up, wickDownColor: down });
    this.#volume.setData([...this.#byTime.values()].map((candle) => this.#volumeOf(candle)));
  }

  /** Remove the chart. */
  close() {
    this.#chart.remove();
  }

  /** Once: later the trader may have moved the chart. */
  #showLast(count) {
    this.#chart.timeScale().setVisibleLogicalRange({ from: count - SHOWN_CANDLES, to: count + RIGHT_GAP });
  }

  #show() {
    const candle = this.#byTime.get(this.#crossed) ?? this.#byTime.get(this.#times.at(-1));
    if (candle) this.#onShow(candle);
  }

  #volumeOf(candle) {
    const isUp = Number(candle.close) >= Number(candle.open);
    return { time: secondsOf(candle.time), value: Number(candle.volume), color: isUp ? this.#palette.up : this.#palette.down };
  }
}

function barOf({ time, open, high, low, close }) {
  return { time: secondsOf(time), open: Number(open), high: Number(high), low: Number(low), close: Number(close) };
}

function lineOfOrder({ side, price, triggerPrice, status, type }) {
  const isWaiting = status === "UNTRIGGERED" || status === "TRIGGERED";
  const name = type.startsWith("TAKE_PROFIT") ? "TP" : type.startsWith("STOP") ? "SL" : side === "BUY" ? "Buy" : "Sell";
  return { price: isWaiting ? triggerPrice : price, color: side === "BUY" ? "--buy" : "--sell", title: name };
}

function secondsOf(iso) {
  return Date.parse(iso) / 1000;
}

function isoOf(seconds) {
  return new Date(seconds * 1000).toISOString();
}

/** Local time: hours and minutes, at midnight the day. */
function tickMark(seconds) {
  const at = new Date(seconds * 1000);
  const two = (number) => String(number).padStart(2, "0");
  const isMidnight = at.getHours() === 0 && at.getMinutes() === 0;
  return isMidnight ? `${two(at.getDate())}.${two(at.getMonth() + 1)}.` : `${two(at.getHours())}:${two(at.getMinutes())}`;
}
