/** What the page shows of the account: open orders, positions, balance and fills, live. */

import { report } from "../components/toast.js";
import { read, readPatiently } from "../lib/api.js";
import { exact } from "../lib/format.js";
import { session } from "../lib/session.js";
import { Value } from "../lib/state.js";
import { CAUSES } from "./causes.js";
import { live } from "./connection.js";

const OPEN = new Set(["PENDING", "UNTRIGGERED", "TRIGGERED", "OPEN", "PARTIALLY_FILLED"]);
const MARGINS_MS = 3_000;
const FILLS_KEPT = 500;

/** Orders that have not ended, by id. */
export const orders = new Value(new Map());
/** Open positions by market. */
export const positions = new Value(new Map());
/** The balance, or null. */
export const balance = new Value(null);
/** The last fills, newest first: those of the tables, then each as it happens. */
export const fills = new Value([]);
/** The command of the last change of orders or fills, and null before the first: histories are read again, as of it. */
export const changes = new Value({ command: null });
/** Marks of the markets with a position. */
export const marks = new Value(new Map());

const ended = new Map();
const markEnds = new Map();

/** Follow the account of the session from now on. */
export function followAccount() {
  session.watch(clear);
  live.subscribe({ channel: "orders" }, takeOrder, () => orders.set(new Map()));
  live.subscribe({ channel: "positions" }, takePosition, () => setPositions(new Map()));
  live.subscribe({ channel: "balances" }, ({ op, data }) => op === "balance" && balance.set(data));
  live.subscribe({ channel: "fills" }, takeFill, readFills);
  setInterval(readMargins, MARGINS_MS);
}

/** An order that was accepted, before the market has answered it. */
export function expectOrder(order) {
  if (orders.now.has(order.orderId) || ended.has(order.orderId)) return;
  orders.now.set(order.orderId, order);
  orders.touch();
}

/** Whether an order has not ended. */
export function isOpen({ status }) {
  return OPEN.has(status);
}

function clear() {
  orders.set(new Map());
  setPositions(new Map());
  balance.set(null);
  fills.set([]);
  ended.clear();
  changes.set({ command: null });
}

function takeOrder({ op, data, amendRefused, commandId = null }) {
  if (op !== "order") return;
  if (isOpen(data)) orders.now.set(data.orderId, amendRefused ? { ...data, amendRefused } : data);
  else {
    orders.now.delete(data.orderId);
    remember(data.orderId);
  }
  orders.touch();
  changes.set({ command: commandId });
}

/** Ids of orders that have ended, so that a late answer does not bring one back. */
function remember(id) {
  ended.set(id, true);
  if (ended.size > FILLS_KEPT) ended.delete(ended.keys().next().value);
}

function takePosition({ op, market, data }) {
  if (op !== "position") return;
  const next = new Map(positions.now);
  if (data) next.set(market, data);
  else next.delete(market);
  setPositions(next);
}

/** Keep the positions, and follow the marks of exactly their markets. */
function setPositions(next) {
  for (const market of next.keys()) if (!markEnds.has(market)) markEnds.set(market, followMark(market));
  for (const [market, end] of markEnds) {
    if (next.has(market)) continue;
    end();
    markEnds.delete(market);
    marks.now.delete(market);
  }
  positions.set(next);
}

function followMark(market) {
  return live.subscribe({ channel: "ticker", market }, ({ op, data }) => {
    if (op !== "ticker" || !data.markPrice) return;
    marks.now.set(market, data.markPrice);
    marks.touch();
  });
}

function takeFill({ op, data, commandId = null }) {
  if (op !== "fill") return;
  if (fills.now.some(({ tradeId, orderId }) => tradeId === data.tradeId && orderId === data.orderId)) return;
  fills.set([data, ...fills.now].slice(0, FILLS_KEPT));
  if (data.cause in CAUSES) reportForced(data);
  changes.set({ command: commandId });
}

/** Nobody clicked: a position that is closed by force does not vanish in silence. */
function reportForced({ cause, side, quantity, price, marketId }) {
  report(`${CAUSES[cause]}: ${side === "BUY" ? "bought" : "sold"} ${exact(quantity)} ${marketId} at ${exact(price)}`, "bad");
}

async function readFills() {
  const login = session.now;
  const stored = await readPatiently(`/fills?limit=${FILLS_KEPT}`, () => session.now === login);
  if (!stored || session.now !== login) return;
  const known = new Set(stored.data.map(({ tradeId, orderId }) => `${tradeId} ${orderId}`));
  fills.set([...fills.now.filter(({ tradeId, orderId }) => !known.has(`${tradeId} ${orderId}`)), ...stored.data].slice(0, FILLS_KEPT));
}

/** Margins move with the mark without an event: they are read again while there is a position. */
async function readMargins() {
  if (!session.now || !positions.now.size || document.hidden || live.state.now.name !== "live") return;
  const [before, moneyBefore] = [positions.now, balance.now];
  const [held, money] = await Promise.all([read("/positions?limit=500"), read("/balances?limit=500")]).catch(() => [null, null]);
  if (!held || positions.now !== before || balance.now !== moneyBefore || !session.now) return; // something happened meanwhile: that is newer
  setPositions(new Map(held.data.map((position) => [position.marketId, position])));
  if (money.data[0]) balance.set(money.data[0]);
}
